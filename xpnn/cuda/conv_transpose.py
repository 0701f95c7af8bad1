"""conv_transpose for CuPy: the kernels of conv, those of its input gradient with x in the place of the gradient of y."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..cpu.conv_transpose import refuse_arguments
from ..cpu.windows import Pairs, adjoint_padding, transposed_sizes
from . import bias_activation
from .arrays import contiguous
from .conv import bias_gradient, family_of, sizes_of, way_of
from .conv_shape import Convolution, convolution
from .dtypes import refuse_dtypes

__all__ = ["backward", "forward", "refusal", "way"]


def refusal(x: Any, weight: Any, bias: Any, *, activation: str | None = None, **options: Any) -> str | None:
    why = refuse_arguments(x, weight, bias, activation=activation, **options) or refuse_dtypes(x, weight, bias)
    return why or _adjoint(x, weight, **options).refusal()


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


def way(x: Any, weight: Any, bias: Any = None, *, activation: str | None = None, **options: Any) -> str:
    """Which kernels compute the forward, and why not others."""
    return way_of(x, _adjoint(x, weight, **options), gradient=True)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, Any, Any]:
    x, weight, y, activation, conv, kernels = residuals
    dz = bias_activation.pulled(contiguous(g), y, activation)
    dx = kernels.forward(dz, weight, None, conv, None) if need[0] else None
    dw = kernels.gradients(x, dz, weight, conv, None, dx=False, dw=True, db=False)[1] if need[1] else None
    return dx, dw, bias_gradient(dz, conv.last) if need[2] else None


def _adjoint(
    x: Any,
    weight: Any,
    stride: tuple[int, ...],
    padding: Pairs,
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int = 1,
    data_format: str = "channels_first",
) -> Convolution:
    """The convolution from y to x, whose input gradient this is: its filters are the channels of x."""
    sizes, kernel = sizes_of(x, data_format), weight.shape[2:]
    out = transposed_sizes(sizes, kernel, stride, padding, output_padding, dilation)
    pairs = adjoint_padding(sizes, out, kernel, stride, padding, dilation)
    return convolution(x.shape[0], out, weight.shape, stride, pairs, dilation, groups, data_format)
