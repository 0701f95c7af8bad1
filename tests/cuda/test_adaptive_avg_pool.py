"""adaptive_avg_pool for CuPy, run on NumPy arrays in the emulator: against the reference, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.cuda import adaptive_avg_pool, avg_pool
from xpnn.primitive import Primitive
from xpnn.testing import check_primitive

from .emulated import Emulator, emulating
from .pooling import ADAPTIVE, DTYPES, adaptive_cases, array, check_rounding

LISTED = {plan.entry for plan in avg_pool.instantiations()}


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with emulating(monkeypatch) as found:
        yield found
    assert {plan.entry for plan in found.launched} <= LISTED


def test_it_agrees_with_the_reference(emulator: Emulator) -> None:
    primitive = Primitive(ops.adaptive_avg_pool.reference, name="adaptive_avg_pool")
    primitive.add("numpy", adaptive_avg_pool)
    assert check_primitive(primitive, adaptive_cases(ties=False)) == 2 * len(ADAPTIVE)


@pytest.mark.parametrize("dtype", DTYPES)
def test_results_are_rounded_once(emulator: Emulator, dtype: str) -> None:
    for shape, output in ADAPTIVE[1:7]:
        x = array(shape, DTYPES[dtype], ties=False)
        check_rounding(ops.adaptive_avg_pool.reference, adaptive_avg_pool, x, {"output": output})


@pytest.mark.parametrize(
    ("x", "static", "reason"),
    [
        (np.ones((1, 1, 4, 4)), {"output": (3, 3)}, "dtype float64"),
        (np.ones((1, 4, 4), np.float32), {"output": (3, 3)}, "shape"),
        (np.ones((1, 1, 4, 0), np.float32), {"output": (3, 3)}, "an axis without elements"),
        (np.ones((1, 1, 4, 4), np.float32), {"output": (3, 0)}, "output (3, 0)"),
        (np.ones((1, 1, 4, 4), np.float32), {"output": (3, 3), "data_format": "NHWC"}, "data_format NHWC"),
    ],
)
def test_it_says_what_it_does_not_take(x: Any, static: dict[str, Any], reason: str) -> None:
    assert adaptive_avg_pool.refusal(np.ones((1, 1, 4, 4), np.float32), output=(3, 3)) is None
    assert adaptive_avg_pool.refusal(x, **static) == reason


def test_ops_adaptive_avg_pool_has_it_for_cupy() -> None:
    assert ops.adaptive_avg_pool.implementations["cupy"] == [adaptive_avg_pool]
