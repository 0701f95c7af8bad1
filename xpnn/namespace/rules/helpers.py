"""What rules of several chapters share: axes, reduced shapes, complex conjugation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def axes_of(ndim: int, axis: int | Sequence[int] | None) -> tuple[int, ...]:
    """The axes that ``axis`` names, as numbers from 0; None names all."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(i % ndim for i in ((axis,) if isinstance(axis, int) else axis))


def keep_axes(xp: Any, g: Any, x: Any, axis: Any, keepdims: bool = False) -> Any:
    """Puts reduced axes back with size 1, so that g broadcasts against x, unless they were kept or are all."""
    if keepdims or axis is None:
        return g
    reduced = axes_of(x.ndim, axis)
    return xp.reshape(g, tuple(1 if i in reduced else size for i, size in enumerate(x.shape)))


def count(x: Any, axis: Any) -> int:
    """How many elements of x go into one element of a reduction."""
    return math.prod(x.shape if axis is None else [x.shape[i] for i in axes_of(x.ndim, axis)])


def along(axis: int, ndim: int, key: Any) -> tuple[Any, ...]:
    """The key that takes ``key`` of one axis and everything of the others."""
    return (slice(None),) * (axis % ndim) + (key, ...)


def is_complex(xp: Any, x: Any) -> bool:
    """Whether x has a complex dtype."""
    return xp.isdtype(x.dtype, "complex floating")  # type: ignore[no-any-return]


def conj(xp: Any, x: Any) -> Any:
    """The complex conjugate; a real array as it is."""
    return xp.conj(x) if is_complex(xp, x) else x


def adjoint(xp: Any, x: Any) -> Any:
    """The conjugate transpose of matrices."""
    return conj(xp, xp.matrix_transpose(x))


def one_where(xp: Any, condition: Any, x: Any) -> Any:
    """x with 1 where the condition holds: a denominator that is never zero."""
    return xp.where(condition, xp.ones_like(x), x)
