"""softmax and log_softmax for CuPy, run in the emulator: against the references, against float64, and what they refuse."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import array_api_compat.numpy
import ml_dtypes
import numpy as np
import pytest

from tests.emulator import SCHEDULES
from xpnn import ops
from xpnn.cuda import log_softmax, softmax
from xpnn.cuda.launch import launch
from xpnn.cuda.softmax_tiling import Rows, tiling
from xpnn.primitive import Primitive
from xpnn.testing import check_primitive

from .emulated import Emulator, emulating

DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
# The largest error of an element, relative to the largest: half a unit in the last place, and twice that where y is saved.
ROUNDING = {"float32": 3e-6, "float16": 1.2e-3, "bfloat16": 1e-2}
FORMS = {"softmax": softmax, "log_softmax": log_softmax}
# Rows of one element and of primes; as long as a thread, a team of 2, a block brings at once, one below, one above; columns as
# wide as a warp, one more; few long rows, which are cut; many short ones, of which a block takes several.
SHAPES = [
    ((1,), 0), ((3, 1), 1), ((5, 4), 1), ((5, 5), 1), ((7, 7), 1), ((9, 8), -1), ((9, 9), -1), ((33, 16), -1), ((2, 1024), 1),
    ((2, 1025), 1), ((3, 2047), 1), ((2, 2048), 1), ((2, 2052), 1), ((2, 9001), 1), ((300, 3), 1), ((1, 32772), 1), ((33000,), 0),
    ((9, 257), 1), ((3, 2045), 1), ((3, 2046), 1),
    ((2, 1, 3), 1), ((2, 3, 2), 1), ((3, 5, 31), 1), ((1, 5, 32), 1), ((2, 65, 33), 1), ((3, 3, 4), 1), ((2, 9, 36), 1),
    ((5, 4, 3), 0), ((2, 3, 5, 4), -2), ((8000, 3), 0), ((8200, 4), 0), ((0, 3), 1), ((3, 4, 0), 1),
]  # fmt: skip

both = pytest.mark.parametrize("name", FORMS)


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with emulating(monkeypatch) as found:
        yield found


def primitive(name: str) -> Primitive:
    """The primitive with the form for CuPy as one for NumPy."""
    own = Primitive(getattr(ops, name).reference, name=name)
    own.add("numpy", FORMS[name])
    return own


def random(dtype: str, shape: tuple[int, ...], seed: int = 0, scale: float = 3) -> Any:
    return (np.random.default_rng([seed, *shape]).normal(size=shape) * scale).astype(DTYPES[dtype])


def exact(name: str, x: Any, g: Any, axis: int) -> tuple[Any, Any]:
    """(y, dx) in float64."""
    x, g = (np.asarray(a, np.float64) for a in (x, g))
    x = x - x.max(axis, keepdims=True)
    p = np.exp(x) / np.exp(x).sum(axis, keepdims=True)
    if name == "softmax":
        return p, p * (g - (g * p).sum(axis, keepdims=True))
    return x - np.log(np.exp(x).sum(axis, keepdims=True)), g - p * g.sum(axis, keepdims=True)


@both
def test_it_agrees_with_the_reference(emulator: Emulator, name: str) -> None:
    shapes = SHAPES if name == "softmax" else SHAPES[1::3]  # the walk is the same
    cases = [((random("float32", shape),), {"axis": axis}) for shape, axis in shapes]
    cases += [((random("float32", (6, 10))[::2, ::-1],), {}), ((random("float32", (6, 4, 8)).T,), {"axis": 1})]
    assert check_primitive(primitive(name), cases) == len(shapes) + 2
    kernels = {plan.entry for plan in emulator.launched}
    assert kernels == {plan.entry for plan in softmax.instantiations() if "<float," in plan.entry}


@both
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "axis"), [((3, 272), 1), ((5, 7), 1), ((2, 5, 12), 1), ((2, 5, 16), 1)])
def test_it_is_as_near_to_float64_as_the_dtype_allows(
    emulator: Emulator, name: str, dtype: str, shape: tuple[int, ...], axis: int
) -> None:
    x, g = random(dtype, shape), random(dtype, shape, seed=1)
    y, residuals = FORMS[name].forward(x, axis=axis, need=(True,))
    (dx,) = FORMS[name].backward(residuals, g, (True,))
    for found, expected in zip((y, dx), exact(name, x, g, axis), strict=True):
        assert found.dtype == DTYPES[dtype]
        error = np.abs(np.asarray(found, np.float64) - expected).max()
        assert error <= ROUNDING[dtype] * np.abs(expected).max()


@both
@pytest.mark.parametrize("shape", [(2, 6), (2, 8), (6, 2, 4), (1, 33000)])
def test_rows_with_infinities_and_nan(emulator: Emulator, name: str, shape: tuple[int, ...]) -> None:
    """As the reference has it, wherever the value lies in its row."""
    inf, nan = np.inf, np.nan
    for values in ([-inf], [inf], [nan], [-inf, nan], [1e4, -1e4], [3e38, -3e38], [-3.4028235e38]):
        x = random("float32", shape)
        row = x.reshape(shape[0], -1)[0]
        for i, value in enumerate(values):
            row[(i * 5 + 1) % row.size] = value
        with np.errstate(all="ignore"):
            expected = getattr(ops, name)(x, axis=-1)
        found, _ = FORMS[name].forward(x, need=(False,))
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-30)


@both
@pytest.mark.parametrize(("shape", "axis"), [((2, 40000), 1), ((9, 3), 1), ((2, 9, 4), 1)])
def test_a_row_of_minus_infinity_is_nan_throughout(
    emulator: Emulator, name: str, shape: tuple[int, ...], axis: int
) -> None:
    x = np.full(shape, -np.inf, np.float32)
    x[0] = 1
    y, residuals = FORMS[name].forward(x, axis=axis, need=(True,))
    (dx,) = FORMS[name].backward(residuals, np.ones_like(x), (True,))
    assert np.isnan(y[1:]).all() and np.isnan(dx[1:]).all()
    assert np.isfinite(y[0]).all() and np.isfinite(dx[0]).all()


def test_a_masked_logit_has_no_gradient(emulator: Emulator) -> None:
    x = np.array([[0.0, -np.inf, 1.0]], np.float32)
    y, residuals = softmax.forward(x, need=(True,))
    (dx,) = softmax.backward(residuals, np.array([[1.0, 5.0, 2.0]], np.float32), (True,))
    assert y[0, 1] == 0 and dx[0, 1] == 0
    np.testing.assert_allclose(dx.sum(), 0, atol=1e-7)


@both
def test_rows_in_pieces_have_the_same_bits_under_every_schedule(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    x = random("float32", (2, 33001))
    with emulating(monkeypatch, SCHEDULES) as emulator:
        y, residuals = FORMS[name].forward(x, need=(True,))
        (dx,) = FORMS[name].backward(residuals, random("float32", x.shape, seed=1), (True,))
    assert len(emulator.launched) == 4 and emulator.launched[0].grid[0] > 4
    for found, expected in zip((y, dx), exact(name, x, random("float32", x.shape, seed=1), 1), strict=True):
        np.testing.assert_allclose(found, expected, rtol=3e-5, atol=1e-6)


@both
@pytest.mark.parametrize("length", [511, 513, 4089, 4090, 4097, 33003])
def test_rows_of_16_bits_that_begin_anywhere(emulator: Emulator, name: str, length: int) -> None:
    """As long as goes through shared memory, as a block brings at once from wherever the row begins, longer, in pieces."""
    rows = 9 if length < 5000 else 2
    x, g = random("float16", (rows, length)), random("float16", (rows, length), seed=1)
    y, residuals = FORMS[name].forward(x, need=(True,))
    (dx,) = FORMS[name].backward(residuals, g, (True,))
    assert {"__half, 1," in plan.entry for plan in emulator.launched} == {length < 512}
    for found, expected in zip((y, dx), exact(name, x, g, 1), strict=True):
        error = np.abs(np.asarray(found, np.float64) - expected).max()
        assert error <= 2 * ROUNDING["float16"] * np.abs(expected).max()


@both
@pytest.mark.parametrize("shape", [(300, 10), (70, 16), (5, 301), (2, 9000)])
@pytest.mark.parametrize("start", [1, 3])
def test_arrays_that_begin_alike_move_as_vectors(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, name: str, shape: tuple[int, ...], start: int
) -> None:
    def beside(x: Any) -> Any:
        return np.full(x.size + start, np.nan, x.dtype)[start:].reshape(x.shape)

    monkeypatch.setattr(array_api_compat.numpy, "empty_like", beside)
    x, g = beside(np.zeros(shape, np.float32)), beside(np.zeros(shape, np.float32))
    x[...], g[...] = random("float32", shape), random("float32", shape, seed=1)
    y, residuals = FORMS[name].forward(x, need=(True,))
    (dx,) = FORMS[name].backward(residuals, g, (True,))
    assert {"<float, 1," in plan.entry for plan in emulator.launched} == {shape[1] == 10}
    for found, expected in zip((y, dx), exact(name, x, g, 1), strict=True):
        np.testing.assert_allclose(found, expected, rtol=3e-5, atol=1e-6)


@both
@pytest.mark.parametrize("shape", [(150, 10), (7, 511), (7, 513)])
def test_a_block_takes_tiles_one_after_another(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, name: str, shape: tuple[int, ...]
) -> None:
    """As it does where there are more of them than blocks fill a GPU; they begin at other places within 16 bytes."""
    x, g = random("float16", shape), random("float16", shape, seed=1)
    monkeypatch.setattr(
        softmax, "launch", lambda plan, values: launch(dataclasses.replace(plan, grid=(1, 1, 1)), values)
    )
    y, residuals = FORMS[name].forward(x, need=(True,))
    (dx,) = FORMS[name].backward(residuals, g, (True,))
    for found, expected in zip((y, dx), exact(name, x, g, 1), strict=True):
        assert np.abs(found - expected).max() <= 2 * ROUNDING["float16"] * np.abs(expected).max()


def test_badly_aligned_arrays_take_the_kernel_of_single_elements(emulator: Emulator) -> None:
    room = np.zeros(8 * 8 + 1, np.float32)
    x = room[1:].reshape(8, 8)
    x[...] = random("float32", (8, 8))
    for axis in (0, 1):
        y = softmax.forward_into(x, axis, log=False)
        assert emulator.launched[-1].entry == "softmax_forward<float, 1, false>"
        np.testing.assert_allclose(y, exact("softmax", x, x, axis)[0], rtol=1e-5)


def test_empty_arrays_launch_nothing(emulator: Emulator) -> None:
    for shape, axis in [((0, 3), 1), ((3, 0), 0), ((2, 3, 0), 1)]:
        y, residuals = softmax.forward(np.zeros(shape, np.float32), axis=axis, need=(True,))
        assert softmax.backward(residuals, y, (True,))[0].shape == y.shape == shape
    assert emulator.launched == []


def test_no_plan_chooses_a_kernel_that_is_not_listed() -> None:
    listed = {plan.entry for plan in softmax.instantiations()}
    assert len(listed) == 18
    sizes = (1, 3, 4, 8, 100, 1024, 10**6)
    for dtype, *shape, aligned in itertools.product(DTYPES, sizes, sizes, sizes, (True, False)):
        rows = Rows(dtype, *shape)
        forward, backward = (f(rows, aligned=aligned) for f in (softmax.forward_plans, softmax.backward_plans))
        assert {plan.entry for plan in (*forward, *backward)} <= listed
        assert len(forward) == len(backward) <= 2
        tiles = tiling(rows, aligned=aligned)
        assert tiles.block[0] * tiles.block[1] == 256 and tiles.grid[0] <= 2048
        assert not tiles.spans or tiles.block[1] * rows.length <= 1024
        assert (tiles.pieces - 1) * tiles.span < rows.length <= tiles.pieces * tiles.span


@pytest.mark.parametrize(
    ("rows", "block", "grid"),
    [
        (Rows("float32", 4096, 10, 1), (4, 64, 1), 64),  # several rows a warp
        (Rows("float32", 4096, 256, 1), (32, 8, 1), 512),  # a warp a row
        (Rows("float32", 512, 50256, 1), (256, 1, 1), 512),  # a block a row
        (Rows("float32", 8, 10**6, 1), (256, 1, 1), 8 * 62),  # several blocks a row
        (Rows("float32", 8, 21, 512 * 512), (16, 16, 1), 2048),  # neighbours are columns
        (Rows("float32", 1, 10**6, 8), (2, 128, 1), 489),
        (Rows("float16", 512, 50256, 1), (256, 1, 1), 512),
        (Rows("float16", 512, 50257, 1), (256, 1, 1), 512),
        (Rows("float32", 64, 509, 1), (64, 4, 1), 16),  # with room before the first element
        (Rows("float32", 64, 510, 1), (128, 2, 1), 32),
        (Rows("float16", 8, 21, 512 * 512), (16, 16, 1), 2048),  # 8 columns a thread
    ],
)  # fmt: skip
def test_how_rows_are_shared(rows: Rows, block: tuple[int, ...], grid: int) -> None:
    plan = softmax.forward_plans(rows, aligned=True)[-1]
    assert (plan.block, plan.grid[0]) == (block, grid)


def test_a_plan_counts_the_bytes_that_must_move() -> None:
    """Forward: x and y; backward: g, y and dx; in pieces: what is read twice, and two numbers of each piece."""
    rows = Rows("float16", 1000, 64, 3)
    assert softmax.forward_plans(rows, aligned=False)[0].bytes == 2 * 1000 * 64 * 3 * 2
    assert softmax.backward_plans(rows, aligned=False)[0].bytes == 3 * 1000 * 64 * 3 * 2
    pieces, rest = softmax.forward_plans(Rows("float32", 1, 2**20, 1), aligned=True)
    parts = pieces.grid[0] * 8
    assert (pieces.bytes, rest.bytes) == (4 * 2**20 + parts, 8 * 2**20 + parts)


@pytest.mark.parametrize(
    ("x", "axis", "reason"),
    [
        (np.ones((2, 3)), -1, "dtype float64"),
        (np.ones((2, 3), np.float32), 2, "axis 2 of shape (2, 3)"),
        (np.ones((2, 3), np.float32), -3, "axis -3 of shape (2, 3)"),
        (np.float32(1), -1, "axis -1 of shape ()"),
        (np.ones((2, 0), np.float32), 1, "rows of 0 elements"),
        (np.broadcast_to(np.float32(1), (2, 2**30 + 1)), 1, "rows of 1073741825 elements"),
    ],
)
def test_it_says_what_it_does_not_take(x: Any, axis: int, reason: str) -> None:
    assert softmax.refusal(np.ones((2, 3), np.float32), axis=0) is None
    assert softmax.refusal(x, axis=axis) == log_softmax.refusal(x, axis=axis) == reason


@both
def test_the_ops_have_it_for_cupy(name: str) -> None:
    assert getattr(ops, name).implementations["cupy"] == [FORMS[name]]
