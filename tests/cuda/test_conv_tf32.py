"""conv of float32 on tensor cores, for precisions below "highest", in the emulator: exact sums, errors, special values, choice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn.cuda import conv, conv_float, conv_half, conv_shape, conv_tf32

from .emulated import Emulator, emulating
from .test_conv import CASES, case, expected, gradient, ours

LOWER = ("high", "medium")


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with emulating(monkeypatch) as found:
        yield found


def kernels(emulator: Emulator) -> set[str]:
    """Names and numbers of products of what was launched on tensor cores."""
    found = (re.match(r"conv_(\w+)_tensor<Tf32<(\d)>", plan.entry) for plan in emulator.launched)
    return {f"{match[1]} {match[2]}" for match in found if match}


# Each case once for each number of products, in one layout for one and in the other for the other.
@pytest.mark.parametrize("precision", LOWER)
@pytest.mark.parametrize("name", CASES)
def test_sums_of_small_integers_are_exact(emulator: Emulator, name: str, precision: str) -> None:
    arrays, static = case(*CASES[name], last=(list(CASES).index(name) % 2 == 0) == (precision == "high"))
    with xpnn.precision(precision):
        found = ours(arrays, static, np.float32)
    for x, y in zip(found, expected(arrays, static), strict=True):
        assert x.dtype == np.float32
        np.testing.assert_array_equal(x, y)
    n = 3 if precision == "high" else 1
    assert kernels(emulator) == {f"gather {n}", f"weight {n}"}


@pytest.mark.parametrize("precision", LOWER)
def test_the_large_tile(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    monkeypatch.setattr(conv_shape, "_ENOUGH_BLOCKS", 1)
    arrays, static = case((1, 6, 12, 11), 67, (2, 3), last=precision == "high")
    with xpnn.precision(precision):
        y, _ = conv.forward(*arrays, **static, need=(False,) * 3)
    assert "128, 64, " in emulator.launched[-1].entry
    np.testing.assert_array_equal(y, expected(arrays, static)[0])


def noise(shape: tuple[int, ...], seed: int) -> Any:
    """Of both signs, with magnitudes over two decades."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) * 10 ** rng.uniform(-1, 1, shape)).astype(np.float32)


def in_parts(precision: str) -> Iterator[tuple[Any, Any, Any]]:
    """(found, exact, what a function of the products allows) for y, dx and dw of two layers."""
    for spec in (CASES["dilated groups"], ((2, 21, 9, 9), 20, (3, 3), 1, (1, 1))):
        (x, w, _), static = case(*spec)
        x, w = noise(x.shape, 1), noise(w.shape, 2)
        g = noise(expected((x, w, None), static)[0].shape, 3)
        with xpnn.precision(precision):
            found = ours((x, w, None), static, np.float32, g)
        own = (lambda a: a.astype(np.float64) ** 2) if precision == "medium" else np.abs
        allowed = expected((own(x), own(w), None), static, own(g))
        yield from zip(found, expected((x, w, None), static, g), allowed, strict=True)


def test_high_is_as_good_as_float32(emulator: Emulator) -> None:
    """The error is at most 6e-7 of the sum of the products' magnitudes."""
    for found, exact, magnitudes in in_parts("high"):
        assert np.all(np.abs(found - exact) <= 6e-7 * magnitudes)


def test_medium_rounds_the_factors_to_nearest(emulator: Emulator) -> None:
    """With s the root of the sum of the squared products: truncated factors would give an rms of 7.7e-4 s, rounded 2.9e-4 s."""
    for found, exact, squares in in_parts("medium"):
        seen = squares > 0
        np.testing.assert_array_equal(found[~seen], 0)
        error = (found - exact)[seen] / np.sqrt(squares[seen])
        assert np.abs(error).max() <= 2.5e-3
        assert 1e-4 < np.sqrt(np.mean(error**2)) < 4e-4


@pytest.mark.parametrize("precision", ["highest", *LOWER])
def test_inf_and_nan_come_out_as_in_float32(emulator: Emulator, precision: str) -> None:
    """Three products would make nan of inf times a small part that is 0 or of the other sign."""
    x = np.ones((1, 2, 1, 12), np.float32)
    x[0, 0, 0, 2], x[0, 1, 0, 5], x[0, 0, 0, 8], x[0, 0, 0, 9] = np.inf, -np.inf, np.nan, np.inf
    w = np.array([0.3, 0.7, -1.1, 1.0], np.float32).reshape(2, 2, 1, 1)
    static = {"stride": (1, 1), "padding": ((0, 0),) * 2, "dilation": (1, 1)}
    with xpnn.precision(precision):
        found = ours((x, w, None), static, np.float32, np.ones((1, 2, 1, 12), np.float32))
    inf, nan = np.inf, np.nan
    np.testing.assert_array_equal(np.where(np.isfinite(found[0]), 0, found[0])[0, :, 0], [
        [0, 0, inf, 0, 0, -inf, 0, 0, nan, inf, 0, 0],
        [0, 0, -inf, 0, 0, -inf, 0, 0, nan, -inf, 0, 0],
    ])  # fmt: skip
    assert np.isfinite(found[1]).all()
    np.testing.assert_array_equal(found[2][:, :, 0, 0], [[nan, -inf]] * 2)


HUGE = float(np.finfo(np.float32).max)


@pytest.mark.parametrize("given", [(HUGE, 3.1e38, -HUGE, 2.0**63), (1e38, -1.7e25, 2.1e37, -3.3e30), (2.0**63, 1.0)])
def test_high_overflows_only_where_float32_does(emulator: Emulator, given: tuple[float, ...]) -> None:
    """Also where rounding to tf32 would be infinite, and where a product of parts overflows with the other sign."""
    x = np.array(given, np.float32).reshape(1, 1, -1)
    w = np.array([0.5, 1.0, *np.linspace(1e30, 9e30, 7)], np.float32).reshape(9, 1, 1)
    static = {"stride": (1,), "padding": ((0, 0),), "dilation": (1,)}
    with xpnn.precision("high"):
        y, _ = conv.forward(x, w, None, **static, need=(False,) * 3)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(y[0], w[:, 0] * x[0])


@pytest.mark.parametrize("precision", LOWER)
def test_a_shared_sum_has_the_same_bits_again(emulator: Emulator, precision: str) -> None:
    (x, w, _), static = case(*CASES["shared sum"])
    with xpnn.precision(precision):
        y, residuals = conv.forward(noise(x.shape, 1), w, None, **static, need=(True,) * 3)
        once, again = (conv.backward(residuals, y, (True,) * 3) for _ in range(2))
    assert emulator.launched[-1].file == "conv_combine.cu" and emulator.launched[-2].grid[2] > 1
    assert [a.tobytes() for a in once] == [a.tobytes() for a in again]


def test_packed_and_misaligned_arrays(emulator: Emulator) -> None:
    """Channels last, a multiple of 4 in each group, lie packed already; beside the grid of 16 bytes, or with 6, they do not."""
    for channels, packed in ((8, 1), (12, 2)):
        (x, w, _), static = case((2, channels, 5, 5), 16, (3, 3), 1, (1, 1), groups=2, last=True)
        room = np.zeros(x.size + 1, np.float32)
        beside = room[1:].reshape(x.shape)
        beside[...] = x
        for given, count in ((x, packed), (beside, 2), (x[:, ::-1, ::-1], packed)):
            emulator.launched.clear()
            with xpnn.precision("medium"):
                y, _ = conv.forward(given, w, None, **static, need=(False,) * 3)
            assert [plan.grid[1] for plan in emulator.launched if "pack" in plan.entry] == [count]
            np.testing.assert_array_equal(y, expected((given, w, None), static)[0])


def test_the_backward_computes_as_the_forward_did(emulator: Emulator) -> None:
    (x, w, bias), static = case((2, 3, 6, 6), 6, (3, 3))
    with xpnn.precision("high"):
        y, residuals = conv.forward(x / 8, w / 8, bias, **static, activation="tanh", need=(True,) * 3)
    emulator.launched.clear()
    found = conv.backward(residuals, gradient(y.shape), (True,) * 3)
    assert kernels(emulator) == {"gather 3", "weight 3"}
    wanted = expected((x / 8, w / 8, bias), static, gradient(y.shape) * (1 - y.astype(np.float64) ** 2))[1:]
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6 * np.abs(b).max())


def test_who_computes() -> None:
    """float32 by the precision and the GPU; 16 bits and exact float32 whatever they are."""
    x = np.zeros(1, np.float32)
    turing, ampere = (
        SimpleNamespace(dtype=x.dtype, device=SimpleNamespace(compute_capability=c)) for c in ("75", "80")
    )
    assert conv.family_of(x) is conv.family_of(ampere) is conv_float
    for precision in LOWER:
        with xpnn.precision(precision):
            assert conv.family_of(x) is conv.family_of(ampere) is conv_tf32.KINDS[precision]
            assert conv.family_of(turing) is conv_float
            assert conv.family_of(x.astype(np.float16)) is conv_half.KINDS["float16"]
