"""conv_transpose for CuPy: the kernels of conv, those of its input gradient with x in the place of the gradient of y."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..cpu.conv_transpose import adjoint_padding, transposed_sizes
from ..cpu.windows import Pairs
from ..namespace.libraries import raw_namespace
from . import bias_activation
from .arrays import contiguous
from .conv import family_of
from .conv_shape import ACTIVATIONS, Convolution
from .dtypes import refuse_dtypes

__all__ = ["backward", "forward", "refusal"]


def refusal(
    x: Any,
    weight: Any,
    bias: Any,
    *,
    stride: tuple[int, ...],
    padding: Pairs,
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int = 1,
    data_format: str = "channels_first",
    activation: str | None = None,
) -> str | None:
    if data_format not in ("channels_first", "channels_last"):
        return f"data_format {data_format}"
    if activation not in ACTIVATIONS:
        return f"activation {activation}"
    if not 3 <= x.ndim == weight.ndim <= 5 or groups < 1 or weight.shape[0] % groups:
        return "shapes"
    if x.shape[-1 if data_format == "channels_last" else 1] != weight.shape[0]:
        return "shapes"
    if bias is not None and bias.shape != (weight.shape[1] * groups,):
        return "shapes"
    if 0 in x.shape or 0 in weight.shape:
        return "size 0"
    if any(not 0 <= more < max(pair) for more, *pair in zip(output_padding, stride, dilation, strict=True)):
        return f"output_padding {output_padding}"
    conv = _adjoint(x, weight, stride, padding, output_padding, dilation, groups, data_format)
    if min(conv.sizes) < 1:
        return "nothing left of the output"
    return refuse_dtypes(x, weight, bias) or conv.refusal()


def forward(
    x: Any,
    weight: Any,
    bias: Any,
    *,
    stride: tuple[int, ...],
    padding: Pairs,
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int = 1,
    data_format: str = "channels_first",
    activation: str | None = None,
    need: tuple[bool, ...],
) -> tuple[Any, Any]:
    conv = _adjoint(x, weight, stride, padding, output_padding, dilation, groups, data_format)
    x, weight = contiguous(x), contiguous(weight)
    bias = None if bias is None else contiguous(bias)
    kernels = family_of(x)
    y = kernels.transposed(x, weight, bias, conv, activation)
    if True not in need:
        return y, None
    return y, (x if need[1] else None, weight, None if activation is None else y, activation, conv, kernels)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, Any, Any]:
    x, weight, y, activation, conv, kernels = residuals
    dz = contiguous(g)
    if activation is not None:
        rows = (dz.shape[0] * dz.shape[1], -1)
        dz, _ = bias_activation.backward(dz.reshape(rows), y.reshape(rows), activation, dx=True, db=False)
        dz = dz.reshape(y.shape)
    dx = kernels.forward(dz, weight, None, conv, None) if need[0] else None
    dw = kernels.gradients(x, dz, weight, conv, None, dx=False, dw=True, db=False)[1] if need[1] else None
    return dx, dw, _bias_gradient(dz, conv.last) if need[2] else None


def _bias_gradient(dz: Any, last: bool) -> Any:
    """The sum of dz over everything but the channels, in float32."""
    if last:
        return bias_activation.backward(dz, None, None, dx=False, db=True)[1]
    sums = dz.sum(axis=(0, *range(2, dz.ndim)), dtype=raw_namespace(dz).float32)
    return sums.astype(dz.dtype)


def _adjoint(
    x: Any,
    weight: Any,
    stride: tuple[int, ...],
    padding: Pairs,
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    data_format: str,
) -> Convolution:
    """The convolution from y to x, whose input gradient this is: its filters are the channels of x."""
    last = data_format == "channels_last"
    filters, channels, *kernel = weight.shape
    sizes = x.shape[1:-1] if last else x.shape[2:]
    out = transposed_sizes(sizes, tuple(kernel), stride, padding, output_padding, dilation)
    pairs = adjoint_padding(sizes, out, tuple(kernel), stride, padding, dilation)
    return Convolution(
        x.shape[0], groups, channels, filters // groups, out, tuple(kernel), stride, pairs, dilation, last
    )
