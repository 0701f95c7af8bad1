"""prefetch on a machine without a GPU; tests/cupy_double has the rest."""

from __future__ import annotations

import numpy as np
import pytest

import xpnn
from xpnn.data import batches, prefetch


def test_on_the_cpu_batches_come_as_they_are() -> None:
    x = np.arange(10.0)
    loader = prefetch(batches(x, batch_size=4), "cpu")
    assert [len(batch) for batch in loader] == [4, 4, 2] == [len(batch) for batch in loader]
    assert len(loader) == 3
    assert all(batch.base is x for batch in loader)


def test_what_it_does_not_take() -> None:
    with pytest.raises(ValueError, match="depth: expected an integer of 0 or more, got -1"):
        prefetch([], "cpu", depth=-1)
    with pytest.raises(ValueError, match="backend must be one of"):
        prefetch([], "tpu")
    with pytest.raises(TypeError, match="generator has no length"):
        len(prefetch((x for x in [1]), "cpu"))


def test_the_memory_of_the_host_is_told() -> None:
    with xpnn.backend("cpu"):
        info = xpnn.memory_info()
        assert info.device == "cpu" and 0 < info.free <= info.total and info.used == info.held == 0
        xpnn.empty_cache()
