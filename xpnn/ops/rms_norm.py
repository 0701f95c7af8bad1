"""rms_norm: each sample divided by its root mean square over its last axes."""

from __future__ import annotations

from typing import Any

from ..compiled import row_norm as compiled
from ..cpu import rms_norm as cpu
from ..cuda import rms_norm as cuda
from ..namespace import namespace
from ..primitive import Primitive
from ._normalise import affine, check_eps, check_parameters, mean, widened
from .layer_norm import trailing_axes

__all__ = ["rms_norm"]


def reference(x: Any, weight: Any = None, *, normalized_shape: tuple[int, ...], eps: float | None = None) -> Any:
    """x / sqrt(mean(x²) + eps) * weight over the last axes (Zhang and Sennrich 2019).

    x (..., *normalized_shape) -> y of the same shape; weight normalized_shape or None. eps None: the spacing of the
    numbers of x's dtype at 1. float16 is computed in float32.
    """
    xp = namespace(x, weight)
    axes = trailing_axes(xp, x, normalized_shape)
    check_parameters(tuple(normalized_shape), weight=weight)
    wide = widened(xp, x)
    eps = float(xp.finfo(wide.dtype).eps) if eps is None else eps
    check_eps(eps)
    y = wide / xp.sqrt(mean(xp, wide * wide, axes) + eps)
    return affine(xp, y, weight, None, tuple(normalized_shape), x.dtype)


rms_norm = Primitive(reference, name="rms_norm")
rms_norm.add("numpy", compiled.rms_norm)
rms_norm.add("numpy", cpu)
rms_norm.add("cupy", cuda)
