"""batch_norm for NumPy, x as (N, C, L): one pass for the mean, one for the variance, one for y, each a block at a time.

With m the rounded mean, d = x - m and r = mean(d): y = (d - r) s w + bias, s = 1 / sqrt(mean(d²) - r² + eps), and
dx = (g - mean(g) - (d - r) s² mean(g (d - r))) s w, to which the gradients of mean and var add theirs. r is never
subtracted from d, only from sums of it, and d is never kept: it is made again from x, which costs less than its memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from .activated import ACTIVATIONS, activate, pulled
from .dtypes import refuse_dtypes
from .row_norm import blocks

__all__ = ["as_channels", "backward", "forward", "refusal", "scaled", "sums"]

_FAR = 8.0  # deviations from zero beyond which a mean is subtracted before anything else, for accuracy


def refusal(x: Any, weight: Any, bias: Any, *, eps: float = 1e-5, activation: str | None = None) -> str | None:
    if x.ndim < 2 or x.shape[0] * prod(x.shape[2:]) == 1 or not eps >= 0:
        return "arguments that do not fit"
    if any(a is not None and a.shape != x.shape[1:2] for a in (weight, bias)):
        return "shapes of the parameters"
    if activation not in ACTIVATIONS:
        return f"activation {activation}"
    return refuse_dtypes(x, weight, bias)


def forward(
    x: Any, weight: Any, bias: Any, *, eps: float = 1e-5, activation: str | None = None, need: tuple[bool, ...]
) -> tuple[Any, Any]:
    rows = as_channels(x)
    count = max(rows.shape[0] * rows.shape[2], 1)
    near = _sum(rows) / count
    rest, squares = (total / count for total in sums(None, rows, near))
    var = np.maximum(squares - rest * rest, 0)
    inverse = 1 / np.sqrt(var + x.dtype.type(eps))
    scale = inverse if weight is None else inverse * weight
    shift = -rest * scale if bias is None else bias - rest * scale
    y = scaled(rows, near, scale, shift, inverse)
    activate(y, activation)
    kept = y if activation else None
    return (y.reshape(x.shape), near + rest, var), (rows, kept, near, rest, inverse, scale, count, x.shape, activation)


def backward(residuals: Any, gs: Any, need: Sequence[bool]) -> tuple[Any, Any, Any]:
    rows, y, near, rest, inverse, scale, count, shape, activation = residuals
    g, dmean, dvar = gs
    total = along = np.zeros_like(rest)
    if g is not None:
        g = pulled(g.reshape(rows.shape), y, activation)
        total, along = sums(g, rows, near)
        along = along - rest * total  # the sum of g (x - mean)
    dx = None
    if need[0]:
        slope = -scale * inverse * inverse * along / count
        if dvar is not None:
            slope = slope + 2 * dvar / count
        offset = -scale * total / count - rest * slope
        if dmean is not None:
            offset = offset + dmean / count
        dx = scaled(rows, near, slope, offset, inverse, g, scale).reshape(shape)
    return dx, along * inverse if need[1] else None, total.copy() if need[2] else None


def as_channels(x: Any) -> Any:
    """x (N, C, *S) as (N, C, L)."""
    return x.reshape(*x.shape[:2], prod(x.shape[2:]))


def sums(g: Any, x: Any, near: Any) -> tuple[Any, Any]:
    """The sums of g and of g * (x - near) over all axes but the channels', (C,) both; g None: x - near itself."""
    first, second = np.zeros((2, x.shape[1]), x.dtype)
    for block in blocks(x):
        d = x[block] - near[:, None]
        factor = d if g is None else g[block]
        first += np.add.reduce(factor, axis=(0, 2))
        second += np.add.reduce(np.multiply(d, factor, d), axis=(0, 2))
    return first, second


def scaled(x: Any, mean: Any, scale: Any, shift: Any, inverse: Any, g: Any = None, gain: Any = None) -> Any:
    """(x - mean) * scale + shift + g * gain; inverse is 1 / deviation of x."""
    y = np.empty(x.shape, x.dtype)
    far = np.any(np.abs(mean) * inverse > _FAR)
    if not far:
        shift = shift - mean * scale
    for block in blocks(x):
        out = y[block]
        np.multiply(x[block] - mean[:, None] if far else x[block], scale[:, None], out)
        np.add(out, shift[:, None], out)
        if g is not None:
            np.add(out, g[block] * gain[:, None], out)
    return y


def _sum(x: Any) -> Any:
    """The sum over all axes but the channels', (C,)."""
    total = np.zeros(x.shape[1], x.dtype)
    for block in blocks(x):
        total += np.add.reduce(x[block], axis=(0, 2))
    return total
