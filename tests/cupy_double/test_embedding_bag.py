"""embedding_bag on the double: bags of every kind with embedding's kernels, without waiting, and with the numbers of NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnn
from tests.cupy_double import kernels
from tests.cupy_double.sync import counting
from xpnn import ops

pytestmark = pytest.mark.gpu
LINE, STARTS = np.array([0, 2, 5, 2, 2, 1, 4, 6, 4, 1, 1]), np.array([0, 4, 4, 9])


@pytest.mark.parametrize("padding", [None, 1])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize(
    ("indices", "offsets"), [(LINE, STARTS), (LINE[:10].reshape(2, 5), None)], ids=["runs", "rows"]
)
def test_with_kernels(indices: Any, offsets: Any, mode: str, padding: int | None) -> None:
    rng = np.random.default_rng(0)
    weight, g = rng.normal(size=(7, 6)).astype(np.float32), rng.normal(size=(4 if offsets is not None else 2, 6))

    def run(device: str) -> list[Any]:
        with xpnn.backend(device):
            own = [None if x is None else xpnn.asarray(x) for x in (indices, offsets, weight, g.astype(np.float32))]
        with counting() as account:
            y, pullback = xpnn.vjp(
                lambda w: ops.embedding_bag(own[0], w, own[1], mode=mode, padding_idx=padding), own[2]
            )
            found = [y, *pullback(own[3])]
        assert account.waits == []
        return [xpnn.to_numpy(x) for x in found]

    with kernels.running() as emulator:
        found = run("gpu")
    sums = [plan for plan in emulator.launched if "backward" in plan.entry]
    assert {plan.file for plan in emulator.launched} == {"embedding.cu"}
    assert len(sums) >= (2 if offsets is not None and mode != "max" else 1)
    for x, y in zip(found, run("cpu"), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
