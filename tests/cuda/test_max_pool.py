"""max_pool for CuPy, run on NumPy arrays in the emulator: against the reference, ties, nan, marks, refusals."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.emulator import SCHEDULES
from xpnn import ops
from xpnn.cuda import max_pool, windows
from xpnn.cuda.arrays import is_aligned
from xpnn.gradients import vjp
from xpnn.primitive import Primitive
from xpnn.testing import check_primitive

from .emulated import Emulator, emulating
from .pooling import DTYPES, PLAIN, WAYS, array, check_rounding, expected, forcing, plain_cases

LISTED = {plan.entry for plan in max_pool.instantiations()}


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with emulating(monkeypatch) as found:
        yield found
    assert {plan.entry for plan in found.launched} <= LISTED


@pytest.fixture
def primitive() -> Primitive:
    own = Primitive(ops.max_pool.reference, name="max_pool")
    own.add("numpy", max_pool)
    return own


def options(kernel: Any, stride: Any = None, pad: int = 0, dilation: int = 1, **more: Any) -> dict[str, Any]:
    axes = len(kernel)
    return {
        "kernel": kernel,
        "stride": kernel if stride is None else stride,
        "padding": ((pad, pad),) * axes,
        "dilation": (dilation,) * axes,
        **more,
    }


def run(x: Any, static: dict[str, Any], g: Any = None) -> tuple[Any, Any]:
    y, residuals = max_pool.forward(x, **static, need=(True,))
    return y, max_pool.backward(residuals, np.ones_like(y) if g is None else g, (True,))[0]


@pytest.mark.parametrize("way", WAYS)
def test_it_agrees_with_the_reference(emulator: Emulator, primitive: Primitive, monkeypatch: Any, way: str) -> None:
    forcing(monkeypatch, way)
    assert check_primitive(primitive, plain_cases(dilated=True)) == 2 * len(PLAIN)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_other_dtypes_are_rounded_once(emulator: Emulator, monkeypatch: Any, dtype: str, way: str) -> None:
    forcing(monkeypatch, way)
    for (x,), static in itertools.islice(plain_cases(True, DTYPES[dtype]), 8, 17):
        check_rounding(ops.max_pool.reference, max_pool, x, static)


@pytest.mark.parametrize("dtype", DTYPES)
def test_windows_of_more_than_256_elements_keep_marks_in_int32(emulator: Emulator, dtype: str) -> None:
    for kernel, mark in [((16, 16), "unsigned char"), ((16, 17), "int")]:
        x, static = array((1, 5, 18, 19), DTYPES[dtype]), options(kernel, (1, 2))
        check_rounding(ops.max_pool.reference, max_pool, x, static)
        assert all(f", {mark}" in plan.entry for plan in emulator.launched[-2:])
        last = np.zeros((1, 1, 18, 19), DTYPES[dtype])
        last[0, 0, kernel[0] - 1, kernel[1] - 1] = 1  # the last tap of the first window
        np.testing.assert_array_equal(run(last, static)[1] > 0, expected(ops.max_pool.reference, last, static)[2] != 0)


def test_a_window_beyond_the_input_gives_minus_infinity(emulator: Emulator) -> None:
    static = {**options((2,), (1,)), "padding": ((1, 4),)}
    x = array((2, 2, 7), np.float32)
    y, g, dx = expected(ops.max_pool.reference, x, static)
    assert np.isneginf(y[..., 8:]).all()
    found, back = run(x, static, g)
    np.testing.assert_array_equal(found, y)
    np.testing.assert_allclose(back, dx, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("way", ["single", "bands", "lanes"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_and_infinities_as_in_the_reference(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, dtype: str, way: str
) -> None:
    """nan wins and the last one gets the gradient; among elements of -inf the first tap does, be it in the padding."""
    forcing(monkeypatch, "single" if way == "lanes" else way)
    rng = np.random.default_rng(0)
    x = rng.choice([np.nan, -np.inf, np.inf, 0.0, -0.0, 1.0], size=(6, 7, 5, 24), p=[0.1, 0.5, 0.05, 0.1, 0.1, 0.15])
    x = x.astype(DTYPES[dtype])
    x[0] = -np.inf
    static = options((2, 9), (2, 9), 1) if way == "lanes" else options((3, 2), (2, 2), 1)
    y, pullback = vjp(lambda x: ops.max_pool.reference(x, **static), x.astype(np.float32))
    found, dx = run(x, static)
    np.testing.assert_array_equal(found.astype(np.float32), y)
    np.testing.assert_array_equal(dx.astype(np.float32), pullback(np.ones(y.shape, np.float32))[0])


def test_arrays_that_are_not_contiguous_or_badly_aligned(emulator: Emulator) -> None:
    static = options((3, 2), (1, 2), 1)
    x = array((4, 3, 8, 14), np.float32)[::2, :, ::-1, ::2]
    room = np.zeros(x.size + 1, np.float32)[1:].reshape(x.shape)
    room[...] = x
    assert not is_aligned(room)
    y, g, dx = expected(ops.max_pool.reference, x, static)
    backwards = np.ascontiguousarray(g[..., ::-1])[..., ::-1]
    for own in (x, room):
        found, back = run(own, static, backwards)
        np.testing.assert_array_equal(found, y)
        np.testing.assert_allclose(back, dx, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_gradient_has_the_same_bits_under_every_schedule(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    x, static = array((3, 3, 9, 20), DTYPES[dtype], ties=True), options((3, 9), (1, 8), 1)
    with emulating(monkeypatch, SCHEDULES) as emulator:
        check_rounding(ops.max_pool.reference, max_pool, x, static)
    assert len(emulator.launched) == 2


def test_a_block_goes_through_all_of_its_planes(emulator: Emulator, primitive: Primitive, monkeypatch: Any) -> None:
    """One block for a plane, however many planes there are; with one lane for a window, and with several."""
    monkeypatch.setattr(windows, "_BLOCKS", 1)
    forcing(monkeypatch, "single")
    for shape, kernel in [((1, 151, 4, 5), (2, 2)), ((3, 50, 16), (8,))]:
        assert check_primitive(primitive, [((array(shape, np.float32, ties=True),), options(kernel))]) == 1
    assert {plan.grid for plan in emulator.launched} == {(1, 1, 1)}


def test_without_a_gradient_no_marks_are_kept(emulator: Emulator) -> None:
    y, residuals = max_pool.forward(array((1, 2, 4, 4), np.float32), **options((2, 2)), need=(False,))
    assert residuals is None and y.shape == (1, 2, 2, 2)
    assert len(emulator.launched) == 1


def test_an_empty_array_launches_nothing(emulator: Emulator) -> None:
    for shape in [(0, 2, 4, 4), (2, 0, 4, 4)]:
        y, dx = run(np.zeros(shape, np.float32), options((2, 2)))
        assert y.shape == (*shape[:2], 2, 2) and dx.shape == shape
    y, dx = run(np.zeros((2, 4, 4, 0), np.float32), options((2, 2), data_format="channels_last"))
    assert y.shape == (2, 2, 2, 0) and dx.shape == (2, 4, 4, 0)
    assert emulator.launched == []


@pytest.mark.parametrize(
    ("x", "change", "reason"),
    [
        (np.ones((1, 1, 4, 4)), {}, "dtype float64"),
        (np.ones((1, 4, 4), np.float32), {}, "shape"),
        (np.ones((1, 1, 4, 0), np.float32), {}, "an axis without elements"),
        (np.ones((1, 1, 4, 4), np.float32), {"data_format": "NHWC"}, "data_format NHWC"),
        (np.ones((1, 1, 4, 4), np.float32), {"kernel": (5, 2)}, "a window larger than the input"),
    ],
)
def test_it_says_what_it_does_not_take(x: Any, change: dict[str, Any], reason: str) -> None:
    assert max_pool.refusal(np.ones((1, 1, 4, 4), np.float32), **options((2, 2))) is None
    assert max_pool.refusal(x, **{**options((2, 2)), **change}) == reason


def test_ops_max_pool_has_it_for_cupy() -> None:
    assert ops.max_pool.implementations["cupy"] == [max_pool]
