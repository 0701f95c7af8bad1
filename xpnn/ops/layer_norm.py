"""layer_norm: each sample brought to mean 0 and variance 1 over its last axes."""

from __future__ import annotations

from typing import Any

from ..compiled import row_norm as compiled
from ..cpu import layer_norm as cpu
from ..cuda import layer_norm as cuda
from ..namespace import namespace
from ..primitive import Primitive
from ._activations import activated, check_activation
from ._normalise import (
    affine,
    check_eps,
    check_floating,
    check_parameters,
    standardised,
    widened,
)

__all__ = ["layer_norm", "trailing_axes"]


def reference(
    x: Any, weight: Any = None, bias: Any = None, *, normalized_shape: tuple[int, ...], eps: float = 1e-5,
    activation: str | None = None,
) -> Any:  # fmt: skip
    """(x - mean) / sqrt(var + eps) * weight + bias over the last axes, var without correction (Ba et al. 2016).

    x (..., *normalized_shape) -> y of the same shape; weight and bias normalized_shape or None. float16 is computed in float32.
    activation: None, "relu", "tanh" or "sigmoid", applied to the result.
    """
    xp = namespace(x, weight, bias)
    axes = trailing_axes(xp, x, normalized_shape)
    check_parameters(tuple(normalized_shape), weight=weight, bias=bias)
    check_eps(eps)
    check_activation(activation)
    y, _, _ = standardised(xp, widened(xp, x), axes, eps)
    return activated(affine(xp, y, weight, bias, tuple(normalized_shape), x.dtype), activation)


layer_norm = Primitive(reference, name="layer_norm")
layer_norm.add("numpy", compiled.layer_norm)
layer_norm.add("numpy", cpu)
layer_norm.add("cupy", cuda)


def trailing_axes(xp: Any, x: Any, normalized_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of x that normalized_shape names; raises for another x or for no axes."""
    check_floating(xp, x)
    shape, own = tuple(normalized_shape), tuple(x.shape)
    if not shape:
        raise ValueError("normalized_shape: expected one size or more, got ()")
    if len(own) < len(shape) or own[-len(shape) :] != shape:
        raise ValueError(f"x: expected shape (..., {', '.join(map(str, shape))}), got {own}")
    return tuple(range(len(own) - len(shape), len(own)))
