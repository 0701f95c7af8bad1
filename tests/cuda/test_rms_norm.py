"""rms_norm for CuPy, in the emulator: against the reference and float64, and what it refuses. Its kernel is layer_norm's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.cuda import rms_norm
from xpnn.testing import check_primitive

from .emulated import Emulator
from .norms import check_short, draw, misaligned, own
from .norms import emulator as emulator

PRIMITIVE = own(ops.rms_norm, rms_norm)
SHAPES = [(1, 1), (7, 5), (2, 33), (70, 128), (37, 511), (5, 4104)]


def cases() -> Iterator[tuple[Any, Any]]:
    for shape in SHAPES:
        yield (draw(*shape), draw(shape[1], seed=1)), {"normalized_shape": shape[1:], "eps": 0.01}
    yield (draw(2, 5, 3, 4), None), {"normalized_shape": (3, 4)}
    for shape in [(0, 3), (3, 0)]:
        yield (draw(*shape), draw(*shape[1:])), {"normalized_shape": shape[1:]}
    yield (draw(6, 10)[::2, ::-1], draw(10)[::-1]), {"normalized_shape": (10,)}
    yield (misaligned(draw(5, 16)), draw(16)), {"normalized_shape": (16,)}


def test_it_agrees_with_the_reference(emulator: Emulator) -> None:
    assert check_primitive(PRIMITIVE, cases()) == len(SHAPES) + 5


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats_are_as_near_to_float64_as_rounding_allows(emulator: Emulator, dtype: str) -> None:
    for shape in [(70, 24), (9, 21)]:
        check_short(PRIMITIVE, dtype, [300 * draw(*shape), draw(shape[1])], normalized_shape=shape[1:])


def test_infinity_and_nan_are_what_the_formula_makes_of_them(emulator: Emulator) -> None:
    x = draw(3, 40)
    x[0, 5], x[1, 7] = np.nan, np.inf
    y, _ = rms_norm.forward(x, None, normalized_shape=(40,), need=(False, False))
    assert np.isnan(y[0]).all() and np.isfinite(y[2]).all()
    np.testing.assert_array_equal(y[1], np.where(np.arange(40) == 7, np.nan, 0))


def test_no_gradient_of_a_bias_is_computed(emulator: Emulator) -> None:
    x, weight = draw(170, 6), draw(6)
    _, residuals = rms_norm.forward(x, weight, normalized_shape=(6,), need=(True, True))
    dx, dweight = rms_norm.backward(residuals, x, (False, True))
    assert dx is None and dweight.shape == (6,)
    assert len(emulator.launched) == 3 and emulator.launched[-1].bytes == emulator.launched[1].grid[0] * 6 * 4 + 6 * 4
    assert rms_norm.backward(residuals, x, (True, False))[1] is None and len(emulator.launched) == 4


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"x": np.ones((2, 3), np.int32)}, "dtype int32"),
        ({"weight": np.ones(3)}, "dtypes float32 and float64"),
        ({"weight": np.ones(2, np.float32)}, "shape of weight"),
        ({"eps": -1.0}, "arguments that do not fit"),
        ({"x": np.broadcast_to(np.float32(1), (2**31,)), "normalized_shape": (2**31,)}, "rows of 2147483648 elements"),
    ],
)
def test_it_says_what_it_does_not_take(change: dict[str, Any], reason: str) -> None:
    call = {"x": np.ones((2, 3), np.float32), "weight": None, "normalized_shape": (3,), "eps": None}
    assert rms_norm.refusal(**call) is None
    assert rms_norm.refusal(**{**call, **change}) == reason


def test_ops_rms_norm_has_it_for_cupy() -> None:
    assert ops.rms_norm.implementations["cupy"] == [rms_norm]
