"""causal_conv1d for CuPy, in the emulator: against the reference in float64, its bits, its plans, and what it refuses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.emulator import SCHEDULES
from xpnn import ops
from xpnn.cuda import causal_conv1d
from xpnn.cuda.causal_conv1d import Problem, backward_launches, forward_launch
from xpnn.gradients import vjp
from xpnn.primitive import Primitive, explain
from xpnn.testing import check_primitive

from .emulated import FEW, Emulator, emulating, kernels_for_numpy

DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
HALF = {"float32": 2e-7, "float16": 2.0**-11, "bfloat16": 2.0**-8}
EVERYTHING = (True,) * 4
FIRST, LAST = {"data_format": "channels_first"}, {"data_format": "channels_last"}

# batch, channels, steps, kernel: one step, vectors and tails of time and channels, strips, kernels short and long.
SHAPES = [
    (1, 8, 1, 2),
    (2, 16, 15, 4),
    (1, 5, 17, 3),
    (2, 8, 3, 8),
    (2, 3, 16, 8),
    (3, 8, 33, 4),
    (1, 7, 40, 7),
    (2, 4, 35, 5),
    (1, 2, 70, 6),
    (3, 1, 2, 4),
]


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with emulating(monkeypatch, FEW[:1]) as found:
        yield found


def draw(shape: tuple[int, ...], dtype: str, last: bool, whole: bool = False) -> list[Any]:
    """x, weight, bias, state, and gradients of y and of the new state; integers if they are to be whole."""
    batch, channels, steps, kernel = shape
    rng = np.random.default_rng(shape)
    x, state = ((batch, n, channels) if last else (batch, channels, n) for n in (steps, kernel - 1))
    shapes = [x, (channels, 1, kernel), (channels,), state, x, state]
    arrays = [rng.integers(-3, 4, s) if whole else rng.normal(size=s) for s in shapes]
    return [a.astype(DTYPES[dtype]) for a in arrays]


def ours(arrays: list[Any], **options: Any) -> list[Any]:
    """Both outputs and the gradients, None where an argument is absent."""
    *given, gy, gafter = arrays
    assert causal_conv1d.refusal(*given, **options) is None
    need = tuple(a is not None for a in given)
    out, residuals = causal_conv1d.forward(*given, need=need, **options)
    return [*out, *causal_conv1d.backward(residuals, (gy, gafter), need)]


def exact(arrays: list[Any], **options: Any) -> list[Any]:
    """The same by the reference in float64."""
    *given, gy, gafter = (None if a is None else np.asarray(a, np.float64) for a in arrays)
    places = [i for i, a in enumerate(given) if a is not None]

    def call(*xs: Any) -> Any:
        own: list[Any] = [None] * 4
        for i, x in zip(places, xs, strict=True):
            own[i] = x
        return ops.causal_conv1d.reference(*own, **options)

    out, pullback = vjp(call, *(given[i] for i in places))
    zeros = [np.zeros_like(a) if b is None else b for a, b in zip(out, (gy, gafter), strict=True)]
    found = iter(pullback(tuple(zeros)))
    return [*out, *(next(found) if i in places else None for i in range(4))]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", [FIRST, LAST], ids=["rows", "columns"])
def test_small_integers_come_out_exactly(emulator: Emulator, dtype: str, layout: dict[str, str]) -> None:
    """Sums of them are exact, in the shorter dtypes up to one rounding of the result."""
    absent = [(), (3, 5), (2, 3), (4,)]
    for i, shape in enumerate(SHAPES if dtype == "float32" else SHAPES[1::4]):
        arrays = draw(shape, dtype, layout is LAST, whole=True)
        for missing, activation in ((absent[i % 4], None), (absent[(i + 2) % 4], "relu")):
            own = [None if j in missing else a for j, a in enumerate(arrays)]
            found, wanted = (f(own, activation=activation, **layout) for f in (ours, exact))
            for x, y in zip(found, wanted, strict=True):
                assert (x is None) == (y is None)
                assert x is None or (x.dtype == DTYPES[dtype] and np.array_equal(x, y.astype(x.dtype))), shape


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", [FIRST, LAST], ids=["rows", "columns"])
def test_silu_is_rounded_once(emulator: Emulator, dtype: str, layout: dict[str, str]) -> None:
    """Half a unit in the last place of the result, and what float32 sums lose."""
    for shape in SHAPES[1::3] if dtype == "float32" else SHAPES[1:2]:
        arrays = draw(shape, dtype, layout is LAST)
        for x, y in zip(
            ours(arrays, activation="silu", **layout), exact(arrays, activation="silu", **layout), strict=True
        ):
            scale = float(np.abs(y).max())
            assert np.all(np.abs(x.astype(np.float64) - y) <= HALF[dtype] * np.abs(y) + 2e-6 * scale + 1e-7)


def test_it_agrees_with_the_reference(emulator: Emulator) -> None:
    own = Primitive(ops.causal_conv1d.reference, name="causal_conv1d")
    own.add("numpy", causal_conv1d)
    cases: list[Any] = []
    for shape, layout, activation in [
        (SHAPES[1], FIRST, "silu"), (SHAPES[2], LAST, "silu"), (SHAPES[5], LAST, None), (SHAPES[7], FIRST, "relu"),
        ((2, 3, 0, 4), FIRST, "silu"), ((0, 8, 5, 4), LAST, None), ((2, 0, 5, 4), FIRST, None),
    ]:  # fmt: skip
        arrays = draw(shape, "float32", layout is LAST)[:4]
        cases.append((arrays, {"activation": activation, **layout}))
        cases.append(([*arrays[:2], None, None], {"activation": activation, **layout}))
    x, weight, bias, state = draw((4, 6, 20, 4), "float32", last=False)[:4]
    cases.append(([x[::2, ::-1, ::-1], weight[..., ::-1], bias[::-1], state[::2, ::-1]], FIRST))
    assert check_primitive(own, cases) == len(cases)


@pytest.mark.parametrize("layout", [FIRST, LAST], ids=["rows", "columns"])
def test_every_schedule_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch, layout: dict[str, str]) -> None:
    """The emulator compares them."""
    with emulating(monkeypatch, SCHEDULES):
        for dtype, shape in (("float32", (2, 12, 37, 3)), ("float16", (2, 8, 9, 8))):
            ours(draw(shape, dtype, layout is LAST), activation="silu", **layout)


@pytest.mark.parametrize("layout", [FIRST, LAST], ids=["rows", "columns"])
def test_pieces_have_the_bits_of_the_whole(emulator: Emulator, layout: dict[str, str]) -> None:
    for dtype, kernel in (("float16", 4), ("float32", 8)):
        x, weight, bias, state = draw((2, 8, 41, kernel), dtype, layout is LAST)[:4]
        call = {"activation": "silu", "need": (False,) * 4, **layout}
        (whole, after), _ = causal_conv1d.forward(x, weight, bias, state, **call)
        axis, pieces = 1 if layout is LAST else 2, []
        for piece in np.split(x, [1, 3, 3, 20, 40], axis=axis):
            (y, state), _ = causal_conv1d.forward(piece, weight, bias, state, **call)
            pieces.append(y)
        assert np.concatenate(pieces, axis=axis).tobytes() == whole.tobytes() and state.tobytes() == after.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("layout", [FIRST, LAST], ids=["rows", "columns"])
def test_alignment_does_not_show(emulator: Emulator, dtype: str, layout: dict[str, str]) -> None:
    """But in the sums over time, whose order depends on it."""
    arrays = draw((2, 8, 21, 4), dtype, layout is LAST, whole=True)
    shifted = []
    for a in arrays:
        room = np.zeros(a.size + 1, a.dtype)
        room[1:] = a.reshape(-1)
        shifted.append(room[1:].reshape(a.shape))
    for x, y in zip(ours(arrays, activation="silu", **layout), ours(shifted, activation="silu", **layout), strict=True):
        if y.ndim == 3 and y.shape[1] != 1 and y.shape != (8,):
            assert x.tobytes() == y.tobytes()
        else:
            np.testing.assert_allclose(x.astype(np.float64), y.astype(np.float64), rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("layout", [FIRST, LAST], ids=["rows", "columns"])
def test_slices_of_the_sums_are_joined(monkeypatch: pytest.MonkeyPatch, layout: dict[str, str]) -> None:
    arrays = draw((3, 9, 130, 4) if layout is LAST else (3, 2, 700, 4), "float32", layout is LAST, whole=True)
    monkeypatch.setattr(causal_conv1d, "_BACKWARD_BLOCKS", 40)
    monkeypatch.setattr(causal_conv1d, "backward_launches", backward_launches.__wrapped__)
    with emulating(monkeypatch, FEW[:2]) as emulator:
        for x, y in zip(ours(arrays, **layout), exact(arrays, **layout), strict=True):
            assert np.array_equal(x, y)
    assert [plan.entry.partition("<")[0] for plan in emulator.launched[-2:]] == [
        "causal_columns_backward" if layout is LAST else "causal_rows_backward", "depthwise_sum",
    ]  # fmt: skip


@pytest.mark.parametrize("layout", [FIRST, LAST], ids=["rows", "columns"])
def test_what_is_not_wanted_is_not_computed(emulator: Emulator, layout: dict[str, str]) -> None:
    *given, gy, gafter = draw((2, 8, 9, 4), "float32", layout is LAST)
    wanted = ours([*given, gy, gafter], **layout)[2:]
    _, residuals = causal_conv1d.forward(*given, need=EVERYTHING, **layout)
    emulator.launched.clear()
    for i in range(4):
        found = causal_conv1d.backward(residuals, (gy, gafter), tuple(j == i for j in range(4)))
        assert [f is None for f in found].count(True) == 3 and found[i].tobytes() == wanted[i].tobytes()
    assert len(emulator.launched) == 4
    assert causal_conv1d.forward(*given, need=(False,) * 4, **layout)[1] is None


@pytest.mark.parametrize("layout", [FIRST, LAST], ids=["rows", "columns"])
def test_infinity_and_nan_stay_within_their_windows(emulator: Emulator, layout: dict[str, str]) -> None:
    for value, step, weighted in itertools.product((np.inf, np.nan), (0, 12), (False, True)):
        arrays = draw((1, 8, 13, 4), "float32", layout is LAST)
        (np.moveaxis(arrays[0], 1, 2) if layout is FIRST else arrays[0])[:, step] = value
        if weighted:
            arrays[1][:, 0, 1] = value
        with np.errstate(invalid="ignore"):
            for x, y in zip(ours(arrays, **layout), exact(arrays, **layout), strict=True):
                np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4)


def test_empty_arrays_launch_nothing(emulator: Emulator) -> None:
    for shape in (2, 3, 0, 4), (0, 3, 5, 4), (2, 0, 5, 4):
        *given, gy, gafter = draw(shape, "float32", last=False)
        (y, after), residuals = causal_conv1d.forward(*given, need=EVERYTHING, **FIRST)
        assert y.shape == given[0].shape and np.array_equal(after, given[3])
        found = causal_conv1d.backward(residuals, (gy, gafter), EVERYTHING)
        assert np.array_equal(found[3], gafter) and not any(a.any() for a in found[:3])
        assert not causal_conv1d.backward(residuals, (gy, None), EVERYTHING)[3].any()
        assert not causal_conv1d.forward(*given[:3], None, need=(False,) * 4, **FIRST)[0][1].any()
    assert emulator.launched == []


def test_through_the_primitive(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, bias, state = draw((2, 8, 9, 4), "float32", last=True)[:4]
    with kernels_for_numpy(monkeypatch):
        (y, after), pullback = vjp(lambda *a: ops.causal_conv1d(*a, **LAST), x, weight, bias, state)
        dx = pullback((np.ones_like(y), np.zeros_like(after)))[0]
        (line,) = explain(lambda: ops.causal_conv1d(x, weight, **LAST))
    assert dx.shape == x.shape and line == "causal_conv1d: cuda.causal_conv1d (vectors of channels)"


CALL = {
    "x": np.ones((2, 3, 8), np.float32), "weight": np.ones((3, 1, 4), np.float32), "bias": None, "state": None, **FIRST,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"x": np.ones((2, 3, 8))}, "dtype float64"),
        ({"bias": np.ones(3, np.float16)}, "dtypes float32 and float16"),
        ({"bias": np.ones(4, np.float32)}, "shapes"),
        ({"state": np.ones((2, 3, 4), np.float32)}, "shapes"),
        ({"weight": np.ones((3, 4), np.float32)}, "shapes"),
        ({"weight": np.ones((8, 1, 4), np.float32)}, "shapes"),
        ({"data_format": "NCL"}, "data_format NCL"),
        ({"activation": "gelu"}, "activation gelu"),
        ({"weight": np.ones((3, 1, 9), np.float32)}, "a kernel of 9 elements"),
        ({"weight": np.ones((3, 1, 1), np.float32)}, "a kernel of 1 elements"),
        (
            {"x": np.broadcast_to(np.float32(1), (2**29, 3, 8))},
            "2^30 or more sequences, steps or weights: x (536870912, 3, 8), weight (3, 1, 4)",
        ),
    ],
)
def test_it_says_what_it_does_not_take(change: dict[str, Any], reason: str) -> None:
    assert causal_conv1d.refusal(**CALL) is None
    assert causal_conv1d.refusal(**{**CALL, **change}) == reason


def test_ops_causal_conv1d_has_it_for_cupy() -> None:
    assert ops.causal_conv1d.implementations["cupy"] == [causal_conv1d]


def test_a_plan_counts_the_bytes_that_must_move() -> None:
    own = Problem(8, 1024, 2048, 4, last=True)
    x, state = 8 * 1024 * 2048, 8 * 1024 * 3
    assert forward_launch("float16", own, "silu", aligned=True).plan.bytes == 2 * (2 * x + 4096 + 2 * state)
    main, last = backward_launches("float16", own, "silu", sums=True, aligned=True)
    slices = main.plan.grid[0] // main.numbers["tiles"]
    assert main.plan.bytes == 2 * (3 * x + 4096 + 3 * state) + 4 * slices * 5120
    assert last.plan.bytes == (4 * slices + 2) * 5120


def test_every_size_has_a_plan_in_the_table_and_fills_a_gpu() -> None:
    listed = {plan.entry for plan in causal_conv1d.instantiations()}
    assert len(listed) == 24
    sizes = itertools.product((1, 64), (1, 64, 500, 4096), (1, 17, 4096), (2, 4, 5, 8), (False, True), (False, True))
    for dtype, (*sizes_of, last, aligned) in itertools.product(DTYPES, sizes):
        own = Problem(*sizes_of, last)
        more = backward_launches(dtype, own, "silu", sums=True, aligned=aligned)
        assert len(more) <= 2
        for found in (forward_launch(dtype, own, "silu", aligned=aligned), more[0]):
            assert found.plan.entry in listed and found.plan.grid[0] < 2**31
    for last in (False, True):
        many = Problem(8, 2048, 2048, 4, last)
        assert forward_launch("float16", many, "silu", aligned=True).plan.grid[0] >= 1000
        assert backward_launches("float16", many, "silu", sums=True, aligned=True)[0].plan.grid[0] >= 1000
