"""conv for CuPy: implicit matrix products for the forward and both gradients; no matrix of columns is ever laid out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..cpu.windows import Pairs
from ..namespace.libraries import raw_namespace
from ..precision import get_precision
from . import bias_activation, conv_float, conv_half, conv_tf32, conv_wgmma
from .arrays import contiguous
from .conv_moments import Moments
from .conv_shape import ACTIVATIONS, Convolution, convolution
from .conv_ways import asked
from .dtypes import dtype_name, refuse_dtypes

__all__ = ["backward", "bias_gradient", "convolved", "family_of", "forward", "refusal", "sizes_of", "way", "way_of"]


def refusal(
    x: Any,
    weight: Any,
    bias: Any,
    scale: Any = None,
    residual: Any = None,
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
    if channels != weight.shape[1] * groups or any(
        a is not None and a.shape != weight.shape[:1] for a in (bias, scale)
    ):
        return "shapes"
    if 0 in x.shape or 0 in weight.shape:
        return "size 0"
    conv = convolved(x, weight, stride, padding, dilation, groups, data_format)
    if residual is not None and min(conv.out) > 0 and residual.shape != conv.y_shape:
        return "shape of residual"
    return refuse_dtypes(x, weight, bias, scale, residual) or conv.refusal()


def forward(
    x: Any,
    weight: Any,
    bias: Any,
    scale: Any = None,
    residual: Any = None,
    *,
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int = 1,
    data_format: str = "channels_first",
    activation: str | None = None,
    moments: Moments | None = None,
    need: tuple[bool, ...],
) -> tuple[Any, Any]:
    """moments: what is to hold those of the output, which then has no activation and no residual."""
    conv = convolved(x, weight, stride, padding, dilation, groups, data_format)
    x, weight = contiguous(x), contiguous(weight)
    bias, scale, residual = (None if a is None else contiguous(a) for a in (bias, scale, residual))
    family = family_of(x)
    y = family.forward(x, weight, bias, conv, activation, scale=scale, residual=residual, moments=moments)
    if True not in need:
        return y, None
    kept = x if need[1] or True in need[3:4] else None
    return y, (kept, weight, scale, x.shape, None if activation is None else y, activation, conv, family)


def way(
    x: Any,
    weight: Any,
    *_: Any,
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int = 1,
    data_format: str = "channels_first",
    activation: str | None = None,
) -> str:
    """Which kernels compute the forward, in which tiles, how many blocks share the sums of one, and why not what was asked for."""
    return way_of(x, convolved(x, weight, stride, padding, dilation, groups, data_format), gradient=False)


def way_of(x: Any, conv: Convolution, *, gradient: bool) -> str:
    """The same of the forward or of the input gradient of this convolution, for arrays like x."""
    name = str(family_of(x).way(conv, gradient=gradient))
    if asked() != "wgmma":
        return name
    why = _not_wgmma(x) or conv_wgmma.refusal(conv, gradient=gradient)
    return "conv_wgmma" if why is None else f"{name}; not wgmma: {why}"


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, ...]:
    x, weight, scale, shape, y, activation, conv, family = residuals
    want_x, want_weight, want_bias, want_scale, want_residual = (*need, False, False)[:5]
    dz = bias_activation.pulled(contiguous(g), y, activation)
    sums = want_weight or want_scale
    own = weight if scale is None else _scaled(weight, scale)
    dx, dw, db = family.gradients(dz, x, own, conv, shape, dx=want_x, dw=sums, db=sums and want_bias)
    if want_bias and db is None:
        db = bias_gradient(dz, conv.last)
    dscale = None
    if scale is not None and dw is not None:  # so far the gradient of scale * weight
        dscale = _scale_gradient(dw, weight) if want_scale else None
        dw = _scaled(dw, scale) if want_weight else None
    dresidual = (dz.copy() if activation is None else dz) if want_residual else None
    return (dx, dw, db, dscale, dresidual)[: len(need)]


def _scaled(weight: Any, scale: Any) -> Any:
    """weight (K, ...) * scale (K,), in float32, rounded once."""
    wide = raw_namespace(weight).float32
    return (weight.astype(wide) * scale.astype(wide).reshape(-1, *(1,) * (weight.ndim - 1))).astype(weight.dtype)


def _scale_gradient(dw: Any, weight: Any) -> Any:
    """The sum of the products of each filter (K, ...)."""
    wide = raw_namespace(weight).float32
    return (dw.astype(wide) * weight.astype(wide)).sum(axis=tuple(range(1, weight.ndim))).astype(weight.dtype)


def convolved(
    x: Any,
    weight: Any,
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int = 1,
    data_format: str = "channels_first",
) -> Convolution:
    """The convolution of these arrays."""
    sizes = sizes_of(x, data_format)
    return convolution(x.shape[0], sizes, weight.shape, stride, padding, dilation, groups, data_format)


def family_of(x: Any) -> Any:
    """The kernels for the dtype of x, and in float32 for the precision."""
    dtype = dtype_name(x.dtype)
    if dtype != "float32":
        whole = asked() == "wgmma" and _not_wgmma(x) is None
        return (conv_wgmma if whole else conv_half).KINDS[dtype]
    precision = get_precision()
    return conv_tf32.KINDS[precision] if precision != "highest" and conv_tf32.fits(x) else conv_float


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
