"""avg_pool for CuPy, run on NumPy arrays in the emulator: against the reference, what counts as an element, refusals."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.emulator import SCHEDULES
from xpnn import ops
from xpnn.cuda import avg_pool, windows
from xpnn.cuda.arrays import is_aligned
from xpnn.primitive import Primitive
from xpnn.testing import check_primitive

from .emulated import Emulator, emulating
from .pooling import DTYPES, PLAIN, WAYS, array, check_rounding, expected, forcing, plain_cases

LISTED = {plan.entry for plan in avg_pool.instantiations()}


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with emulating(monkeypatch) as found:
        yield found
    assert {plan.entry for plan in found.launched} <= LISTED


@pytest.fixture
def primitive() -> Primitive:
    own = Primitive(ops.avg_pool.reference, name="avg_pool")
    own.add("numpy", avg_pool)
    return own


def options(kernel: Any, stride: Any = None, pad: int = 0, counted: int = 0, **more: Any) -> dict[str, Any]:
    axes = len(kernel)
    return {
        "kernel": kernel,
        "stride": kernel if stride is None else stride,
        "padding": ((pad, pad),) * axes,
        "counted": ((counted, counted),) * axes,
        **more,
    }


def cases(dtype: Any = np.float32) -> Iterator[tuple[tuple[Any], dict[str, Any]]]:
    """Padding counts not at all, but for what is added behind it, or in part; or a number replaces the count."""
    for number, ((x,), static) in enumerate(plain_cases(dilated=False, dtype=dtype)):
        pairs = static["padding"]
        counted = (((0, 0),) * len(pairs), tuple((p, p) for p, _ in pairs), tuple((p, 0) for p, _ in pairs))
        yield (x,), {**static, "counted": counted[number % 3], "divisor": -2.5 if number % 5 == 4 else None}


@pytest.mark.parametrize("way", WAYS)
def test_it_agrees_with_the_reference(emulator: Emulator, primitive: Primitive, monkeypatch: Any, way: str) -> None:
    forcing(monkeypatch, way)
    assert check_primitive(primitive, cases()) == 2 * len(PLAIN)


def test_of_the_padding_as_much_counts_as_is_said(emulator: Emulator, primitive: Primitive) -> None:
    def own() -> Iterator[tuple[tuple[Any], dict[str, Any]]]:
        x = array((2, 3, 6), np.float32)
        for front, back in itertools.product((0, 1, 2), (0, 1, 2, 3)):
            counted = {"padding": ((2, 3),), "counted": ((front, back),)}
            yield (x,), {**options((4,), (1,)), **counted}
            yield (
                (x[:, :, None, :],),
                {**options((1, 4), (1, 2)), "padding": ((0, 0), (2, 3)), "counted": ((0, 0), (front, back))},
            )

    assert check_primitive(primitive, own()) == 24


def test_a_block_goes_through_all_of_its_planes(emulator: Emulator, primitive: Primitive, monkeypatch: Any) -> None:
    """One block for a plane, however many planes there are."""
    monkeypatch.setattr(windows, "_BLOCKS", 1)
    forcing(monkeypatch, "single")
    for shape in [(1, 150, 4, 5), (3, 50, 10)]:
        axes = len(shape) - 2
        assert check_primitive(primitive, [((array(shape, np.float32),), options((2,) * axes, (1,) * axes))]) == 1
    assert {plan.grid for plan in emulator.launched} == {(1, 1, 1)}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_are_rounded_once(emulator: Emulator, monkeypatch: Any, dtype: str, way: str) -> None:
    forcing(monkeypatch, way)
    for (x,), static in itertools.islice(cases(DTYPES[dtype]), 8, 17):
        check_rounding(ops.avg_pool.reference, avg_pool, x, static)


def test_a_long_sum_in_float16_is_kept_in_float32(emulator: Emulator) -> None:
    x = np.full((1, 1, 3000), 4.0, np.float16)
    y, _ = avg_pool.forward(x, **options((3000,)), need=(False,))
    assert y == 4
    x[...] = 6e4  # whose sum float16 cannot hold
    y, _ = avg_pool.forward(x, **options((3000,)), need=(False,))
    assert y == np.float16(6e4)


@pytest.mark.parametrize(("pad", "counted", "divisor"), [(0, 0, 6.0), (1, 1, 6.0), (1, 0, 0.0)])
def test_windows_of_one_size_share_a_divisor(pad: int, counted: int, divisor: float) -> None:
    x = array((2, 3, 8, 9), np.float32)
    _, residuals = avg_pool.forward(
        np.zeros((0, *x.shape[1:]), np.float32), **options((3, 2), (1, 1), pad, counted), need=(True,)
    )
    assert residuals[1] == divisor


def test_nan_and_infinities_stay(emulator: Emulator) -> None:
    x = np.array([[[np.nan, 1, np.inf, 1, np.inf, -np.inf, -np.inf, 0, 1, 2]]], np.float32)
    y, residuals = avg_pool.forward(x, **options((2,)), need=(True,))
    np.testing.assert_array_equal(y, [[[np.nan, np.inf, np.nan, -np.inf, 1.5]]])
    g = np.array([[[np.nan, np.inf, 1, 2, 3]]], np.float32)
    dx = avg_pool.backward(residuals, g, (True,))[0]
    np.testing.assert_array_equal(dx, np.repeat(g / 2, 2, axis=-1))


def test_arrays_that_are_not_contiguous_or_badly_aligned(emulator: Emulator) -> None:
    static = options((3, 2), (1, 2), 1)
    x = array((4, 3, 8, 14), np.float32)[::2, :, ::-1, ::2]
    room = np.zeros(x.size + 1, np.float32)[1:].reshape(x.shape)
    room[...] = x
    assert not is_aligned(room)
    y, g, dx = expected(ops.avg_pool.reference, x, static)
    backwards = np.ascontiguousarray(g[..., ::-1])[..., ::-1]
    for own in (x, room):
        found, residuals = avg_pool.forward(own, **static, need=(True,))
        np.testing.assert_allclose(found, y, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(avg_pool.backward(residuals, backwards, (True,))[0], dx, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_both_directions_have_the_same_bits_under_every_schedule(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    x, static = array((3, 3, 9, 20), DTYPES[dtype]), options((3, 9), (1, 8), 1)
    with emulating(monkeypatch, SCHEDULES) as emulator:
        check_rounding(ops.avg_pool.reference, avg_pool, x, static)
    assert len(emulator.launched) == 2


def test_an_empty_array_launches_nothing(emulator: Emulator) -> None:
    for shape, more in [((0, 2, 4, 4), {}), ((2, 0, 4, 4), {}), ((2, 4, 4, 0), {"data_format": "channels_last"})]:
        y, residuals = avg_pool.forward(np.zeros(shape, np.float32), **options((2, 2), **more), need=(True,))
        assert y.size == 0 and avg_pool.backward(residuals, y, (True,))[0].shape == shape
    assert emulator.launched == []


@pytest.mark.parametrize(
    ("x", "change", "reason"),
    [
        (np.ones((1, 1, 4, 4), np.int32), {}, "dtype int32"),
        (np.ones((1, 4, 4), np.float32), {}, "shape"),
        (np.ones((1, 1, 4, 4), np.float32), {"divisor": 0}, "divisor 0"),
        (np.ones((1, 1, 4, 4), np.float32), {"kernel": (5, 2)}, "a window larger than the input"),
    ],
)
def test_it_says_what_it_does_not_take(x: Any, change: dict[str, Any], reason: str) -> None:
    assert avg_pool.refusal(np.ones((1, 1, 4, 4), np.float32), **options((2, 2))) is None
    assert avg_pool.refusal(x, **{**options((2, 2)), **change}) == reason


def test_ops_avg_pool_has_it_for_cupy() -> None:
    assert ops.avg_pool.implementations["cupy"] == [avg_pool]
