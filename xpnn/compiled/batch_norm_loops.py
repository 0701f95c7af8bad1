"""The loops of batch_norm.py; imports Numba.

Planes: x (N, C, L), a channel is N pieces of L, and threads share the channels: places (C,) are their numbers. Columns: x (N, C),
vectors run along the channels, and threads share parts of the rows: bounds (P, 2), of which sums are taken apart, so that they
do not depend on the threads.

A mean is near + rest: near is rounded, rest what it lost, and the two are never added, for x may lie far from zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .float32 import compiled, pointwise

__all__ = [
    "column_moments",
    "column_sums",
    "columns",
    "columns_back",
    "plane_moments",
    "plane_sums",
    "planes",
    "planes_back",
]

_f = np.float32
_FIRST = 32  # rows whose mean is subtracted before anything is squared


@compiled
def _deviations(x: Any, near: Any) -> Any:
    """The sums of x - near and of its square, x (L,)."""
    first, second = _f(0), _f(0)
    for i in range(len(x)):
        d = x[i] - near
        first += d
        second += d * d
    return first, second


@compiled
def _products(x: Any, g: Any, mean: Any) -> Any:
    """The sums of g and of g (x - mean), x (L,)."""
    first, second = _f(0), _f(0)
    for i in range(len(x)):
        first += g[i]
        second += g[i] * (x[i] - mean)
    return first, second


@pointwise
def _line(x: Any, y: Any, mean: Any, scale: Any, shift: Any) -> None:
    for i in range(len(x)):
        y[i] = (x[i] - mean) * scale + shift


@pointwise
def _line_back(x: Any, g: Any, dx: Any, mean: Any, gain: Any, slope: Any, offset: Any) -> None:
    for i in range(len(x)):
        dx[i] = g[i] * gain + (x[i] - mean) * slope + offset


@compiled
def plane_moments(places: Any, x: Any, mean: Any, lost: Any, var: Any) -> None:
    """near as mean, rest as lost, and the variance, (C,) each."""
    batch, _, length = x.shape
    count = _f(batch * length)
    for c in places:
        near = _f(0)
        for n in range(batch):
            near += _deviations(x[n, c], _f(0))[0]
        near /= count
        rest, squares = _f(0), _f(0)
        for n in range(batch):
            a, b = _deviations(x[n, c], near)
            rest += a
            squares += b
        rest /= count
        mean[c], lost[c] = near, rest
        var[c] = max(squares / count - rest * rest, _f(0))


@compiled
def plane_sums(places: Any, x: Any, g: Any, mean: Any, total: Any, along: Any) -> None:
    """total, along (C,): the sums of g and of g (x - mean), zeros before."""
    for c in places:
        for n in range(len(x)):
            a, b = _products(x[n, c], g[n, c], mean[c])
            total[c] += a
            along[c] += b


@compiled
def planes(places: Any, x: Any, y: Any, mean: Any, scale: Any, shift: Any) -> None:
    """y = (x - mean) scale + shift."""
    for n in range(len(x)):
        for c in places:
            _line(x[n, c], y[n, c], mean[c], scale[c], shift[c])


@compiled
def planes_back(places: Any, x: Any, g: Any, dx: Any, mean: Any, gain: Any, slope: Any, offset: Any) -> None:
    """dx = g gain + (x - mean) slope + offset."""
    for n in range(len(x)):
        for c in places:
            _line_back(x[n, c], g[n, c], dx[n, c], mean[c], gain[c], slope[c], offset[c])


@compiled
def column_moments(bounds: Any, mean: Any, lost: Any, squares: Any, x: Any) -> None:
    """Of each part of the rows near as mean, rest as lost, and the sum of the squares about both, (P, C) each."""
    channels = x.shape[1]
    near, rest = np.empty(channels, np.float32), np.empty(channels, np.float32)
    for p in range(len(bounds)):
        begin, end = bounds[p]
        m, s = mean[p], squares[p]
        near[:], rest[:], s[:] = _f(0), _f(0), _f(0)
        first = min(end - begin, _FIRST)
        for n in range(begin, begin + first):
            row = x[n]
            for c in range(channels):
                near[c] += row[c]
        for c in range(channels):
            near[c] /= _f(first)
        for n in range(begin, end):
            row = x[n]
            for c in range(channels):
                d = row[c] - near[c]
                rest[c] += d
                s[c] += d * d
        for c in range(channels):
            r = rest[c] / _f(end - begin)
            m[c], lost[p, c] = near[c], r
            s[c] -= r * rest[c]


@compiled
def column_sums(bounds: Any, total: Any, along: Any, x: Any, g: Any, mean: Any) -> None:
    """Of each part of the rows the sums of g and of g (x - mean), (P, C) both, zeros before."""
    for p in range(len(bounds)):
        t, a = total[p], along[p]
        for n in range(bounds[p, 0], bounds[p, 1]):
            row, own = x[n], g[n]
            for c in range(len(t)):
                t[c] += own[c]
                a[c] += own[c] * (row[c] - mean[c])


@pointwise
def columns(x: Any, y: Any, mean: Any, scale: Any, shift: Any) -> None:
    """y = (x - mean) scale + shift."""
    for n in range(len(x)):
        a, b = x[n], y[n]
        for c in range(len(a)):
            b[c] = (a[c] - mean[c]) * scale[c] + shift[c]


@pointwise
def columns_back(x: Any, g: Any, dx: Any, mean: Any, gain: Any, slope: Any, offset: Any) -> None:
    """dx = g gain + (x - mean) slope + offset."""
    for n in range(len(x)):
        a, b, d = x[n], g[n], dx[n]
        for c in range(len(a)):
            d[c] = b[c] * gain[c] + (a[c] - mean[c]) * slope[c] + offset[c]
