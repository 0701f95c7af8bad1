"""The loops of row_norm.py: rows standardised, their gradients, and those of weight and bias; imports Numba.

A row is x[n] (K, L), its weight and bias (G, K) those of its group n % G. L is 1 for norms of the last axes, which vectors then run
along K. Rows come in parts, whose gradients of weight and bias are summed apart, so that the sums do not depend on the threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .float32 import compiled

__all__ = ["backward", "forward"]

_f = np.float32


@compiled
def _moments(x: Any, centre: bool) -> Any:
    """(mean, mean of the squares of x - mean) of x (M,), in two passes; without centring the mean is 0."""
    count, mean = _f(len(x)), _f(0)
    if centre:
        for i in range(len(x)):
            mean += x[i]
        mean /= count
    rest, squares = _f(0), _f(0)
    for i in range(len(x)):
        d = x[i] - mean
        rest += d
        squares += d * d
    if not centre:
        return mean, squares / count
    rest /= count  # the mean was rounded: see ops/_normalise.py
    return mean + rest, max(squares / count - rest * rest, _f(0))


@compiled
def _line(x: Any, out: Any, w: Any, b: Any, mean: Any, scale: Any) -> None:
    for i in range(len(x)):
        out[i] = (x[i] - mean) * scale * w[i] + b[i]


@compiled
def _flat(x: Any, out: Any, mean: Any, scale: Any, shift: Any) -> None:
    for i in range(len(x)):
        out[i] = (x[i] - mean) * scale + shift


@compiled
def forward(places: Any, x: Any, y: Any, mean: Any, scale: Any, weight: Any, bias: Any, eps: Any, centre: bool) -> None:
    """y of rows x (N, K L); places: their numbers; mean, scale (N,): what backward needs."""
    groups, channels = weight.shape
    length = x.shape[1] // channels
    for n in range(len(x)):
        w, b = weight[places[n] % groups], bias[places[n] % groups]
        m, squares = _moments(x[n], centre)
        s = _f(1) / np.sqrt(squares + eps)
        mean[n], scale[n] = m, s
        if length == 1:
            _line(x[n], y[n], w, b, m, s)
        else:
            for k in range(channels):
                part = slice(k * length, (k + 1) * length)
                _flat(x[n, part], y[n, part], m, s * w[k], b[k])


@compiled
def _sums_line(x: Any, g: Any, w: Any, mean: Any, scale: Any, dw: Any, db: Any) -> Any:
    """The sums of w g and w g h, h the standardised x; adds those of single columns to dw and db."""
    first, second = _f(0), _f(0)
    for i in range(len(x)):
        h = (x[i] - mean) * scale
        dw[i] += g[i] * h
        db[i] += g[i]
        first += g[i] * w[i]
        second += g[i] * w[i] * h
    return first, second


@compiled
def _sums_flat(x: Any, g: Any, mean: Any, scale: Any) -> Any:
    first, second = _f(0), _f(0)
    for i in range(len(x)):
        first += g[i]
        second += g[i] * ((x[i] - mean) * scale)
    return first, second


@compiled
def _pull_line(x: Any, g: Any, dx: Any, w: Any, mean: Any, scale: Any, first: Any, second: Any) -> None:
    for i in range(len(x)):
        dx[i] = (g[i] * w[i] - first - (x[i] - mean) * scale * second) * scale


@compiled
def _pull_flat(x: Any, g: Any, dx: Any, w: Any, mean: Any, scale: Any, first: Any, second: Any) -> None:
    for i in range(len(x)):
        dx[i] = (g[i] * w - first - (x[i] - mean) * scale * second) * scale


@compiled
def backward(
    bounds: Any, dw: Any, db: Any, x: Any, g: Any, dx: Any, mean: Any, scale: Any, weight: Any, centre: bool
) -> None:
    """dx of rows x (N, K L) and, for each part bounds[p] of the rows, the sums dw[p], db[p] (G, K), zeros before."""
    groups, channels = weight.shape
    length = x.shape[1] // channels
    count = _f(x.shape[1])
    for p in range(len(bounds)):
        for n in range(bounds[p, 0], bounds[p, 1]):
            group, m, s = n % groups, mean[n], scale[n]
            w, own_dw, own_db = weight[group], dw[p, group], db[p, group]
            first, second = _f(0), _f(0)
            if length == 1:
                first, second = _sums_line(x[n], g[n], w, m, s, own_dw, own_db)
            else:
                for k in range(channels):
                    part = slice(k * length, (k + 1) * length)
                    a, b = _sums_flat(x[n, part], g[n, part], m, s)
                    own_db[k] += a
                    own_dw[k] += b
                    first += a * w[k]
                    second += b * w[k]
            first = first / count if centre else _f(0)
            second /= count
            if length == 1:
                _pull_line(x[n], g[n], dx[n], w, m, s, first, second)
            else:
                for k in range(channels):
                    part = slice(k * length, (k + 1) * length)
                    _pull_flat(x[n, part], g[n, part], dx[n, part], w[k], m, s, first, second)
