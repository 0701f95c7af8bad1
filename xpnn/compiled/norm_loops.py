"""The loops of row_norm.py: rows standardised, their gradients, and those of weight and bias; imports Numba.

A row is x[n] (K, L), its weight and bias (G, K) those of its group n % G. L is 1 for norms of the last axes, which vectors then run
along K. Rows come in parts, whose gradients of weight and bias are summed apart, so that the sums do not depend on the threads.

The mean is near + rest: near is rounded, rest what it lost, and the two are never added, for x may lie far from zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .float32 import compiled, pointwise

__all__ = ["backward", "forward"]

_f = np.float32


@compiled
def _moments(x: Any, centre: bool) -> Any:
    """(near, rest, mean of the squares about the mean) of x (M,); without centring the mean counts as 0."""
    count, near = _f(len(x)), _f(0)
    if centre:
        for i in range(len(x)):
            near += x[i]
        near /= count
    rest, squares = _f(0), _f(0)
    for i in range(len(x)):
        d = x[i] - near
        rest += d
        squares += d * d
    rest = rest / count if centre else _f(0)
    return near, rest, max(squares / count - rest * rest, _f(0))


@pointwise
def _line(x: Any, out: Any, w: Any, b: Any, near: Any, rest: Any, scale: Any) -> None:
    for i in range(len(x)):
        out[i] = ((x[i] - near) - rest) * scale * w[i] + b[i]


@pointwise
def _flat(x: Any, out: Any, near: Any, scale: Any, shift: Any) -> None:
    for i in range(len(x)):
        out[i] = (x[i] - near) * scale + shift


@compiled
def forward(places: Any, x: Any, y: Any, kept: Any, weight: Any, bias: Any, eps: Any, centre: bool) -> None:
    """y of rows x (N, K L); places: their numbers; kept (N, 3): near, rest and 1 / deviation, what backward needs."""
    groups, channels = weight.shape
    length = x.shape[1] // channels
    for n in range(len(x)):
        w, b = weight[places[n] % groups], bias[places[n] % groups]
        near, rest, squares = _moments(x[n], centre)
        s = _f(1) / np.sqrt(squares + eps)
        kept[n, 0], kept[n, 1], kept[n, 2] = near, rest, s
        if length == 1:
            _line(x[n], y[n], w, b, near, rest, s)
        else:
            for k in range(channels):
                part = slice(k * length, (k + 1) * length)
                _flat(x[n, part], y[n, part], near, s * w[k], b[k] - rest * (s * w[k]))


@compiled
def _sums_line(x: Any, g: Any, w: Any, near: Any) -> Any:
    """The sums of w g and of w g (x - near)."""
    first, second = _f(0), _f(0)
    for i in range(len(x)):
        v = g[i] * w[i]
        first += v
        second += v * (x[i] - near)
    return first, second


@compiled
def _sums_flat(x: Any, g: Any, near: Any) -> Any:
    first, second = _f(0), _f(0)
    for i in range(len(x)):
        first += g[i]
        second += g[i] * (x[i] - near)
    return first, second


@pointwise
def _columns(x: Any, g: Any, dw: Any, db: Any, near: Any, rest: Any, scale: Any) -> None:
    """Adds a row's part of the gradients of weight and bias."""
    for i in range(len(x)):
        dw[i] += g[i] * (((x[i] - near) - rest) * scale)
        db[i] += g[i]


@pointwise
def _pull_line(x: Any, g: Any, dx: Any, w: Any, near: Any, scale: Any, slope: Any, shift: Any) -> None:
    for i in range(len(x)):
        dx[i] = g[i] * w[i] * scale + ((x[i] - near) * slope + shift)


@pointwise
def _pull_flat(x: Any, g: Any, dx: Any, gain: Any, near: Any, slope: Any, shift: Any) -> None:
    for i in range(len(x)):
        dx[i] = g[i] * gain + ((x[i] - near) * slope + shift)


@compiled
def backward(bounds: Any, dw: Any, db: Any, x: Any, g: Any, dx: Any, kept: Any, weight: Any, centre: bool) -> None:
    """dx of rows x (N, K L) and, for each part bounds[p] of the rows, the sums dw[p], db[p] (G, K), zeros before."""
    groups, channels = weight.shape
    length = x.shape[1] // channels
    count = _f(x.shape[1])
    for p in range(len(bounds)):
        for n in range(bounds[p, 0], bounds[p, 1]):
            near, rest, s = kept[n, 0], kept[n, 1], kept[n, 2]
            w, own_dw, own_db = weight[n % groups], dw[p, n % groups], db[p, n % groups]
            first, second = _f(0), _f(0)
            if length == 1:
                first, second = _sums_line(x[n], g[n], w, near)
                _columns(x[n], g[n], own_dw, own_db, near, rest, s)
            else:
                for k in range(channels):
                    part = slice(k * length, (k + 1) * length)
                    a, b = _sums_flat(x[n, part], g[n, part], near)
                    own_db[k] += a
                    own_dw[k] += (b - rest * a) * s
                    first += a * w[k]
                    second += b * w[k]
            # dx = (w g - mean(w g) - h mean(w g h)) s, h = (x - near - rest) s
            slope = -(second - rest * first) * s * s / count * s
            shift = -rest * slope
            if centre:
                shift -= first / count * s
            if length == 1:
                _pull_line(x[n], g[n], dx[n], w, near, s, slope, shift)
            else:
                for k in range(channels):
                    part = slice(k * length, (k + 1) * length)
                    _pull_flat(x[n, part], g[n, part], dx[n, part], w[k] * s, near, slope, shift)
