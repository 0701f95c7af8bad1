"""conv for CuPy, run on NumPy arrays with the emulator in the place of the GPU: against the reference, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.cuda import conv
from xpnn.gradients import vjp
from xpnn.primitive import Primitive
from xpnn.testing import check_primitive

from .emulated import Emulator, emulating

Case = tuple[tuple[Any, ...], dict[str, Any]]


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
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


def run(f: Any, arrays: tuple[Any, ...], static: dict[str, Any], dtype: Any) -> list[Any]:
    """Output and all gradients for a g of small integers."""
    given = [a.astype(dtype) for a in arrays if a is not None]
    out, pullback = vjp(lambda *a: f(*a, *(None,) * (3 - len(a)), **static), *given)
    g = np.random.default_rng(1).integers(-2, 3, out.shape).astype(dtype)
    return [out, *pullback(g)]


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("name", CASES)
def test_sums_of_small_integers_are_exact(emulator: Emulator, primitive: Primitive, name: str, last: bool) -> None:
    arrays, static = case(*CASES[name], last=last)
    assert conv.refusal(*arrays, **static) is None
    for x, y in zip(
        run(primitive, arrays, static, np.float32), run(ops.conv.reference, arrays, static, np.float64), strict=True
    ):
        assert x.dtype == np.float32
        np.testing.assert_array_equal(x, y)


def test_it_agrees_with_the_reference(emulator: Emulator, primitive: Primitive) -> None:
    rng = np.random.default_rng(0)

    def noise() -> Iterator[Case]:
        for name in ("1-d", "dilated groups", "3-d"):
            arrays, static = case(*CASES[name])
            yield tuple(a if a is None else rng.normal(size=a.shape).astype(np.float32) for a in arrays), static

    assert check_primitive(primitive, noise()) == 3
    assert {plan.entry.partition("<")[0] for plan in emulator.launched} == {"conv_gather", "conv_weight"}


def test_the_large_tile(emulator: Emulator, primitive: Primitive) -> None:
    """Chosen where there are blocks enough for a whole GPU: thin positions, so that the emulator has little to do."""
    emulator.schedules = emulator.schedules[:1]
    arrays, static = case((1, 1, 66 * 128 + 5), 68 * 4 - 1, (1,))
    y = primitive(*arrays, **static)
    assert emulator.launched[-1].entry == "conv_gather<128, 64, 8, 8, false>"
    np.testing.assert_array_equal(y, ops.conv.reference(*arrays, **static))


def test_a_shared_sum_has_the_same_bits_again(emulator: Emulator) -> None:
    (x, weight, _), static = case(*CASES["shared sum"])
    x = np.random.default_rng(0).normal(size=x.shape).astype(np.float32)
    y, residuals = conv.forward(x, weight, None, **static, need=(True, True, True))
    once, again = (conv.backward(residuals, y, (False, True, True)) for _ in range(2))
    assert emulator.launched[-1].file == "conv_combine.cu" and emulator.launched[-2].grid[2] > 1
    assert once[0] is None and once[1].tobytes() == again[1].tobytes() and once[2].tobytes() == again[2].tobytes()
    np.testing.assert_allclose(once[2], y.sum((0, 2, 3), dtype=np.float64), rtol=1e-4)


def test_what_is_not_wanted_is_not_computed(emulator: Emulator) -> None:
    (x, weight, bias), static = case(*CASES["1-d"])
    y, residuals = conv.forward(x, weight, bias, **static, need=(False, False, True))
    emulator.launched.clear()
    dx, dw, db = conv.backward(residuals, y, (False, False, True))
    assert dx is None and dw is None and emulator.launched == []
    np.testing.assert_allclose(db, y.sum((0, 2)), rtol=1e-6)
    assert conv.forward(x, weight, bias, **static, need=(False, False, False))[1] is None


def test_strided_and_badly_aligned_arrays(emulator: Emulator, primitive: Primitive) -> None:
    (x, weight, bias), static = case((2, 4, 8, 8), 20, (3, 3))
    room = np.zeros(x.size + 1, np.float32)
    beside = room[1:].reshape(x.shape)
    beside[...] = x
    for given in (beside, x[:, ::-1, :, ::-1], x.swapaxes(2, 3)):
        expected = run(ops.conv.reference, (given, weight, bias), static, np.float64)
        out, pullback = vjp(lambda *a: primitive(*a, **static), given, weight[:, :, ::-1][:, :, ::-1], bias)
        np.testing.assert_array_equal(out, expected[0])
        g = np.random.default_rng(1).integers(-2, 3, out.shape).astype(np.float32)
        for a, b in zip(pullback(g), expected[1:], strict=True):
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
        ({"padding": ((2**31, 0),), "stride": (2**16 - 1,)}, "padding or dilation beyond the reach of an int"),
        ({"x": np.broadcast_to(np.float32(0), (1, 3, 2**29))}, f"images or a weight of more than {2**30} elements"),
    ],
)
def test_it_says_what_it_does_not_take(change: dict[str, Any], reason: str) -> None:
    call = {"x": np.ones((2, 3, 5), np.float32), "weight": np.ones((4, 3, 3), np.float32), "bias": None}
    call |= {"stride": (1,), "padding": ((0, 0),), "dilation": (1,)}
    assert conv.refusal(**call) is None
    assert conv.refusal(**{**call, **change}) == reason


def test_ops_conv_has_it_for_cupy() -> None:
    assert ops.conv.implementations["cupy"] == [conv]
