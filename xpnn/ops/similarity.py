"""cosine_similarity and pairwise_distance of two arrays of vectors."""

from __future__ import annotations

from typing import Any

from ..gradients import stop_gradient
from ..namespace import namespace
from ._checks import check_axis, check_floating
from ._norm import norm, power

__all__ = ["cosine_similarity", "pairwise_distance"]


def cosine_similarity(x1: Any, x2: Any, *, axis: int = 1, eps: float = 1e-8) -> Any:
    """x1 · x2 / (max(|x1|, eps) max(|x2|, eps)) along an axis: x1, x2 (...), broadcast -> y without the axis."""
    _check(x1, x2)
    xp = namespace(x1, x2)
    x1, x2 = xp.broadcast_arrays(x1, x2)
    check_axis(x1, axis)
    lengths = (_length(xp, x, axis, eps) for x in (x1, x2))
    unit1, unit2 = (x / length for x, length in zip((x1, x2), lengths, strict=True))
    return xp.sum(unit1 * unit2, axis=axis)


def pairwise_distance(x1: Any, x2: Any, *, p: float = 2.0, eps: float = 1e-6, keepdims: bool = False) -> Any:
    """The p-norm of x1 - x2 + eps: x1, x2 (..., D), broadcast -> y (...), with keepdims (..., 1)."""
    if not p > 0:
        raise ValueError(f"p: expected more than 0, got {p}")
    _check(x1, x2)
    xp = namespace(x1, x2)
    y = norm(xp, x1 - x2 + eps, p)
    return xp.expand_dims(y, axis=-1) if keepdims else y


def _check(x1: Any, x2: Any) -> None:
    """Raises unless both are floating point, and of shapes that broadcast."""
    check_floating("x1", x1)
    check_floating("x2", x2)
    if any(a != b and 1 not in (a, b) for a, b in zip(x1.shape[::-1], x2.shape[::-1], strict=False)):
        raise ValueError(f"x2: expected a shape that broadcasts with x1 {tuple(x1.shape)}, got {tuple(x2.shape)}")


def _length(xp: Any, x: Any, axis: int, eps: float) -> Any:
    """The length of vectors, eps if it is smaller; as in torch the gradient is that of the length all the same."""
    length = power(xp, xp.sum(x * x, axis=axis, keepdims=True), 0.5)
    return length + stop_gradient(xp.clip(eps - length, min=0.0))
