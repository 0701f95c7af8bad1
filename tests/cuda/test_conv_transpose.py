"""conv_transpose for CuPy, run on NumPy arrays with the emulator in the place of the GPU: against the reference, and refusals."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from xpnn import ops
from xpnn.cuda import conv_float, conv_half, conv_tensor, conv_transpose
from xpnn.gradients import vjp
from xpnn.primitive import Primitive
from xpnn.testing import check_primitive

from .emulated import FEW, emulating

DTYPES: dict[str, Any] = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}

# x (N, C, *S), outputs, kernel, stride, padding, output_padding, dilation, groups
CASES: list[tuple[tuple[int, ...], int, tuple[int, ...], int, tuple[int, int], int, int, int]] = [
    ((1, 1, 1), 1, (1,), 1, (0, 0), 0, 1, 1),
    ((3, 5, 7), 4, (4,), 3, (2, 1), 2, 1, 1),
    ((2, 4, 5, 4), 6, (3, 3), 2, (1, 0), 1, 1, 2),
    ((2, 3, 4, 3), 5, (2, 3), 2, (0, 3), 2, 3, 1),
    ((1, 3, 8, 8), 17, (2, 2), 2, (0, 0), 0, 1, 1),
    ((2, 3, 3, 4), 6, (1, 1), 3, (0, 0), 2, 1, 3),
    ((2, 3, 2, 3, 2), 4, (2, 3, 3), 2, (1, 0), 1, 1, 1),
]


def case(number: int, last: bool = False, **options: Any) -> tuple[list[Any], dict[str, Any]]:
    """Small integers, exact in every dtype and in every order of sums."""
    x, outputs, kernel, stride, padding, more, dilation, groups = CASES[number]
    rng = np.random.default_rng(number)
    data = rng.integers(-3, 4, x).astype(np.float32)
    data = np.ascontiguousarray(np.moveaxis(data, 1, -1)) if last else data
    weight = rng.integers(-3, 4, (x[1], outputs // groups, *kernel)).astype(np.float32)
    bias = rng.integers(-3, 4, outputs).astype(np.float32) if outputs % 2 == 0 else None
    axes = len(kernel)
    static = {"stride": (stride,) * axes, "padding": (padding,) * axes, "output_padding": (more,) * axes}
    static |= {"dilation": (dilation,) * axes, "groups": groups}
    return [data, weight, bias], {**static, "data_format": "channels_last" if last else "channels_first", **options}


def expected(arrays: list[Any], static: dict[str, Any], g: Any = None) -> list[Any]:
    """Output and gradients of the reference in float64."""
    given = [np.asarray(a, np.float64) for a in arrays if a is not None]
    out, pullback = vjp(lambda *a: ops.conv_transpose.reference(*a, *(None,) * (3 - len(a)), **static), *given)
    return [out, *pullback(gradient(out.shape) if g is None else np.asarray(g, np.float64))]


def gradient(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(1).integers(-2, 3, shape).astype(np.float64)


def ours(arrays: list[Any], static: dict[str, Any], g: Any = None) -> list[Any]:
    """Output and gradients of the kernels."""
    assert conv_transpose.refusal(*arrays, **static) is None
    need = (True, True, arrays[2] is not None)
    out, residuals = conv_transpose.forward(*arrays, **static, need=need)
    g = gradient(out.shape).astype(out.dtype) if g is None else g
    return [out, *(a for a in conv_transpose.backward(residuals, g, need) if a is not None)]


EXACT = [(i, last, "float32") for i in range(len(CASES)) for last in (False, True)]
EXACT += [(i, i % 2 == 0, "float16") for i in range(len(CASES))] + [(2, False, "bfloat16"), (3, True, "bfloat16")]


@pytest.mark.parametrize(("number", "last", "dtype"), EXACT)
def test_sums_of_small_integers_are_exact(monkeypatch: pytest.MonkeyPatch, number: int, last: bool, dtype: str) -> None:
    arrays, static = case(number, last)
    own = [a if a is None else a.astype(DTYPES[dtype]) for a in arrays]
    with emulating(monkeypatch, FEW[:2]):
        found = ours(own, static)
    for x, y in zip(found, expected(arrays, static), strict=True):
        assert x.dtype == DTYPES[dtype]
        np.testing.assert_array_equal(x, y.astype(x.dtype))


def test_it_agrees_with_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Primitive(ops.conv_transpose.reference, name="conv_transpose")
    own.add("numpy", conv_transpose)
    rng = np.random.default_rng(0)
    cases = []
    for number, last, activation in ((1, False, "tanh"), (2, True, "relu"), (3, False, "sigmoid"), (6, True, None)):
        arrays, static = case(number, last, activation=activation)
        cases.append(([a if a is None else rng.normal(size=a.shape).astype(np.float32) for a in arrays], static))
    (x, weight, bias), static = cases[1]
    cases.append(([x[::-1, :, ::-1], weight[:, :, ::-1], bias[::-1]], static))
    with emulating(monkeypatch, FEW[:1]):
        assert check_primitive(own, cases) == 5


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_in_16_bits_only_the_result_is_rounded(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    """Half a unit in the last place of the result, and what float32 sums lose."""
    arrays, static = case(2)
    rng = np.random.default_rng(0)
    own = [rng.normal(size=a.shape).astype(DTYPES[dtype]) for a in arrays]
    g = rng.normal(size=expected(arrays, static)[0].shape).astype(DTYPES[dtype])
    with emulating(monkeypatch, FEW[:1]):
        found = ours(own, static, g)
    for x, y in zip(found, expected(own, static, g), strict=True):
        allowed = (2**-11 if dtype == "float16" else 2**-8) * np.abs(y) + 1e-5 * np.abs(y).max()
        assert np.all(np.abs(x.astype(np.float64) - y) <= allowed)


def test_what_is_not_wanted_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    (x, weight, bias), static = case(1)
    with emulating(monkeypatch, FEW[:1]) as emulator:
        y, residuals = conv_transpose.forward(x, weight, bias, **static, need=(True, False, False))
        assert len(emulator.launched) == 1
        dx, dw, db = conv_transpose.backward(residuals, y, (True, False, False))
        assert len(emulator.launched) == 2 and dw is None and db is None and dx.shape == x.shape
        assert conv_transpose.forward(x, weight, bias, **static, need=(False,) * 3)[1] is None


def test_plans_ask_for_the_kernels_of_the_table() -> None:
    listed = {plan.entry for family in (conv_float, conv_half) for plan in family.instantiations()}
    for number in range(len(CASES)):
        for last in (False, True):
            (x, weight, _), static = case(number, last)
            static.pop("data_format")
            arguments = static | {"data_format": "channels_last" if last else "channels_first"}
            conv = conv_transpose._adjoint(x, weight, **arguments)
            plan, values = conv_float.gather_plan(conv, "relu", gradient=True, aligned=True)
            assert plan.entry in listed and values["activation"] == 1
            assert plan.bytes == 4 * (x.size + weight.size + np.prod(conv.x_shape))
            assert (
                conv_tensor.gather_plan(conv_half.KINDS["float16"], conv, None, gradient=True, aligned=False)[0].entry
                in listed
            )


CALL: dict[str, Any] = {
    "x": np.ones((2, 3, 5), np.float32), "weight": np.ones((3, 4, 3), np.float32), "bias": None,
    "stride": (1,), "padding": ((0, 0),), "output_padding": (0,), "dilation": (1,),
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"x": np.ones((2, 3, 5))}, "dtype float64"),
        ({"bias": np.ones(4, np.float16)}, "dtypes float32 and float16"),
        ({"bias": np.ones(3, np.float32)}, "shapes"),
        ({"weight": np.ones((4, 2, 3), np.float32)}, "shapes"),
        ({"groups": 2}, "shapes"),
        ({"x": np.ones((0, 3, 5), np.float32)}, "size 0"),
        ({"activation": "gelu"}, "activation gelu"),
        ({"data_format": "NHWC"}, "data_format NHWC"),
        ({"output_padding": (1,)}, "output_padding (1,)"),
        ({"padding": ((4, 4),)}, "nothing left of the output"),
        ({"weight": np.ones((3, 1, 400), np.float32)}, "a kernel of 400 elements"),
        ({"stride": (70000,)}, "stride (70000,)"),
        ({"x": np.broadcast_to(np.float32(0), (1, 3, 2**29))}, f"images or a weight of more than {2**30} elements"),
    ],
)
def test_it_says_what_it_does_not_take(change: dict[str, Any], reason: str) -> None:
    assert conv_transpose.refusal(**CALL) is None
    assert conv_transpose.refusal(**{**CALL, **change}) == reason


def test_ops_conv_transpose_has_it_for_cupy() -> None:
    assert ops.conv_transpose.implementations["cupy"][-1] is conv_transpose
