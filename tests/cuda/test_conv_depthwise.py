"""conv_depthwise: the convolution of a filter for each channel, on NumPy arrays with the emulator in the place of the GPU."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.emulator import SCHEDULES
from xpnn import ops
from xpnn.cuda import conv_depthwise
from xpnn.cuda.conv_depthwise import dx_launch, forward_launch, weight_launches
from xpnn.cuda.conv_depthwise_shape import Geometry, geometry_of, strips_of
from xpnn.gradients import vjp
from xpnn.primitive import Primitive
from xpnn.testing import check_primitive

from .emulated import FEW, Emulator, emulating

DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
EVERYTHING = (True, True, True)


def options(
    axes: int,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    data_format: str = "channels_first",
) -> dict[str, Any]:
    """The static arguments of ops.conv; an integer stands for every axis, padding holds integers or pairs."""
    each = [n if isinstance(n, tuple) else (n,) * axes for n in (stride, padding, dilation)]
    pairs = tuple(p if isinstance(p, tuple) else (p, p) for p in each[1])
    return {
        "stride": each[0], "padding": pairs, "dilation": each[2], "groups": groups, "data_format": data_format,
    }  # fmt: skip


# batch, channels, multiplier, sizes, kernel, options
CASES: list[tuple[int, int, int, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    # One axis, which becomes h: causal, whole strips, tails, kernels above 7 and 14 taps, dilation, stride, both together.
    (1, 1, 1, (1,), (1,), {}),
    (2, 3, 1, (16,), (4,), {"padding": ((3, 0),)}),
    (2, 3, 2, (17,), (4,), {"padding": ((0, 3),)}),
    (1, 2, 1, (37,), (31,), {"padding": 15}),
    (1, 2, 3, (23,), (5,), {"dilation": 3, "padding": 6}),
    (1, 2, 1, (13,), (3,), {"dilation": 5, "padding": 5}),
    (2, 2, 2, (29,), (7,), {"stride": 2, "padding": 3}),
    (2, 2, 1, (30,), (2,), {"stride": 5, "padding": 1}),
    (1, 2, 1, (41,), (3,), {"stride": 2, "dilation": 4, "padding": 2}),
    (1, 2, 1, (41,), (5,), {"stride": 4, "dilation": 6, "padding": 9}),
    (1, 2, 1, (41,), (5,), {"stride": 6, "dilation": 4, "padding": 3}),
    (2, 2, 1, (3,), (2,), {"padding": 9}),
    (2, 2, 1, (9,), (3,), {"stride": 2, "padding": ((14, 11),)}),
    (1, 2, 1, (1100,), (3,), {"padding": 1}),
    # Two axes: strips of 4 rows, less and more; blocks of many planes and planes of many blocks.
    (2, 3, 1, (7, 7), (3, 3), {"padding": 1}),
    (1, 2, 2, (5, 9), (3, 5), {"padding": (1, 2)}),
    (2, 2, 1, (9, 8), (7, 7), {"padding": 3}),
    (1, 2, 1, (8, 5), (5, 4), {"padding": ((2, 1), (0, 3))}),
    (2, 4, 2, (8, 9), (3, 3), {"stride": 2, "padding": 1}),
    (1, 2, 3, (11, 10), (5, 2), {"stride": (3, 1), "padding": (2, 0)}),
    (1, 2, 1, (11, 10), (2, 3), {"stride": (1, 4), "padding": (0, 1)}),
    (1, 3, 1, (20, 7), (3, 3), {"dilation": (2, 3), "padding": (2, 3)}),
    (1, 3, 1, (12, 7), (3, 3), {"stride": 2, "dilation": (2, 1), "padding": 2}),
    (1, 1, 4, (6, 6), (1, 1), {}),
    (1, 2, 1, (6, 6), (1, 1), {"stride": 3, "padding": 1}),
    (1, 2, 1, (4, 1), (1, 3), {"padding": (0, 1)}),
    (1, 2, 1, (1, 12), (1, 4), {"padding": (0, (3, 0))}),
    (1, 2, 1, (9, 7), (8, 2), {"padding": (5, 1)}),
    (1, 1, 1, (33, 40), (3, 3), {"padding": 1}),
    (1, 1, 1, (18, 19), (3, 3), {"stride": 1, "padding": 12}),
    (70, 5, 1, (2, 2), (3, 3), {"padding": 1}),
    # Three axes.
    (1, 2, 1, (4, 5, 6), (3, 3, 3), {"padding": 1}),
    (2, 1, 2, (5, 4, 3), (2, 3, 2), {"stride": (2, 1, 2), "padding": (1, 2, 0)}),
    (1, 2, 1, (6, 9, 4), (3, 2, 4), {"dilation": (2, 3, 1), "padding": (2, 1, 2)}),
    (1, 2, 1, (1, 5, 4), (1, 3, 3), {"padding": (0, 1, 1)}),
    (1, 2, 1, (5, 1, 4), (2, 1, 1), {"padding": (2, 0, 0)}),
    (2, 2, 1, (7, 8, 9), (3, 3, 3), {"stride": 3}),
    # More strips than threads of a block: steps over columns, strips, depths and images.
    (3, 1, 1, (40, 33), (3, 3), {}),
    (7, 1, 1, (10, 9, 10), (2, 2, 2), {}),
    # Nothing inside but padding, no image.
    (1, 2, 1, (0,), (3,), {"padding": 2}),
    (1, 2, 2, (0, 4), (2, 3), {"stride": 2, "padding": 2}),
    (0, 3, 1, (5,), (3,), {}),
    (2, 3, 0, (5,), (3,), {}),
]


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with emulating(monkeypatch) as found:
        yield found


def drawn(case: Any, draw: Any) -> tuple[list[Any], dict[str, Any]]:
    """Arrays x, weight, bias of a case, and the options."""
    batch, channels, multiplier, sizes, kernel, given = case
    filters = channels * multiplier
    arrays = [draw((batch, channels, *sizes)), draw((filters, 1, *kernel)), draw((filters,))]
    return arrays, options(len(sizes), groups=channels, **given)


def normal(dtype: Any, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return lambda shape: rng.normal(size=shape).astype(dtype)


def integers(dtype: Any, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return lambda shape: rng.integers(-3, 4, size=shape).astype(dtype)


def expect(arrays: list[Any], static: dict[str, Any], g: Any = None) -> list[Any]:
    """y and the gradients of x, weight and bias as the reference has them, for g, or for small integers."""
    y, pullback = vjp(lambda *a: ops.conv.reference(*a, **static), *arrays)
    return [y, *pullback(integers(y.dtype, 1)(y.shape) if g is None else g)]


def run(arrays: list[Any], static: dict[str, Any], g: Any = None) -> list[Any]:
    """The same by the kernels."""
    assert conv_depthwise.refusal(*arrays, **static) is None
    y, residuals = conv_depthwise.forward(*arrays, need=EVERYTHING, **static)
    g = integers(y.dtype, 1)(y.shape) if g is None else g
    return [y, *conv_depthwise.backward(residuals, g, EVERYTHING)]


def test_it_agrees_with_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Primitive(ops.conv.reference, name="conv")
    own.add("numpy", conv_depthwise)
    cases = [drawn(case, normal(np.float32, i)) for i, case in enumerate(CASES)]
    for (x, weight, _), static in cases[::3]:
        cases.append(([np.moveaxis(x, 1, -1), weight, None], {**static, "data_format": "channels_last"}))
    x, weight, bias = (normal(np.float32)(shape) for shape in [(4, 3, 9, 12), (6, 1, 3, 6), (6,)])
    cases.append(([x[::2, :, :, ::-2], weight[..., ::2], bias[::-1]], options(2, padding=1, groups=3)))
    with emulating(monkeypatch, FEW[:1]) as emulator:
        assert check_primitive(own, cases) == len(cases)
    assert {plan.entry for plan in emulator.launched} == {
        plan.entry for plan in conv_depthwise.instantiations() if "<float" in plan.entry and "sum" not in plan.entry
    }


def test_an_activation_follows(emulator: Emulator) -> None:
    own = Primitive(ops.conv.reference, name="conv")
    own.add("numpy", conv_depthwise)
    cases = []
    for number, activation in ((2, "relu"), (18, "tanh"), (35, "sigmoid"), (-2, "relu")):
        arrays, static = drawn(CASES[number], normal(np.float32))
        cases.append((arrays, {**static, "activation": activation}))
    x, weight, bias = cases[1][0]
    cases.append(([np.moveaxis(x, 1, -1), weight, bias], {**cases[1][1], "data_format": "channels_last"}))
    assert check_primitive(own, cases) == len(cases)


@pytest.mark.parametrize("dtype", DTYPES)
def test_small_integers_come_out_exactly(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    """All sums are exact in float32, and those of these cases in the shorter dtypes up to one rounding of the result."""
    with emulating(monkeypatch, FEW[:1]):
        for i, case in enumerate(CASES if dtype == "float32" else CASES[1::3]):
            arrays, static = drawn(case, integers(np.float64, i))
            expected = expect(arrays, static)
            found = run([a.astype(DTYPES[dtype]) for a in arrays], static)
            for ours, y in zip(found, expected, strict=True):
                assert ours.dtype == DTYPES[dtype] and np.array_equal(ours, y.astype(DTYPES[dtype])), case


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_dtypes_are_rounded_once(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    """Against float64: half a unit in the last place of the result, and what float32 sums lose."""
    half = {"float16": 2.0**-11, "bfloat16": 2.0**-8}[dtype]
    with emulating(monkeypatch, FEW[:1]):
        for i, case in enumerate(CASES[2::5]):
            arrays, static = drawn(case, normal(DTYPES[dtype], i))
            found = run(arrays, static)
            exact = [np.asarray(a, np.float64) for a in arrays]
            expected = expect(exact, static)
            sums = expect([np.abs(a) for a in exact], static, np.full(expected[0].shape, 3.0))
            for ours, y, size in zip(found, expected, sums, strict=True):
                np.testing.assert_array_less(np.abs(ours.astype(np.float64) - y), half * np.abs(y) + 1e-6 * size + 1e-7)


def test_every_schedule_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator compares them."""
    with emulating(monkeypatch, SCHEDULES) as emulator:
        for case in CASES[4], CASES[13], CASES[18], CASES[-4]:
            run(*drawn(case, normal(np.float32)))
    assert {plan.entry.partition("<")[0] for plan in emulator.launched} == {
        "depthwise_gather", "depthwise_spread", "depthwise_weight",
    }  # fmt: skip


@pytest.mark.parametrize("steps", [1, 3])
def test_many_slices_of_the_weight_gradient(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Slices that end inside an image, a row and a strip's column; the last is shorter, the sum's 16 parts are unequal."""
    case = (19, 1, 1, (37, 23), (3, 4), {"padding": 1})
    (x, weight, bias), static = drawn(case, integers(np.float32))
    monkeypatch.setattr(conv_depthwise, "_LEAST_STRIPS", steps)
    monkeypatch.setattr(conv_depthwise, "weight_launches", conv_depthwise.weight_launches.__wrapped__)
    expected = expect([x.astype(np.float64), weight, bias], static)
    with emulating(monkeypatch, FEW[:2]) as emulator:
        y, residuals = conv_depthwise.forward(x, weight, bias, need=EVERYTHING, **static)
        emulator.launched.clear()
        g = integers(np.float32, 1)(y.shape)
        for wanted in [(False, True, True), (False, False, True), (False, True, False)]:
            _, dweight, db = conv_depthwise.backward(residuals, g, wanted)
            assert not wanted[1] or np.array_equal(dweight, expected[2])
            assert not wanted[2] or np.array_equal(db, expected[3])
            assert (dweight is None, db is None) == (not wanted[1], not wanted[2])
    entries = [plan.entry for plan in emulator.launched]
    assert entries == ["depthwise_weight<float>", "depthwise_sum<float>"] * 3
    assert emulator.launched[0].grid[0] // 2 == (17 if steps == 1 else 6)


def test_dweight_without_db_and_the_reverse_in_one_slice(emulator: Emulator) -> None:
    (x, weight, bias), static = drawn(CASES[16], integers(np.float32))
    expected = expect([x, weight, bias], static)
    y, residuals = conv_depthwise.forward(x, weight, bias, need=EVERYTHING, **static)
    g = integers(np.float32, 1)(y.shape)
    for i in range(3):
        emulator.launched.clear()
        found = conv_depthwise.backward(residuals, g, tuple(j == i for j in range(3)))
        assert np.array_equal(found[i], expected[1 + i]) and [f is None for f in found].count(True) == 2
        assert len(emulator.launched) == 1


def test_infinity_and_nan_stay_within_their_windows(emulator: Emulator) -> None:
    """Rows of g behind a strip's end are no windows, rows of a strip have no taps of each other: what is not seen stays finite."""
    for sizes, kernel, given in [
        ((9, 6), (3, 2), {}),
        ((9, 6), (4, 2), {"stride": 3}),
        ((10,), (4,), {}),
        ((20, 3), (3, 1), {"dilation": (2, 1)}),
    ]:
        (x, weight, bias), static = drawn((1, 2, 1, sizes, kernel, given), normal(np.float32))
        for place, value in itertools.product([0, -1], [np.inf, np.nan]):
            own = x.copy()
            own[0, :, place] = value
            with np.errstate(invalid="ignore"):
                expected = expect([own, weight, bias], static)
            for ours, y in zip(run([own, weight, bias], static), expected, strict=True):
                np.testing.assert_allclose(ours, y, rtol=1e-4, atol=1e-4)
    g = np.zeros((1, 2, 9), np.float32)
    g[..., 4] = np.nan
    dx = run(drawn((1, 2, 1, (9,), (3,), {"padding": 1}), normal(np.float32))[0], options(1, 1, 1, 1, 2), g)[1]
    assert np.array_equal(np.isnan(dx[0, 0]), [False] * 3 + [True] * 3 + [False] * 3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_badly_aligned_arrays(emulator: Emulator, dtype: str) -> None:
    (x, weight, bias), static = drawn((2, 2, 1, (16,), (4,), {"padding": ((3, 0),)}), integers(DTYPES[dtype]))
    y, _ = conv_depthwise.forward(x, weight, bias, need=(False,) * 3, **static)
    room = np.zeros(1000, x.dtype)
    off = [room[1 + 200 * i :][: a.size].reshape(a.shape) for i, a in enumerate([x, weight, bias, y])]
    for own, a in zip(off, [x, weight, bias, y], strict=True):
        own[...] = a
    off[3][...] = 0
    geometry = geometry_of(x.shape, weight.shape, static["stride"], static["padding"], static["dilation"])
    found = forward_launch(dtype, geometry, True)
    assert found.numbers["vector"] == 1
    conv_depthwise._gather(found, off[3], *off[:3], None)
    assert off[3].tobytes() == y.tobytes()


def test_empty_arrays_launch_nothing(emulator: Emulator) -> None:
    for case in CASES[-2:]:
        (x, weight, bias), static = drawn(case, normal(np.float32))
        y, residuals = conv_depthwise.forward(x, weight, bias, need=EVERYTHING, **static)
        for found, a in zip(conv_depthwise.backward(residuals, y, EVERYTHING), (x, weight, bias), strict=True):
            assert found.shape == a.shape and not found.any()
    assert emulator.launched == []


CALL = {
    "x": np.ones((2, 3, 8), np.float32), "weight": np.ones((6, 1, 3), np.float32), "bias": None, **options(1, groups=3),
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"x": np.ones((2, 3, 8))}, "dtype float64"),
        ({"bias": np.ones(6, np.float16)}, "dtypes float32 and float16"),
        ({"bias": np.ones(3, np.float32)}, "shape of bias"),
        ({"groups": 1, "weight": np.ones((6, 3, 3), np.float32)}, "not depthwise: 1 groups of 3 channels"),
        ({"x": np.ones((2, 8, 8), np.float32)}, "not depthwise: 3 groups of 8 channels"),
        ({"data_format": "channels_last"}, "not depthwise: 3 groups of 8 channels"),
        ({"activation": "gelu"}, "activation gelu"),
        ({"data_format": "other"}, "data_format other"),
        ({"weight": np.ones((7, 1, 3), np.float32)}, "shapes"),
        ({"weight": np.ones((6, 1, 0), np.float32)}, "shapes"),
        ({"weight": np.ones((6, 1, 3, 3), np.float32)}, "shapes"),
        ({"dilation": (4,)}, "a kernel larger than the input"),
        ({"padding": ((-1, 0),)}, "a stride, dilation or padding that is too small"),
        ({"stride": (0,)}, "a stride, dilation or padding that is too small"),
        ({"padding": ((2**29, 0),)}, "axes (8,) padded by ((536870912, 0),)"),
        (
            {"x": np.broadcast_to(np.float32(1), (2**30, 3, 8))},
            "2^30 or more planes, weights or elements of a plane: x (1073741824, 3, 8), weight (6, 1, 3)",
        ),
    ],
)
def test_it_says_what_it_does_not_take(change: dict[str, Any], reason: str) -> None:
    assert conv_depthwise.refusal(**CALL) is None
    assert conv_depthwise.refusal(**{**CALL, **change}) == reason


def test_ops_conv_has_it_for_cupy() -> None:
    assert conv_depthwise in ops.conv.implementations["cupy"]


def geometry(batch: int, channels: int, multiplier: int, size: int, taps: int, stride: int = 1) -> Geometry:
    shape = (batch, channels, size, size)
    around = ((taps // 2, taps // 2),) * 2
    return geometry_of(shape, (channels * multiplier, 1, taps, taps), (stride,) * 2, around, (1, 1))


def test_a_plan_counts_the_bytes_that_must_move() -> None:
    own = geometry(32, 8, 2, 56, 3, 2)
    x, y, weight = 32 * 8 * 56 * 56, 32 * 16 * 28 * 28, 16 * 9
    assert forward_launch("float16", own, True).plan.bytes == 2 * (x + y + weight + 16)
    assert dx_launch("float16", own).plan.bytes == 2 * (x + y + weight)
    main, last = (found.plan for found in weight_launches("float16", own, True, True))
    slices = main.grid[0] // 16
    assert main.bytes == 2 * (x + y) + 4 * slices * (weight + 16)
    assert last.bytes == (4 * slices + 2) * (weight + 16)
    assert forward_launch("float32", own, True).plan.flops == main.flops - y == 2 * y * 9


def test_every_size_has_plans_of_the_table_and_fills_a_gpu() -> None:
    listed = {plan.entry for plan in conv_depthwise.instantiations()}
    assert len(listed) == 15
    for dtype, batch, channels, multiplier, size, taps, stride in itertools.product(
        DTYPES, (1, 64), (1, 500), (1, 3), (1, 7, 300), (1, 3, 5, 31), (1, 2)
    ):
        own = geometry(batch, channels, multiplier, size, taps, stride)
        weights = weight_launches(dtype, own, True, True)
        launches = (forward_launch(dtype, own, True), dx_launch(dtype, own), *weights)
        assert {found.plan.entry for found in launches} <= listed and len(weights) <= 2
    many = geometry(64, 32, 1, 112, 3)
    for found in (
        forward_launch("float32", many, True),
        dx_launch("float32", many),
        *weight_launches("float32", many, True, True),
    ):
        assert found.plan.grid[0] >= 1000 or "sum" in found.plan.entry


@pytest.mark.parametrize("apart", [1, 2, 3, 7])
def test_strips_cover_an_axis_once(apart: int) -> None:
    for size in range(1, 40):
        strips, step, sliding = strips_of(size, 2, 2 * apart)
        begins = [i // step * 4 * step + i % step for i in range(strips)]
        covered = [begin + q * step for begin in begins for q in range(4)]
        assert sorted(covered)[:size] == list(range(size)) and len(set(covered)) == len(covered)
        assert sliding == (apart == 1 or size >= 4 * apart) and len(covered) < size + 4 * step
