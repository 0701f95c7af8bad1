"""The loops of softmax.py and softmax_cross_entropy.py; imports Numba.

Rows lie in memory one after another, or side by side: then x is (outer, length, inner), and a strip of neighbouring rows goes
through the length together. Both kinds read a row from memory once and find it in the cache afterwards.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .float32 import compiled, exp, search

__all__ = [
    "across",
    "across_back",
    "cross_entropy",
    "cross_entropy_back",
    "exponentials",
    "probabilities",
    "rows",
    "rows_back",
]

_f = np.float32
_STRIP = 256


@search
def _largest(x: Any) -> Any:
    """A nan is found by exp(x - largest) afterwards."""
    most = x[0]
    for i in range(len(x)):
        most = max(most, x[i])
    return most


@compiled
def rows(x: Any, y: Any, is_log: bool) -> None:
    """y = softmax or log_softmax of the rows of x (N, C)."""
    for n in range(len(x)):
        a, b = x[n], y[n]
        most = _largest(a)
        total = _f(0)
        if is_log:
            for i in range(len(a)):
                total += exp(a[i] - most)
            shift = most + _f(math.log(total))
            for i in range(len(a)):
                b[i] = a[i] - shift
        else:
            for i in range(len(a)):
                e = exp(a[i] - most)
                b[i] = e
                total += e
            scale = _f(1) / total
            for i in range(len(a)):
                b[i] *= scale


@compiled
def rows_back(y: Any, g: Any, dx: Any, is_log: bool) -> None:
    """dx = y (g - sum(g y)), or g - exp(y) sum(g), of the rows (N, C)."""
    for n in range(len(y)):
        a, b, d = y[n], g[n], dx[n]
        total = _f(0)
        if is_log:
            for i in range(len(a)):
                total += b[i]
            for i in range(len(a)):
                d[i] = b[i] - exp(a[i]) * total
        else:
            for i in range(len(a)):
                total += a[i] * b[i]
            for i in range(len(a)):
                d[i] = a[i] * (b[i] - total)


@compiled
def across(x: Any, y: Any, is_log: bool) -> None:
    """As rows, along the second axis of x (N, C, L)."""
    length, inner = x.shape[1:]
    most, total = np.empty(_STRIP, np.float32), np.empty(_STRIP, np.float32)
    for n in range(len(x)):
        for start in range(0, inner, _STRIP):
            width = min(_STRIP, inner - start)
            m, t = most[:width], total[:width]
            m[:] = x[n, 0, start : start + width]
            t[:] = _f(0)
            for c in range(1, length):
                a = x[n, c, start : start + width]
                for i in range(width):
                    m[i] = a[i] if a[i] > m[i] else m[i]
            for c in range(length):
                a, b = x[n, c, start : start + width], y[n, c, start : start + width]
                for i in range(width):
                    e = exp(a[i] - m[i])
                    b[i] = e
                    t[i] += e
            for i in range(width):
                t[i] = _f(math.log(t[i])) + m[i] if is_log else _f(1) / t[i]
            for c in range(length):
                a, b = x[n, c, start : start + width], y[n, c, start : start + width]
                if is_log:
                    for i in range(width):
                        b[i] = a[i] - t[i]
                else:
                    for i in range(width):
                        b[i] *= t[i]


@compiled
def across_back(y: Any, g: Any, dx: Any, is_log: bool) -> None:
    """As rows_back, along the second axis of y (N, C, L)."""
    length, inner = y.shape[1:]
    total = np.empty(_STRIP, np.float32)
    for n in range(len(y)):
        for start in range(0, inner, _STRIP):
            width = min(_STRIP, inner - start)
            t = total[:width]
            t[:] = _f(0)
            for c in range(length):
                a, b = y[n, c, start : start + width], g[n, c, start : start + width]
                if is_log:
                    for i in range(width):
                        t[i] += b[i]
                else:
                    for i in range(width):
                        t[i] += a[i] * b[i]
            for c in range(length):
                a, b = y[n, c, start : start + width], g[n, c, start : start + width]
                d = dx[n, c, start : start + width]
                if is_log:
                    for i in range(width):
                        d[i] = b[i] - exp(a[i]) * t[i]
                else:
                    for i in range(width):
                        d[i] = a[i] * (b[i] - t[i])


@compiled
def cross_entropy(x: Any, labels: Any, losses: Any, shifts: Any, ignore: int, smoothing: Any) -> None:
    """The losses of rows x (N, C); shifts: log of the sum of exp(x), for backward. Labels: classes, or ignore."""
    for n in range(len(x)):
        a, label = x[n], labels[n]
        most = _largest(a)
        total, plain = _f(0), _f(0)
        for i in range(len(a)):
            total += exp(a[i] - most)
        if smoothing:
            for i in range(len(a)):
                plain += a[i] - most
        log = _f(math.log(total))
        shifts[n] = most + log
        if label == ignore:
            losses[n] = _f(0)
        else:
            losses[n] = log - (_f(1) - smoothing) * (a[label] - most)
            if smoothing:
                losses[n] -= smoothing * plain / _f(len(a))


@compiled
def cross_entropy_back(x: Any, labels: Any, shifts: Any, g: Any, dx: Any, ignore: int, smoothing: Any) -> None:
    """dx (N, C) of losses with the gradients g (N,)."""
    for n in range(len(x)):
        a, d, label = x[n], dx[n], labels[n]
        if label == ignore:
            d[:] = _f(0)
        else:
            shift, scale, rest = shifts[n], g[n], smoothing / _f(len(a))
            for i in range(len(a)):
                d[i] = scale * (exp(a[i] - shift) - rest)
            d[label] -= scale * (_f(1) - smoothing)


@compiled
def exponentials(x: Any, largest: Any, total: Any) -> None:
    """x (N, C) = exp(x - largest), and the sums; the largest of a row of -inf counts as 0."""
    for n in range(len(x)):
        a = x[n]
        most = _largest(a)
        if most == _f(-np.inf):
            most = _f(0)
        own = _f(0)
        for i in range(len(a)):
            e = exp(a[i] - most)
            a[i] = e
            own += e
        largest[n], total[n] = most, own


@compiled
def probabilities(x: Any, sums: Any) -> None:
    """x (N, C) = exp(x - sums (N,))."""
    for n in range(len(x)):
        a, shift = x[n], sums[n]
        for i in range(len(a)):
            a[i] = exp(a[i] - shift)
