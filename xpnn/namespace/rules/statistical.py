"""Statistical functions: sums, means, extrema, variances, products, cumulative sums and products."""

from __future__ import annotations

import math
from typing import Any

from ..rule import Rule
from .helpers import along, axes_of, conj, count, keep_axes, one_where

_REDUCE = "x, /, *, axis=None, keepdims=False"
_SUM = "x, /, *, axis=None, dtype=None, keepdims=False"
_SPREAD = "x, /, *, axis=None, correction=0.0, keepdims=False"
_CUMULATIVE = "x, /, *, axis=None, dtype=None, include_initial=False"


def _sum(xp: Any, g: Any, _out: Any, _x: Any, axis: Any, _dtype: Any, keepdims: bool) -> Any:
    return xp.broadcast_to(keep_axes(xp, g, _x, axis, keepdims), _x.shape)


def _mean(xp: Any, g: Any, _out: Any, _x: Any, axis: Any, keepdims: bool) -> Any:
    return xp.broadcast_to(keep_axes(xp, g, _x, axis, keepdims) / max(count(_x, axis), 1), _x.shape)


def _extremum(xp: Any, g: Any, out: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """The gradient goes to the extreme elements in equal shares."""
    chosen = xp.astype(x == keep_axes(xp, out, x, axis, keepdims), g.dtype)
    return chosen * (keep_axes(xp, g, x, axis, keepdims) / xp.sum(chosen, axis=axis, keepdims=True))


def _var(xp: Any, g: Any, _out: Any, x: Any, axis: Any, correction: float, keepdims: bool) -> Any:
    centred = conj(xp, x - xp.mean(x, axis=axis, keepdims=True))
    freedom = count(x, axis) - correction
    return keep_axes(xp, g, x, axis, keepdims) * (2 / freedom if freedom > 0 else math.inf) * centred


def _std(xp: Any, g: Any, out: Any, x: Any, axis: Any, correction: float, keepdims: bool) -> Any:
    """At equal elements, where the deviation has a kink, the gradient is 0."""
    return _var(xp, g / (2 * one_where(xp, out == 0, out)), None, x, axis, correction, keepdims)


def _others(xp: Any, x: Any, axis: int) -> Any:
    """The product of all elements before each one along an axis."""
    return xp.cumulative_prod(x, axis=axis, include_initial=True)[along(axis, x.ndim, slice(0, x.shape[axis]))]


def _prod(xp: Any, g: Any, _out: Any, x: Any, axis: Any, _dtype: Any, keepdims: bool) -> Any:
    """g times the product of all other elements, without a division, so that zeros in x are no special case."""
    if not x.ndim:
        return g
    g = keep_axes(xp, g, x, axis, keepdims)
    reduced = axes_of(x.ndim, axis)
    kept = tuple(i for i in range(x.ndim) if i not in reduced)
    rows = xp.permute_dims(x, kept + reduced)
    moved = rows.shape
    rows = xp.reshape(rows, (*moved[: len(kept)], count(x, axis)))
    others = _others(xp, rows, -1) * xp.flip(_others(xp, xp.flip(rows, axis=-1), -1), axis=-1)
    order = kept + reduced
    return g * xp.permute_dims(xp.reshape(others, moved), tuple(order.index(i) for i in range(x.ndim)))


def _cumulative_sum(xp: Any, g: Any, _out: Any, _x: Any, axis: Any, _dtype: Any, include_initial: bool) -> Any:
    axis = axis or 0
    if include_initial:
        g = g[along(axis, _x.ndim, slice(1, None))]
    return xp.flip(xp.cumulative_sum(xp.flip(g, axis=axis), axis=axis), axis=axis)


def _cumulative_prod(xp: Any, g: Any, _out: Any, x: Any, axis: Any, _dtype: Any, include_initial: bool) -> Any:
    """sum over j >= i of g[j] * (product of x[k], k <= j, k != i), without a division.

    It is the product before i times a tail t[i] = g[i] + x[i + 1] * t[i + 1]: a linear recurrence, computed for all i at
    once in log2(n) steps of doubling reach.
    """
    axis = axis or 0
    if include_initial:
        g = g[along(axis, x.ndim, slice(1, None))]
    size = x.shape[axis]
    tail, factor, reach = g, _later(xp, x, axis, 1), 1
    while reach < size:
        tail = tail + factor * _later(xp, tail, axis, reach)
        factor = factor * _later(xp, factor, axis, reach)
        reach *= 2
    return _others(xp, x, axis) * tail


def _later(xp: Any, x: Any, axis: int, steps: int) -> Any:
    """x moved up by some steps along an axis, zeros following."""
    rest = x[along(axis, x.ndim, slice(min(steps, x.shape[axis]), None))]
    return xp.concat([rest, xp.zeros_like(x[along(axis, x.ndim, slice(0, min(steps, x.shape[axis])))])], axis=axis)


RULES: dict[str, Any] = {
    "sum": Rule(_SUM, x=_sum),
    "mean": Rule(_REDUCE, x=_mean),
    "max": Rule(_REDUCE, x=_extremum),
    "min": Rule(_REDUCE, x=_extremum),
    "var": Rule(_SPREAD, x=_var),
    "std": Rule(_SPREAD, x=_std),
    "prod": Rule(_SUM, x=_prod),
    "cumulative_sum": Rule(_CUMULATIVE, x=_cumulative_sum),
    "cumulative_prod": Rule(_CUMULATIVE, x=_cumulative_prod),
}
