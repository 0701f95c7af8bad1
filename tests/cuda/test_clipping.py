"""clip_grad_norm's kernels in the emulator: against the formula in float64, and what is launched when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.emulator import SCHEDULES
from xpnn import optim
from xpnn.cuda import chunks as chunking
from xpnn.cuda import clipping as cuda
from xpnn.optim import clipping

from .emulated import Emulator, emulating
from .test_optimizer import DTYPES, ROUNDING, SHAPES, arrays, entries, exact, misplaced

every_dtype = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(clipping.implementations, "numpy", cuda)


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch, kernels: None) -> Iterator[Emulator]:
    with emulating(monkeypatch) as found:
        yield found


def norm_of(grads: list[Any]) -> Any:
    return np.sqrt(sum((x * x).sum() for x in exact(grads)))


@every_dtype
@pytest.mark.parametrize("max_norm", [0.5, 1e6])
def test_it_agrees_with_the_formula(emulator: Emulator, dtype: str, max_norm: float) -> None:
    grads = arrays(dtype, *SHAPES)
    grads[5], grads[-1] = misplaced(grads[5]), misplaced(grads[-1])
    kept = [x.tobytes() for x in grads]
    scaled, norm = optim.clip_grad_norm({"a": grads[:5], "b": [None, *grads[5:]]}, max_norm)
    expected = norm_of(grads)
    assert norm.dtype == np.float32 and norm.shape == ()
    np.testing.assert_allclose(norm, expected, rtol=1e-6)
    found = [*scaled["a"], *scaled["b"][1:]]
    for x, y in zip(found, exact(grads), strict=True):
        assert x.dtype == DTYPES[dtype] and x.shape == y.shape
        wanted = y * min(max_norm / (expected + 1e-6), 1)
        np.testing.assert_allclose(np.asarray(x, np.float64), wanted, rtol=ROUNDING[dtype], atol=1e-7)
    assert [x.tobytes() for x in grads] == kept
    if max_norm > expected:
        assert [x.tobytes() for x in found] == kept
    t = cuda.C_TYPES[dtype]
    assert entries(emulator) == [f"square_sums<{t}>", f"clip_scale<{t}>"]


def test_arrays_of_all_dtypes_have_one_norm(emulator: Emulator) -> None:
    grads = [x for dtype in DTYPES for x in arrays(dtype, (33,), (4100,))]
    scaled, norm = optim.clip_grad_norm(grads, 1.0)
    np.testing.assert_allclose(norm, norm_of(grads), rtol=1e-6)
    np.testing.assert_allclose(norm_of(scaled), 1, rtol=1e-3)
    assert len(emulator.launched) == 6


def test_more_arrays_than_fit_into_the_struct(emulator: Emulator) -> None:
    emulator.schedules = SCHEDULES[:1]
    grads = arrays("float32", *[(2,)] * (chunking.ARRAYS + 1))
    scaled, norm = optim.clip_grad_norm(grads, 1.0)
    np.testing.assert_allclose(norm, norm_of(grads), rtol=1e-6)
    np.testing.assert_allclose(scaled, np.asarray(grads) / norm, rtol=1e-5)
    assert [plan.grid[0] for plan in emulator.launched] == [chunking.ARRAYS, 1, chunking.ARRAYS, 1]


def test_blocks_that_work_on_several_chunks_have_the_same_bits_under_every_schedule(
    monkeypatch: pytest.MonkeyPatch, kernels: None
) -> None:
    for name in ("_SUM_BLOCKS", "_SCALE_BLOCKS"):
        monkeypatch.setattr(cuda, name, 3)
    cuda.plans.cache_clear()
    grads = arrays("float32", (4096 * 4 + 5,), (7,), (4096 * 2,), seed=3)
    with emulating(monkeypatch, SCHEDULES) as emulator:
        scaled, norm = optim.clip_grad_norm(grads, 1.0)
    cuda.plans.cache_clear()
    assert [plan.grid[0] for plan in emulator.launched] == [3, 3]
    np.testing.assert_allclose(norm, norm_of(grads), rtol=1e-6)
    for x, y in zip(scaled, grads, strict=True):
        np.testing.assert_allclose(x, y / norm, rtol=1e-5)


def test_more_sums_than_a_block_has_threads(monkeypatch: pytest.MonkeyPatch, kernels: None) -> None:
    monkeypatch.setattr(chunking, "_CHUNK", 8)
    chunking.chunks.cache_clear()
    grads = arrays("float32", (8 * 259 + 1,))
    with emulating(monkeypatch, SCHEDULES[:2]) as emulator:
        _, norm = optim.clip_grad_norm(grads, 1.0)
    chunking.chunks.cache_clear()
    assert emulator.launched[0].grid[0] == 260
    np.testing.assert_allclose(norm, norm_of(grads), rtol=1e-6)


def test_of_empty_arrays_the_norm_is_zero(emulator: Emulator) -> None:
    grads = [np.zeros((0, 3), np.float32), np.zeros(0, np.float16)]
    scaled, norm = optim.clip_grad_norm(grads, 1.0)
    assert norm == 0 and norm.dtype == np.float32 and emulator.launched == []
    assert [(x.shape, x.dtype) for x in scaled] == [(x.shape, x.dtype) for x in grads]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_special_values(emulator: Emulator, value: float) -> None:
    """As by array functions: nan makes all of it nan; inf makes zeros of the rest."""
    grads = [np.ones(5, np.float32), np.array([1, value], np.float32)]
    scaled, norm = optim.clip_grad_norm(grads, 1.0)
    rest = np.nan if np.isnan(value) else 0
    np.testing.assert_array_equal(norm, value)
    np.testing.assert_array_equal(scaled[0], np.full(5, rest))
    np.testing.assert_array_equal(scaled[1], [rest, np.nan])


def test_strided_gradients(emulator: Emulator) -> None:
    g = arrays("float32", (6, 5))[0]
    scaled, _ = optim.clip_grad_norm([g.T, g[::2]], 1.0)
    norm = norm_of([g, g[::2]])
    np.testing.assert_allclose(scaled[0], g.T / norm, rtol=1e-5)
    np.testing.assert_allclose(scaled[1], g[::2] / norm, rtol=1e-5)


def test_it_says_what_it_does_not_take(emulator: Emulator) -> None:
    one = np.ones(2, np.float32)
    assert cuda.refusal([one, np.ones(2, np.float16)]) is None
    assert cuda.refusal([one, np.ones(2)]) == "dtype float64"
    assert cuda.refusal([one, np.float32(1)]) == "arrays of types ndarray and float32"
    optim.clip_grad_norm([one, np.ones(2)], 1.0)
    assert emulator.launched == []


def test_plans() -> None:
    """g is read once for the sums, read and written once for the scaling; the sums are a row of at most 1024."""
    sums, scale = cuda.plans("float16", 10_000, 3)
    assert (sums.bytes, scale.bytes) == (20_000 + 12, 40_000)
    sums, scale = cuda.plans("float32", 2**30, 2**18)
    assert (sums.grid[0], scale.grid[0]) == (1024, 2048)
    found = list(cuda.instantiations())
    assert len({plan.entry for plan in found}) == len(found) == 6
    assert all(plan.layout.dtype.itemsize <= 4096 for plan in found)
