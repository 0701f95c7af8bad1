"""conv for CuPy: implicit matrix products for the forward and both gradients; no matrix of columns is ever laid out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..cpu.windows import Pairs
from ..namespace.libraries import raw_namespace
from ..precision import get_precision
from . import bias_activation, conv_float, conv_half, conv_tf32, conv_wgmma
from .arrays import contiguous
from .conv_shape import ACTIVATIONS, Convolution, convolution
from .conv_ways import asked
from .dtypes import dtype_name, refuse_dtypes

__all__ = ["backward", "bias_gradient", "family_of", "forward", "kernel_of", "refusal", "sizes_of", "way"]


def refusal(
    x: Any,
    weight: Any,
    bias: Any,
    *,
    stride: tuple[int, ...],
    padding: Pairs,
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
    channels = x.shape[-1 if data_format == "channels_last" else 1]
    if channels != weight.shape[1] * groups or (bias is not None and bias.shape != weight.shape[:1]):
        return "shapes"
    if 0 in x.shape or 0 in weight.shape:
        return "size 0"
    conv = _convolution(x, weight, stride, padding, dilation, groups, data_format)
    return refuse_dtypes(x, weight, bias) or conv.refusal()


def forward(
    x: Any,
    weight: Any,
    bias: Any,
    *,
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int = 1,
    data_format: str = "channels_first",
    activation: str | None = None,
    need: tuple[bool, ...],
) -> tuple[Any, Any]:
    conv = _convolution(x, weight, stride, padding, dilation, groups, data_format)
    x, weight = contiguous(x), contiguous(weight)
    bias = None if bias is None else contiguous(bias)
    family = family_of(x)
    y = family.forward(x, weight, bias, conv, activation)
    if True not in need:
        return y, None
    return y, (x if need[1] else None, weight, x.shape, y if activation is not None else None, activation, conv, family)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, Any, Any]:
    x, weight, shape, y, activation, conv, family = residuals
    dz = bias_activation.pulled(contiguous(g), y, activation)
    dx, dw, db = family.gradients(dz, x, weight, conv, shape, dx=need[0], dw=need[1], db=need[1] and need[2])
    if need[2] and not need[1]:
        db = bias_gradient(dz, conv.last)
    return dx, dw, db


def way(x: Any, weight: Any, bias: Any = None, **static: Any) -> str:
    """Which kernel computes the forward, and why not another one: "conv_half, not wgmma: …"."""
    return kernel_of(x, _convolution(x, weight, **static), gradient=False)


def kernel_of(x: Any, conv: Convolution, *, gradient: bool) -> str:
    """Which kernel computes the forward or the input gradient of this convolution for arrays like x, and why not another one."""
    family = family_of(x)
    name = "conv_float" if family is conv_float else str(family.way(conv, gradient=gradient))
    if asked() != "wgmma":
        return name
    why = _not_wgmma(x) or conv_wgmma.refusal(conv, gradient=gradient)
    return "conv_wgmma" if why is None else f"{name.partition(',')[0]}, not wgmma: {why}"


def family_of(x: Any) -> Any:
    """The kernels for the dtype of x, and in float32 for the precision."""
    dtype = dtype_name(x.dtype)
    if dtype != "float32":
        whole = asked() == "wgmma" and _not_wgmma(x) is None
        return (conv_wgmma if whole else conv_half).KINDS[dtype]
    precision = get_precision()
    return conv_tf32.KINDS[precision] if precision != "highest" and conv_tf32.fits(x) else conv_float


def _convolution(
    x: Any,
    weight: Any,
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int = 1,
    data_format: str = "channels_first",
    **_: Any,
) -> Convolution:
    sizes = sizes_of(x, data_format)
    return convolution(x.shape[0], sizes, weight.shape, stride, padding, dilation, groups, data_format)


def _not_wgmma(x: Any) -> str | None:
    """Why not for this dtype or on this device."""
    dtype = dtype_name(x.dtype)
    return conv_wgmma.unfit(x) if dtype in conv_wgmma.KINDS else f"dtype {dtype}"


def bias_gradient(dz: Any, last: bool) -> Any:
    """The sum of dz over everything but the channels, in float32, where no weight gradient brings it along."""
    if last:
        return bias_activation.backward(dz, None, None, dx=False, db=True)[1]
    sums = dz.sum(axis=(0, *range(2, dz.ndim)), dtype=raw_namespace(dz).float32)
    return sums.astype(dz.dtype)


def sizes_of(x: Any, data_format: str) -> tuple[int, ...]:
    """The axes of x that windows slide along."""
    return x.shape[1:-1] if data_format == "channels_last" else x.shape[2:]  # type: ignore[no-any-return]
