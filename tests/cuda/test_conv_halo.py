"""conv of 16 bits with halos in shared memory, in the emulator: exact sums, errors, special values, planted faults; the choice."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import xpnn
from xpnn import ops
from xpnn.cuda import conv, conv_half, conv_halo, conv_transpose
from xpnn.cuda.conv_shape import Convolution

from .emulated import FEW, Emulator, emulating, kernels_for_numpy
from .mutations import holds, plant
from .test_conv import DTYPES, case, expected, gradient
from .test_conv_plans import convolution

# One element; an odd and an even number of chunks, of one tap and of all; kernels beyond the image; asymmetric padding, dilation;
# one to three axes; several boxes of an axis, several images in a box; more than one tile of columns; whole vectors on the way out.
CASES: dict[str, Any] = {
    "one": ((1, 1, 2), 1, (2,)),
    "odd": ((3, 5, 9, 7), 7, (3, 3), 1, (1, 1)),
    "even": ((2, 16, 8, 8), 16, (3, 3), 1, (1, 1)),
    "two chunks and three": ((1, 17, 5, 6), 24, (1, 4), 1, (2, 1)),
    "dilated": ((2, 9, 13, 6), 3, (3, 2), 1, (3, 0), 3),
    "beyond": ((1, 3, 2, 2), 4, (5, 5), 1, (4, 3)),
    "3-d": ((2, 3, 4, 3, 5), 4, (2, 3, 3), 1, (1, 0)),
    "columns": ((1, 10, 4, 19), 70, (2, 3), 1, (0, 1)),
    "long": ((2, 8, 300), 6, (5,), 1, (2, 2)),
    "boxes": ((1, 2, 20, 19), 2, (3, 3), 1, (1, 1)),
}
BLOCKS = list(itertools.product((64, 32), (64, 32)))  # rows of a warp, columns
Forced = Callable[[int, int], None]


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    monkeypatch.setenv("XPNN_CONV", "halo")
    with emulating(monkeypatch) as found:
        yield found


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Forced]:
    """Calls make all plans have so many rows in a warp, and columns."""
    caches = conv_halo.refusal, conv_halo.best, conv_halo.halo_plan

    def force(rows: int, columns: int) -> None:
        for cache in caches:
            cache.cache_clear()
        monkeypatch.setattr(conv_halo, "_WARP_ROWS", (rows,))
        monkeypatch.setattr(conv_halo, "_COLUMNS", (columns,))

    yield force
    for cache in caches:
        cache.cache_clear()


def entries(emulator: Emulator) -> list[str]:
    return [plan.entry for plan in emulator.launched if plan.file == "conv_halo.cu"]


def passes(arrays: tuple[Any, ...], static: dict[str, Any], dtype: str, g: Any = None) -> list[Any]:
    """y and dx."""
    x, weight, bias = (a if a is None else a.astype(DTYPES[dtype]) for a in arrays)
    y, residuals = conv.forward(x, weight, bias, **static, need=(True, False, False))
    g = gradient(y.shape) if g is None else g
    return [y, conv.backward(residuals, g.astype(y.dtype), (True, False, False))[0]]


def check(name: str, dtype: str, last: bool) -> None:
    arrays, static = case(*CASES[name], last=last)
    for x, y in zip(passes(arrays, static, dtype), expected(arrays, static)[:2], strict=True):
        assert x.dtype == DTYPES[dtype]
        np.testing.assert_array_equal(x, y.astype(x.dtype))


@pytest.mark.parametrize("name", CASES)
def test_sums_of_small_integers_are_exact(emulator: Emulator, name: str) -> None:
    check(name, "float16", list(CASES).index(name) % 2 == 0)
    assert len(entries(emulator)) == 2


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(("rows", "columns"), BLOCKS)
def test_every_block(emulator: Emulator, forced: Forced, rows: int, columns: int, dtype: str) -> None:
    """Of many rows that one box does not fill, and two tiles of columns at least in one direction."""
    forced(rows, columns)
    check("columns", dtype, last=rows == columns)
    name = f"conv_halo<Half<{'__half' if dtype == 'float16' else '__nv_bfloat16'}>, {rows}, {columns}>"
    assert entries(emulator) == [name, name]


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("name", ["even", "boxes", "long"])
def test_both_formats(emulator: Emulator, forced: Forced, name: str, last: bool) -> None:
    """With 256 rows: whole vectors from two halves of a tile, several images, boxes that the image does not fill."""
    forced(64, 32)
    check(name, "float16", last)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_only_the_result_is_rounded(emulator: Emulator, dtype: str) -> None:
    """Half a unit in the last place of the result, and what float32 sums lose."""
    rng = np.random.default_rng(0)
    arrays, static = case((2, 40, 6, 6), 20, (3, 3), 1, (1, 1))
    own = tuple(a if a is None else rng.normal(size=a.shape).astype(DTYPES[dtype]) for a in arrays)
    g = rng.normal(size=expected(arrays, static)[0].shape).astype(DTYPES[dtype])
    for x, y in zip(passes(own, static, dtype, g), expected(own, static, g)[:2], strict=True):
        allowed = (2**-11 if dtype == "float16" else 2**-8) * np.abs(y) + 1e-5 * np.abs(y).max()
        assert np.all(np.abs(x.astype(np.float64) - y) <= allowed)
    assert len(entries(emulator)) == 2


@pytest.mark.parametrize("tap", range(6))
def test_a_filter_of_one_tap_moves_the_image(emulator: Emulator, tap: int) -> None:
    x = np.arange(1, 21, dtype=np.float16).reshape(1, 1, 4, 5)
    weight = np.zeros((1, 1, 2, 3), np.float16)
    weight[0, 0, tap // 3, tap % 3] = 1
    static = {"stride": (1, 1), "padding": ((1, 0), (2, 1)), "dilation": (1, 1)}
    y, _ = conv.forward(x, weight, None, **static, need=(False,) * 3)
    around = np.pad(x, ((0, 0), (0, 0), (1, 0), (2, 1)))
    np.testing.assert_array_equal(y, around[..., tap // 3 :, tap % 3 :][..., : y.shape[2], : y.shape[3]])


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_an_activation_is_applied_on_the_way_out(emulator: Emulator, activation: str) -> None:
    arrays, static = case((2, 3, 6, 6), 6, (3, 3))
    given = [(a / 8).astype(np.float16) for a in arrays]
    y, _ = conv.forward(*given, **static, activation=activation, need=(False,) * 3)
    z = expected(tuple(given), static)[0]
    apply = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, "sigmoid": lambda z: 1 / (1 + np.exp(-z))}
    np.testing.assert_allclose(y.astype(np.float64), apply[activation](z), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("name", ["even", "odd"])
def test_scale_and_residual_on_the_way_out(emulator: Emulator, name: str, last: bool) -> None:
    """In whole vectors and in single elements."""
    (x, weight, bias), static = case(*CASES[name], last=last)
    rng = np.random.default_rng(0)
    scale = rng.integers(1, 4, weight.shape[0]).astype(np.float32)
    residual = rng.integers(-9, 9, expected((x, weight, bias), static)[0].shape).astype(np.float32)
    arrays = [a if a is None else a.astype(np.float16) for a in (x, weight, bias, scale, residual)]
    y, _ = conv.forward(*arrays, **static, need=(False,) * 5)
    wide = [a if a is None else a.astype(np.float64) for a in arrays]
    np.testing.assert_array_equal(y, ops.conv.reference(*wide, **static).astype(np.float16))
    assert len(entries(emulator)) == 1


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
def test_a_transposed_convolution(emulator: Emulator, last: bool) -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.integers(-3, 4, shape).astype(np.float16) for shape in ((2, 10, 5, 6), (10, 4, 3, 3), (4,)))
    x = np.ascontiguousarray(np.moveaxis(x, 1, -1)) if last else x
    static = {
        "stride": (1, 1), "padding": ((1, 1),) * 2, "output_padding": (0, 0), "dilation": (1, 1), "groups": 1,
        "data_format": "channels_last" if last else "channels_first",
    }  # fmt: skip
    y, residuals = conv_transpose.forward(x, weight, bias, **static, activation="relu", need=(True,) * 3)
    wide = [a.astype(np.float64) for a in (x, weight, bias)]
    np.testing.assert_array_equal(y, ops.conv_transpose.reference(*wide, **static, activation="relu"))
    conv_transpose.backward(residuals, y, (True, False, False))
    assert len(entries(emulator)) == 2
    assert conv_transpose.way(x, weight, bias, **static) == "conv_halo.cu: boxes of 2 x 3 x 6"


def test_packed_arrays_are_read_as_they_lie(emulator: Emulator) -> None:
    """Channels last and a multiple of 8: only the weight is packed. Beside the grid of 16 bytes everything is."""
    (x, weight, _), static = case((2, 16, 5, 5), 16, (3, 3), 1, (1, 1), last=True)
    x, weight = x.astype(np.float16), weight.astype(np.float16)
    room = np.zeros(x.size + 1, np.float16)
    beside = room[1:].reshape(x.shape)
    beside[...] = x
    for given, packed in ((x, 1), (beside, 2), (x[::-1, ::-1], 1)):
        emulator.launched.clear()
        y, _ = conv.forward(given, weight, None, **static, need=(False,) * 3)
        assert [plan.grid[1] for plan in emulator.launched if "pack" in plan.entry] == [packed]
        np.testing.assert_array_equal(y, expected((given, weight, None), static)[0])


def test_nan_and_inf_reach_what_they_should_and_nothing_else(emulator: Emulator) -> None:
    """Nine chunks: what pads the sum, the channels, the image and the box meets neither."""
    x, weight = np.zeros((2, 1, 6, 6), np.float16), np.ones((2, 1, 3, 3), np.float16)
    x[0, 0, 0, 0], x[0, 0, 5, 5], x[1, 0, 2, 3] = np.nan, np.inf, -np.inf
    static = {"stride": (1, 1), "padding": ((1, 1),) * 2, "dilation": (1, 1)}
    y, _ = conv.forward(x, weight, None, **static, need=(False,) * 3)
    wanted = np.zeros((2, 2, 6, 6))
    wanted[0, :, :2, :2], wanted[0, :, 4:, 4:], wanted[1, :, 1:4, 2:5] = np.nan, np.inf, -np.inf
    np.testing.assert_array_equal(y, wanted)


# case, a place in the kernel, what comes there instead
FAULTS = [
    ("odd", "begin[x] + a.lower[x] + place.at[x]", "begin[x] + place.at[x]"),
    ("odd", "place.advance(by, a.halo);", ""),
    ("even", "flat(tap.at, a.halo) * a.pitch", "flat(tap.at, a.halo) * a.chunks"),
    ("two chunks and three", "tap.at[x] * a.step[x]", "tap.at[x]"),
    ("odd", "if (thread == 0) halo[zero] = Chunk{};", ""),
    ("odd", "q < all && n0 + n < a.outputs", "n0 + n < a.outputs"),
    ("even", "ptx::copy_async_wait<0>();", ""),
    ("even", "__syncthreads();\n        if ((s + 1)", "if ((s + 1)"),
    ("even", "        __syncthreads();\n        if (warp * WM", "        if (warp * WM"),
    ("even", "(c ^ n % 8)", "c"),
    ("odd", "begin[x] + place.at[x] < a.target[x]", "begin[x] + place.at[x] <= a.target[x]"),
]


def is_right(name: str) -> bool:
    """Whether y and dx of this case of small integers are exact; raises what the emulator raises."""
    arrays, static = case(*CASES[name])
    return all(map(np.array_equal, passes(arrays, static, "float16"), expected(arrays, static)))


@pytest.mark.parametrize(("name", "place", "fault"), FAULTS)
def test_a_planted_fault_is_seen(monkeypatch: pytest.MonkeyPatch, name: str, place: str, fault: str) -> None:
    def change(source: str, entry: str) -> str | None:
        if not entry.startswith("conv_halo<"):
            return None
        before, head, kernel = source.partition('#line 1 "conv_halo.cu"')
        assert place in kernel
        return before + head + kernel.replace(place, fault, 1)

    monkeypatch.setenv("XPNN_CONV", "halo")
    planted = plant(monkeypatch, change)
    with emulating(monkeypatch, FEW):
        right = holds(lambda: is_right(name))
    assert planted and not right


@pytest.mark.parametrize("name", sorted({name for name, _, _ in FAULTS}))
def test_without_a_fault_all_is_right(emulator: Emulator, name: str) -> None:
    assert is_right(name)


def layers() -> Iterator[Convolution]:
    """Those that the kernel takes, of many sizes."""
    for batch, channels, filters, size, k, last in itertools.product(
        (1, 33), (1, 33, 64), (3, 64, 130), (7, 32, 56), (3, 5), (False, True)
    ):
        yield convolution(batch, channels, filters, size, k, last=last)


def test_plans_fit_every_gpu_and_choose_listed_kernels() -> None:
    listed = {plan.entry for plan in conv_halo.instantiations()}
    assert len(listed) == 8
    chosen = set()
    for own, which in itertools.product(layers(), (False, True)):
        if conv_halo.refusal(own, gradient=which) is not None:
            continue
        plan, values = conv_halo.halo_plan("float16", own, "relu", gradient=which, aligned=True)
        chosen.add(plan.entry)
        outputs = own.channels if which else own.filters
        assert plan.shared <= 64 * 1024 and plan.grid[0] >= -(-outputs // 64)
        assert np.prod(values["box"]) <= 4 * int(plan.entry.split(", ")[1]) and values["pitch"] % 2 == 1
        assert plan.bytes == 2 * sum(own.elements) and plan.flops == own.flops
    assert chosen == {entry for entry in listed if "__half" in entry}


def test_little_of_a_box_is_wasted() -> None:
    """Of the positions that blocks compute, most are asked for."""
    for size, least in ((56, 0.85), (32, 1.0), (28, 0.85), (13, 0.65), (7, 0.7)):
        own = convolution(64, 32, 64, size, 3)
        plan, _ = conv_halo.halo_plan("bfloat16", own, None, gradient=False, aligned=True)
        rows, columns = map(int, plan.entry.rstrip(">").split(", ")[1:])
        assert own.positions >= least * plan.grid[0] // -(-64 // columns) * 4 * rows


REASONS = [
    (convolution(32, 64, 64, 56, 3), None),
    (convolution(8, 32, 64, 28, 5, last=True), None),
    (convolution(32, 512, 512, 7, 3), "dearer by the model of the costs"),
    (convolution(32, 64, 64, 56, 1), "a kernel of one element"),
    (convolution(32, 64, 64, 56, 3, 2), "stride (2, 2)"),
    (convolution(32, 64, 64, 56, 3, groups=2), "2 groups"),
    (convolution(32, 2048, 2048, 56, 5), "a halo of more than 65536 bytes"),
]


@pytest.mark.parametrize(("own", "reason"), REASONS)
def test_it_says_who_computes_and_why(own: Convolution, reason: str | None) -> None:
    for which in (False, True):
        way = conv_half.KINDS["float16"].way(own, gradient=which)
        assert way.startswith("conv_halo.cu: boxes of ") if reason is None else way.endswith(f"; no halos: {reason}")


def test_explain_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = np.ones((1, 8, 9, 9), ml_dtypes.bfloat16), np.ones((8, 8, 3, 3), ml_dtypes.bfloat16)
    with kernels_for_numpy(monkeypatch, FEW[:1]):
        for asked, told in (
            ("halo", "conv_halo.cu: boxes of 1 x 4 x 7"),
            ("gather", "conv_half.cu: tiles of 128 x 16; no halos: XPNN_CONV"),
        ):
            monkeypatch.setenv("XPNN_CONV", asked)
            assert xpnn.explain(ops.conv2d, x, weight) == [f"conv: cuda.conv ({told})"]
        monkeypatch.setenv("XPNN_CONV", "winograd")
        with pytest.raises(ValueError, match="XPNN_CONV: expected one of auto, gather, halo, wgmma, got 'winograd'"):
            ops.conv2d(x, weight)
