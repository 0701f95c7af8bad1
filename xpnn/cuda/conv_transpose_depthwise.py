"""conv_transpose for CuPy where each filter sees one channel: the kernels of depthwise convolution, the other way round.

y is the input gradient of the depthwise convolution from y to x, with x in the place of the gradient of its output; the gradient
of x is that convolution itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..cpu.conv_transpose import refuse_arguments
from ..cpu.windows import Pairs, adjoint_padding, transposed_sizes
from ..namespace.libraries import raw_namespace
from . import bias_activation, conv_depthwise, conv_depthwise_last
from .arrays import contiguous
from .conv import bias_gradient, sizes_of
from .conv_depthwise_shape import Geometry, Sizes, beyond, geometry_of
from .dtypes import dtype_name, refuse_dtypes

__all__ = ["backward", "forward", "refusal", "way"]


def refusal(x: Any, weight: Any, bias: Any, *, activation: str | None = None, **options: Any) -> str | None:
    why = refuse_arguments(x, weight, bias, activation=activation, **options) or refuse_dtypes(x, weight, bias)
    if why is not None:
        return why
    if weight.shape[1] != 1:
        return f"not depthwise: {weight.shape[1]} outputs of a group"
    geometry, shape, pairs = _adjoint(x, weight, **options)
    why = beyond(geometry, shape, weight.shape, pairs)
    if why is None and _is_last(options):
        return conv_depthwise_last.too_large(dtype_name(x.dtype), geometry)
    return why


def way(x: Any, weight: Any, bias: Any, **options: Any) -> str:
    return "conv_depthwise_last" if _is_last(options) else "conv_depthwise"


def forward(
    x: Any, weight: Any, bias: Any, *, activation: str | None = None, need: tuple[bool, ...], **options: Any
) -> tuple[Any, Any]:
    geometry, shape, _ = _adjoint(x, weight, **options)
    x, weight = contiguous(x), contiguous(weight)
    bias = None if bias is None else contiguous(bias)
    last = _is_last(options)
    y = raw_namespace(x).empty((shape[0], *shape[2:], shape[1]) if last else shape, dtype=x.dtype)
    kernels: Any = conv_depthwise_last if last else conv_depthwise
    kernels.gradient_into(y, x, weight, bias, geometry, activation)
    if True not in need:
        return y, None
    return y, (x, weight, geometry, None if activation is None else y, activation, kernels)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, Any, Any]:
    x, weight, geometry, y, activation, kernels = residuals
    dz = bias_activation.pulled(contiguous(g), y, activation)
    xp = raw_namespace(x)
    dx, dweight = (xp.empty_like(a) if wanted else None for a, wanted in zip((x, weight), need, strict=False))
    if dx is not None:
        kernels.forward_into(dx, dz, weight, None, geometry, None)
    if dweight is not None:
        kernels.sums_into(dweight, None, x, dz, geometry)
    return dx, dweight, bias_gradient(dz, kernels is conv_depthwise_last) if need[2] else None


def _is_last(options: dict[str, Any]) -> bool:
    return options.get("data_format") == "channels_last"


def _adjoint(
    x: Any,
    weight: Any,
    stride: Sizes,
    padding: Pairs,
    output_padding: Sizes,
    dilation: Sizes,
    groups: int = 1,
    data_format: str = "channels_first",
) -> tuple[Geometry, Sizes, Pairs]:
    """(the convolution from y to x, the shape of y with the channels first, its padding)."""
    sizes, kernel = sizes_of(x, data_format), weight.shape[2:]
    out = transposed_sizes(sizes, kernel, stride, padding, output_padding, dilation)
    pairs = adjoint_padding(sizes, out, kernel, stride, padding, dilation)
    shape = (x.shape[0], groups, *out)
    return geometry_of(shape, weight.shape, stride, pairs, dilation), shape, pairs
