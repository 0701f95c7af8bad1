"""conv for CuPy, run on NumPy arrays with the emulator in the place of the GPU: against the reference, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from xpnn import ops
from xpnn.cuda import conv, conv_shape
from xpnn.gradients import vjp
from xpnn.primitive import Primitive
from xpnn.testing import check_primitive

from .emulated import Emulator, emulating

DTYPES: dict[str, Any] = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
Case = tuple[tuple[Any, ...], dict[str, Any]]


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    monkeypatch.setenv("XPNN_CONV", "gather")  # the other kernel has test_conv_halo.py
    with emulating(monkeypatch) as found:
        yield found


@pytest.fixture
def primitive() -> Primitive:
    """ops.conv with the form for CuPy in the place of that for NumPy."""
    own = Primitive(ops.conv.reference, name="conv")
    own.add("numpy", conv)
    return own


def case(
    x: tuple[int, ...],
    filters: int,
    kernel: tuple[int, ...],
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
    dilation: int = 1,
    groups: int = 1,
    last: bool = False,
    **options: Any,
) -> Case:
    """Small integers, exact in every dtype and in every order of sums; x (N, C, *S), also where the channels come last."""
    rng = np.random.default_rng([sum(x), filters, *kernel])
    weight = rng.integers(-3, 4, (filters, x[1] // groups, *kernel)).astype(np.float32)
    bias = rng.integers(-3, 4, filters).astype(np.float32) if filters % 2 == 0 else None
    data = rng.integers(-3, 4, x).astype(np.float32)
    axes = len(kernel)
    static = {"stride": (stride,) * axes, "padding": (padding,) * axes, "dilation": (dilation,) * axes}
    data = np.ascontiguousarray(np.moveaxis(data, 1, -1)) if last else data
    name = "channels_last" if last else "channels_first"
    return (data, weight, bias), {**static, "groups": groups, "data_format": name, **options}


# One element; strides above the kernel; asymmetric padding; dilation; groups; one to three axes; tiles of 16, 64 and 128, and what
# lies one beside them; more than one tile of columns; a sum shared by several blocks.
CASES = {
    "one": ((1, 1, 1), 1, (1,)),
    "1-d": ((3, 5, 17), 4, (4,), 3, (2, 1)),
    "stride above kernel": ((2, 3, 8, 7), 5, (1, 2), 3),
    "dilated groups": ((2, 4, 11, 9), 6, (3, 3), 2, (3, 2), 2, 2),
    "3-d": ((2, 3, 5, 4, 4), 4, (2, 3, 3), 2, (1, 0)),
    "17 filters": ((1, 3, 8, 8), 17, (3, 3), 1, (1, 1)),
    "65 filters": ((1, 2, 5, 13), 65, (1, 3)),
    "depthwise": ((2, 3, 9, 9), 6, (3, 3), 1, (1, 1), 1, 3),
    "whole vectors": ((1, 4, 8, 8), 20, (1, 1)),
    "shared sum": ((5, 2, 12, 12), 3, (2, 2), 1, (1, 0)),
}  # fmt: skip


def gradient(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(1).integers(-2, 3, shape).astype(np.float32)


def expected(arrays: tuple[Any, ...], static: dict[str, Any], g: Any = None) -> list[Any]:
    """Output and gradients of the reference in float64."""
    given = [a.astype(np.float64) for a in arrays if a is not None]
    out, pullback = vjp(lambda *a: ops.conv.reference(*a, *(None,) * (3 - len(a)), **static), *given)
    return [out, *pullback((gradient(out.shape) if g is None else g).astype(np.float64))]


def ours(arrays: tuple[Any, ...], static: dict[str, Any], dtype: Any, g: Any = None) -> list[Any]:
    """Output and gradients of the kernels: NumPy's differentiable functions know no bfloat16."""
    given = [a if a is None else a.astype(dtype) for a in arrays]
    need = (True, True, arrays[2] is not None)
    out, residuals = conv.forward(*given, **static, need=need)
    found = conv.backward(residuals, (gradient(out.shape) if g is None else g).astype(dtype), need)
    return [out, *(a for a in found if a is not None)]


# The kernels of float16 and bfloat16 are one template: two cases show that bfloat16 meets the right instruction.
EXACT = [(name, last, "float32") for name in CASES for last in (False, True)]
EXACT += [(name, name in ("1-d", "3-d", "17 filters"), "float16") for name in CASES]
EXACT += [("dilated groups", False, "bfloat16"), ("17 filters", True, "bfloat16")]


@pytest.mark.parametrize(("name", "last", "dtype"), EXACT)
def test_sums_of_small_integers_are_exact(emulator: Emulator, name: str, last: bool, dtype: str) -> None:
    arrays, static = case(*CASES[name], last=last)
    assert conv.refusal(*arrays, **static) is None
    for x, y in zip(ours(arrays, static, DTYPES[dtype]), expected(arrays, static), strict=True):
        assert x.dtype == DTYPES[dtype]
        np.testing.assert_array_equal(x, y.astype(x.dtype))


def test_it_agrees_with_the_reference(emulator: Emulator, primitive: Primitive) -> None:
    rng = np.random.default_rng(0)

    def noise() -> Iterator[Case]:
        for name, activation in (("1-d", None), ("dilated groups", "tanh"), ("3-d", "relu"), ("depthwise", "sigmoid")):
            arrays, static = case(*CASES[name], activation=activation)
            yield tuple(a if a is None else rng.normal(size=a.shape).astype(np.float32) for a in arrays), static

    assert check_primitive(primitive, noise()) == 4
    names = {plan.entry.partition("<")[0] for plan in emulator.launched}
    assert names == {"conv_gather", "conv_weight", "bias_activation_backward"}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
def test_the_large_tile(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, dtype: str, last: bool) -> None:
    """Chosen where there are blocks enough for a whole GPU; here for two, of a shape that no other test has."""
    monkeypatch.setattr(conv_shape, "_ENOUGH_BLOCKS", 1)
    arrays, static = case((1, 6, 12, 11), 67, (2, 3), last=last)
    y, _ = conv.forward(*(a if a is None else a.astype(DTYPES[dtype]) for a in arrays), **static, need=(False,) * 3)
    assert "128, 64, " in emulator.launched[-1].entry
    np.testing.assert_array_equal(y, expected(arrays, static)[0])


def test_a_shared_sum_has_the_same_bits_again(emulator: Emulator) -> None:
    (x, weight, _), static = case(*CASES["shared sum"])
    x = np.random.default_rng(0).normal(size=x.shape).astype(np.float32)
    y, residuals = conv.forward(x, weight, None, **static, need=(True, True, True))
    once, again = (conv.backward(residuals, y, (False, True, True)) for _ in range(2))
    assert emulator.launched[-1].file == "conv_combine.cu" and emulator.launched[-2].grid[2] > 1
    assert once[0] is None and once[1].tobytes() == again[1].tobytes() and once[2].tobytes() == again[2].tobytes()
    np.testing.assert_allclose(once[2], y.sum((0, 2, 3), dtype=np.float64), rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_in_16_bits_only_the_result_is_rounded(emulator: Emulator, dtype: str) -> None:
    """Half a unit in the last place of the result, and what float32 sums lose; more than one step of the sum, several shares."""
    rng = np.random.default_rng(0)
    for name in ("dilated groups", "deep"):
        arrays, static = case(*CASES.get(name, ((2, 24, 6, 6), 20, (3, 3), 1, (1, 1))))
        own = tuple(a if a is None else rng.normal(size=a.shape).astype(DTYPES[dtype]) for a in arrays)
        g = rng.normal(size=expected(arrays, static)[0].shape).astype(DTYPES[dtype])
        for x, y in zip(ours(own, static, DTYPES[dtype], g), expected(own, static, g), strict=True):
            allowed = (2**-11 if dtype == "float16" else 2**-8) * np.abs(y) + 1e-5 * np.abs(y).max()
            assert np.all(np.abs(x.astype(np.float64) - y) <= allowed)


def test_packed_arrays_are_read_as_they_lie(emulator: Emulator) -> None:
    """Channels last, a multiple of 8 in each group: only the weight is packed. Beside the grid of 16 bytes everything is."""
    (x, weight, _), static = case((2, 32, 5, 5), 16, (3, 3), 1, (1, 1), groups=2, last=True)
    x, weight = x.astype(np.float16), weight.astype(np.float16)
    room = np.zeros(x.size + 1, np.float16)
    beside = room[1:].reshape(x.shape)
    beside[...] = x
    y, _ = conv.forward(x, weight, None, **static, need=(False,) * 3)
    assert [plan.grid[1] for plan in emulator.launched if "pack" in plan.entry] == [1]
    emulator.launched.clear()
    again, _ = conv.forward(beside, weight, None, **static, need=(False,) * 3)
    assert [plan.grid[1] for plan in emulator.launched if "pack" in plan.entry] == [2]
    assert y.tobytes() == again.tobytes()
    np.testing.assert_array_equal(y, expected((x, weight, None), static)[0])


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_an_activation_is_applied_on_the_way_out(emulator: Emulator, activation: str, dtype: str) -> None:
    arrays, static = case((2, 3, 6, 6), 6, (3, 3))
    arrays = tuple(a / 8 for a in arrays)
    given = [a.astype(DTYPES[dtype]) for a in arrays]
    y, residuals = conv.forward(*given, **static, activation=activation, need=(True,) * 3)
    z = expected(arrays, static)[0]
    apply, slope = {
        "relu": (lambda z: np.maximum(z, 0), lambda y: y > 0),
        "tanh": (np.tanh, lambda y: 1 - y * y),
        "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda y: y * (1 - y)),
    }[activation]
    near = 1e-6 if dtype == "float32" else 2e-3
    np.testing.assert_allclose(y.astype(np.float64), apply(z), rtol=near, atol=near)
    found = conv.backward(residuals, gradient(y.shape).astype(DTYPES[dtype]), (True,) * 3)
    wanted = expected(arrays, static, gradient(y.shape) * slope(y.astype(np.float64)))[1:]
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a.astype(np.float64), b, rtol=near, atol=3 * near * np.abs(b).max())


def test_what_is_not_wanted_is_not_computed(emulator: Emulator) -> None:
    (x, weight, bias), static = case(*CASES["1-d"])
    y, residuals = conv.forward(x, weight, bias, **static, need=(False, False, True))
    emulator.launched.clear()
    dx, dw, db = conv.backward(residuals, y, (False, False, True))
    assert dx is None and dw is None and emulator.launched == []
    np.testing.assert_allclose(db, y.sum((0, 2)), rtol=1e-6)
    assert conv.forward(x, weight, bias, **static, need=(False, False, False))[1] is None


def test_strided_and_badly_aligned_arrays(emulator: Emulator) -> None:
    (x, weight, bias), static = case((2, 4, 8, 8), 20, (3, 3))
    room = np.zeros(x.size + 1, np.float32)
    beside = room[1:].reshape(x.shape)
    beside[...] = x
    for given in (beside, x[:, ::-1, :, ::-1], x.swapaxes(2, 3)):
        arrays = (given, weight[:, :, ::-1], bias)
        y, residuals = conv.forward(*arrays, **static, need=(True,) * 3)
        g = gradient(y.shape).swapaxes(2, 3)
        found = [y, *conv.backward(residuals, g, (True,) * 3)]
        for a, b in zip(found, expected(arrays, static, g), strict=True):
            np.testing.assert_array_equal(a, b)


def test_nan_and_inf_reach_what_they_should_and_nothing_else(emulator: Emulator) -> None:
    """The zeros of the padding and of the tails meet no infinite weight that lies outside of the window."""
    x, weight = np.zeros((1, 1, 6), np.float32), np.ones((1, 1, 3), np.float32)
    x[0, 0, 0], x[0, 0, 5] = np.nan, np.inf
    static = {"stride": (1,), "padding": ((1, 1),), "dilation": (1,)}
    y, _ = conv.forward(x, weight, None, **static, need=(False,) * 3)
    np.testing.assert_array_equal(y[0, 0], [np.nan, np.nan, 0, 0, np.inf, np.inf])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"x": np.ones((2, 3, 5))}, "dtype float64"),
        ({"bias": np.ones(4, np.float16)}, "dtypes float32 and float16"),
        ({"weight": np.ones((4, 2, 3), np.float32)}, "shapes"),
        ({"weight": np.ones((4, 3, 6), np.float32)}, "a kernel larger than the input"),
        ({"x": np.ones((0, 3, 5), np.float32)}, "size 0"),
        ({"activation": "gelu"}, "activation gelu"),
        ({"data_format": "NHWC"}, "data_format NHWC"),
        ({"weight": np.ones((1, 3, 400), np.float32), "padding": ((200, 200),)}, "a kernel of 400 elements"),
        ({"stride": (70000,)}, "stride (70000,)"),
        ({"padding": ((2**30, 0),), "stride": (2**16 - 1,)}, "padding or dilation beyond the reach of an int"),
        ({"x": np.broadcast_to(np.float32(0), (1, 3, 2**29))}, f"images or a weight of more than {2**30} elements"),
    ],
)
def test_it_says_what_it_does_not_take(change: dict[str, Any], reason: str) -> None:
    call = {"x": np.ones((2, 3, 5), np.float32), "weight": np.ones((4, 3, 3), np.float32), "bias": None}
    call |= {"stride": (1,), "padding": ((0, 0),), "dilation": (1,)}
    assert conv.refusal(**call) is None
    assert conv.refusal(**{**call, **change}) == reason


def test_ops_conv_has_it_for_cupy() -> None:
    assert ops.conv.implementations["cupy"][-1] is conv  # behind those for special shapes
