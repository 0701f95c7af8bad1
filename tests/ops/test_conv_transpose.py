"""conv_transpose: the reference against torch, the fused form against the reference, it is the adjoint of conv, errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xpnn import ops
from xpnn.gradients import vjp
from xpnn.testing import check_primitive

from ..conftest import Library
from .against_torch import check_against_torch


def arrays(
    x: tuple[int, ...],
    outputs: int,
    kernel: tuple[int, ...],
    groups: int = 1,
    bias: bool = True,
    dtype: Any = np.float64,
) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(sum(x) + outputs)
    weight = rng.normal(size=(x[1], outputs // groups, *kernel)).astype(dtype)
    return rng.normal(size=x).astype(dtype), weight, rng.normal(size=outputs).astype(dtype) if bias else None


TORCH_CASES: list[tuple[tuple[int, ...], int, tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 5), 4, (3,), {"stride": 2, "padding": 1, "output_padding": 1}),
    ((2, 3, 4, 5), 4, (3, 2), {}),
    ((1, 4, 4, 3), 6, (3, 3), {"stride": (2, 3), "padding": (2, 0), "output_padding": (1, 2), "groups": 2}),
    ((2, 4, 4, 3), 2, (2, 3), {"stride": 2, "dilation": (3, 2), "padding": 1, "output_padding": (2, 0)}),
    ((2, 3, 4, 4), 3, (1, 1), {"stride": 3, "groups": 3, "output_padding": 2}),
    ((1, 2, 3, 2, 3), 3, (2, 3, 2), {"padding": (0, 1, 1), "stride": (1, 1, 2)}),
]


@pytest.mark.parametrize(("x", "outputs", "kernel", "options"), TORCH_CASES)
@pytest.mark.parametrize("bias", [True, False])
def test_reference_agrees_with_torch(
    lib: Library, x: tuple[int, ...], outputs: int, kernel: tuple[int, ...], options: dict[str, Any], bias: bool
) -> None:
    name = f"conv_transpose{len(kernel)}d"

    def theirs(*tensors: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(*tensors, **options)

    ours = lambda *a: getattr(ops, name)(*a, **options)  # noqa: E731
    check_against_torch(lib, ours, theirs, arrays(x, outputs, kernel, options.get("groups", 1), bias))


def static(axes: int, stride: int = 1, padding: Any = (0, 0), more: int = 0, dilation: int = 1, **others: Any) -> Any:
    own = {"stride": (stride,) * axes, "padding": (padding,) * axes, "dilation": (dilation,) * axes}
    return {**own, "output_padding": (more,) * axes, **others}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("last", [False, True])
def test_fused_form_agrees_with_the_reference(dtype: Any, last: bool) -> None:
    def cases() -> Iterator[Any]:
        for x, outputs, kernel, options in (
            ((1, 1, 1), 1, (1,), static(1)),
            ((3, 5, 7), 4, (4,), static(1, 3, (2, 1), 2, activation="tanh")),
            ((2, 6, 4, 5), 4, (3, 2), static(2, 2, (1, 0), 1, groups=2, activation="relu")),
            ((2, 4, 3, 5), 3, (2, 3), static(2, 2, (0, 3), 2, 3)),
            ((2, 16, 9, 9), 70, (3, 3), static(2, 1, (1, 1), activation="sigmoid")),
            ((2, 6, 5, 5), 6, (2, 2), static(2, 2, groups=6)),
            ((2, 3, 2, 3, 2), 4, (2, 3, 3), static(3, 2, (1, 0), 1)),
        ):
            data, *rest = arrays(x, outputs, kernel, options.get("groups", 1), outputs % 2 == 0, dtype)
            data = np.ascontiguousarray(np.moveaxis(data, 1, -1)) if last else data
            yield (data, *rest), {**options, "data_format": "channels_last" if last else "channels_first"}

    assert check_primitive(ops.conv_transpose, cases()) == 7


def test_an_image_without_a_batch_and_strided_input(lib: Library) -> None:
    x, weight, bias = (lib.asarray(a) for a in arrays((1, 4, 5, 6), 6, (3, 2)))
    alone = ops.conv_transpose2d(x[0, ...], weight, bias, 2, 1)
    np.testing.assert_array_equal(lib.to_numpy(alone), lib.to_numpy(ops.conv_transpose2d(x, weight, bias, 2, 1))[0])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_it_is_the_adjoint_of_conv(data: Any) -> None:
    """<dy, conv(x, w)> = <dx, x> = <dw, w>, and conv_transpose(dy, w) = dx, in float64."""
    number = lambda least, most: data.draw(st.integers(least, most))  # noqa: E731
    axes = number(1, 3)
    each = lambda least, most: tuple(number(least, most) for _ in range(axes))  # noqa: E731
    groups, kernel, stride, dilation = number(1, 3), each(1, 3), each(1, 3), each(1, 3)
    padding = tuple((number(0, 2), number(0, 2)) for _ in range(axes))
    channels, filters, batch = groups * number(1, 2), groups * number(1, 2), number(1, 2)
    out, more = each(1, 3), tuple(number(0, move - 1) for move in stride)
    sizes = tuple(
        max((n - 1) * s + d * (k - 1) + 1 - sum(p) + m, 1)
        for n, s, d, k, p, m in zip(out, stride, dilation, kernel, padding, more, strict=True)
    )
    rng = np.random.default_rng(number(0, 1000))
    x, w = rng.normal(size=(batch, channels, *sizes)), rng.normal(size=(filters, channels // groups, *kernel))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    y, pullback = vjp(lambda x, w: ops.conv(x, w, None, **options), x, w)
    dy = rng.normal(size=y.shape)
    dx, dw = pullback(dy)
    size = np.abs(dy).sum() * np.abs(w).sum() * np.abs(x).max() * 1e-13 + 1e-13
    assert abs((dy * y).sum() - (dx * x).sum()) <= size and abs((dy * y).sum() - (dw * w).sum()) <= size
    covered = [
        n - ((m - 1) * s + d * (k - 1) + 1 - sum(p))
        for n, m, s, d, k, p in zip(sizes, y.shape[2:], stride, dilation, kernel, padding, strict=True)
    ]
    transposed = ops.conv_transpose(dy, w, None, **options, output_padding=tuple(covered))
    np.testing.assert_allclose(transposed, dx, rtol=1e-12, atol=1e-12)
    reference = ops.conv_transpose.reference(dy, w, None, **options, output_padding=tuple(covered))
    np.testing.assert_allclose(reference, dx, rtol=1e-12, atol=1e-12)
    back, backs = vjp(lambda g, w: ops.conv_transpose(g, w, None, **options, output_padding=tuple(covered)), dy, w)
    assert abs((back * x).sum() - (dy * y).sum()) <= size
    found = backs(x)
    np.testing.assert_allclose(found[0], y, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found[1], dw, rtol=1e-11, atol=1e-11)


X, W = np.ones((2, 4, 5, 5)), np.ones((4, 6, 3, 3))


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((X[0, 0], W), {}, "x: expected 4 axes, or 3 without a batch"),
        ((X, W[0]), {}, r"weight: expected 4 axes \(inputs, outputs / groups, \*kernel\)"),
        ((X[:, :3], W), {}, "x: expected 4 channels for a weight"),
        ((X, W), {"groups": 3}, "groups: expected a divisor of the 4 inputs, got 3"),
        ((X, W, np.ones(5)), {}, r"bias: expected shape \(6,\), got \(5,\)"),
        ((X, W), {"stride": 0}, "stride: expected an integer or 2 of them"),
        ((X, W), {"output_padding": 1}, "output_padding: expected less than the stride"),
        ((X, W), {"padding": "same"}, "padding: expected an integer"),
        ((X, W), {"padding": 4}, "are too small for the kernel"),
        ((X, W), {"activation": "gelu"}, "activation: expected None"),
        ((X, W), {"data_format": "NHWC"}, "data_format: expected"),
        ((X, W[:, :, :0]), {}, "weight: expected a kernel of size 1 or more"),
    ],
)
def test_errors_name_the_argument(args: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ops.conv_transpose2d(*args, **options)
