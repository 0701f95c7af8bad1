"""conv_transpose_depthwise: the transposed convolution by the kernels of the depthwise one, in the emulator, and its refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.cuda import conv_transpose_depthwise
from xpnn.gradients import vjp
from xpnn.primitive import Primitive, explain
from xpnn.testing import check_primitive

from .emulated import FEW, emulating, kernels_for_numpy
from .test_conv_depthwise import DTYPES, integers, normal

# batch, outputs, multiplier, sizes, kernel, stride, padding, output_padding, dilation
CASES: list[tuple[int, int, int, tuple[int, ...], tuple[int, ...], int, tuple[int, int], int, int]] = [
    (1, 1, 1, (1,), (1,), 1, (0, 0), 0, 1),
    (2, 8, 1, (13,), (4,), 1, (0, 3), 0, 1),
    (2, 3, 2, (7,), (4,), 3, (2, 1), 2, 1),
    (2, 8, 1, (5, 4), (3, 3), 1, (1, 1), 0, 1),
    (1, 8, 1, (5, 4), (4, 4), 2, (1, 1), 1, 1),
    (1, 8, 1, (4, 3), (2, 3), 2, (0, 3), 2, 3),
    (2, 2, 3, (3, 4), (2, 2), 3, (0, 0), 2, 1),
    (1, 8, 1, (2, 3, 2), (2, 3, 3), 2, (1, 0), 1, 1),
]


def case(number: int, last: bool, draw: Any, **more: Any) -> tuple[list[Any], dict[str, Any]]:
    batch, outputs, multiplier, sizes, kernel, stride, padding, beyond, dilation = CASES[number]
    channels, axes = outputs * multiplier, len(sizes)
    x = draw((batch, *sizes, channels) if last else (batch, channels, *sizes))
    static = {"stride": (stride,) * axes, "padding": (padding,) * axes, "output_padding": (beyond,) * axes}
    static |= {"dilation": (dilation,) * axes, "groups": outputs, **more}
    arrays = [x, draw((channels, 1, *kernel)), draw((outputs,)) if number % 3 else None]
    return arrays, {**static, "data_format": "channels_last" if last else "channels_first"}


def exact(arrays: list[Any], static: dict[str, Any]) -> list[Any]:
    """y and the gradients of the reference in float64, for small integers."""
    given = [a.astype(np.float64) for a in arrays if a is not None]
    y, pullback = vjp(lambda *a: ops.conv_transpose.reference(*a, *(None,) * (3 - len(a)), **static), *given)
    return [y, *pullback(integers(np.float64, 1)(y.shape))]


def ours(arrays: list[Any], static: dict[str, Any]) -> list[Any]:
    assert conv_transpose_depthwise.refusal(*arrays, **static) is None
    need = (True, True, arrays[2] is not None)
    y, residuals = conv_transpose_depthwise.forward(*arrays, **static, need=need)
    found = conv_transpose_depthwise.backward(residuals, integers(y.dtype, 1)(y.shape), need)
    return [y, *(a for a in found if a is not None)]


@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
def test_small_integers_come_out_exactly(monkeypatch: pytest.MonkeyPatch, last: bool) -> None:
    with emulating(monkeypatch, FEW[:1]):
        for number in range(len(CASES)):
            for dtype in DTYPES if number == 4 else ["float32"]:
                arrays, static = case(number, last, integers(DTYPES[dtype], number))
                for x, y in zip(ours(arrays, static), exact(arrays, static), strict=True):
                    assert x.dtype == DTYPES[dtype] and np.array_equal(x, y.astype(x.dtype)), CASES[number]


def test_it_agrees_with_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """With bias and activation in the launch of the forward."""
    own = Primitive(ops.conv_transpose.reference, name="conv_transpose")
    own.add("numpy", conv_transpose_depthwise)
    cases = []
    for number, last, activation in ((1, False, "relu"), (4, True, "tanh"), (5, False, "sigmoid"), (2, True, None)):
        cases.append(case(number, last, normal(np.float32), activation=activation))
    (x, weight, bias), static = cases[2]
    cases.append(([x[::-1, :, ::-1], weight[:, :, ::-1], bias], static))
    with emulating(monkeypatch, FEW[:1]) as emulator:
        assert check_primitive(own, cases) == 5
        emulator.launched.clear()
        for arrays, static in cases[:2]:
            conv_transpose_depthwise.forward(*arrays, **static, need=(False,) * 3)
    assert [plan.entry for plan in emulator.launched] == [
        "depthwise_gather<float, 7>",
        "depthwise_last_spread<float, 4>",
    ]


def test_what_is_not_wanted_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, static = case(4, True, integers(np.float32))
    with emulating(monkeypatch, FEW[:1]) as emulator:
        wanted = ours(arrays, static)
        y, residuals = conv_transpose_depthwise.forward(*arrays, **static, need=(True,) * 3)
        emulator.launched.clear()
        for i in range(3):
            g = integers(y.dtype, 1)(y.shape)
            found = conv_transpose_depthwise.backward(residuals, g, tuple(j == i for j in range(3)))
            assert np.array_equal(found[i], wanted[1 + i]) and [a is None for a in found].count(True) == 2
    assert len(emulator.launched) == 3


@pytest.mark.parametrize("last", [False, True])
def test_who_computes(monkeypatch: pytest.MonkeyPatch, last: bool) -> None:
    arrays, static = case(4, last, normal(np.float32))
    with kernels_for_numpy(monkeypatch):
        assert explain(ops.conv_transpose, *arrays, **static) == [
            f"conv_transpose: cuda.conv_transpose_depthwise (conv_depthwise{'_last' if last else ''})"
        ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"weight": np.ones((8, 2, 4), np.float32), "groups": 2}, "not depthwise: 2 outputs of a group"),
        ({"x": np.ones((2, 8, 13))}, "dtype float64"),
        ({"activation": "gelu"}, "activation gelu"),
        ({"stride": (2**27,)}, "axes (1610612737,) padded by ((0, 3),)"),
    ],
)
def test_it_says_what_it_does_not_take(change: dict[str, Any], reason: str) -> None:
    (x, weight, _), static = case(1, False, normal(np.float32))
    call = {"x": x, "weight": weight, "bias": None, **static}
    assert conv_transpose_depthwise.refusal(**call) is None
    assert conv_transpose_depthwise.refusal(**{**call, **change}) == reason
