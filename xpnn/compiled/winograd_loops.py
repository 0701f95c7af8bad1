"""The transforms of winograd.py: tiles of 4 x 4 inputs give 2 x 2 outputs of a 3 x 3 kernel; imports Numba.

Y = A' (U ⊙ V) A with V = B' d B, U = G w G' (Lavin and Gray 2015): 16 multiplications an output tile instead of 36, as products of
16 pairs of matrices. Tiles of a row of tiles lie side by side, so that vectors run along them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .float32 import compiled

__all__ = ["inputs", "outputs"]

_f = np.float32


@compiled
def _row(x: Any, line: Any, h: int, before: int) -> None:
    """line = row h of the plane x, ``before`` zeros in front, zeros beyond its ends."""
    height, width = x.shape
    if h < 0 or h >= height:
        for i in range(len(line)):
            line[i] = _f(0)
        return
    for i in range(before):
        line[i] = _f(0)
    count = min(width, len(line) - before)
    own, source = line[before : before + count], x[h]
    for i in range(count):
        own[i] = source[i]
    for i in range(before + count, len(line)):
        line[i] = _f(0)


@compiled
def inputs(x: Any, v: Any, at: int, begin: int, end: int, tiles: int, before: Any) -> None:
    """v (16, C, columns) from column ``at`` on: the rows of tiles from begin to end, of ``tiles`` each, of x (C, H, W)."""
    length = 2 * tiles + 2
    lines = np.empty((4, length), np.float32)
    t = np.empty((4, length), np.float32)
    for c in range(len(x)):
        for row in range(begin, end):
            for r in range(4):
                _row(x[c], lines[r], 2 * row + r - before[0], before[1])
            a, b, d, e = lines[0], lines[1], lines[2], lines[3]
            t0, t1, t2, t3 = t[0], t[1], t[2], t[3]
            for i in range(length):
                t0[i] = a[i] - d[i]
                t1[i] = b[i] + d[i]
                t2[i] = d[i] - b[i]
                t3[i] = b[i] - e[i]
            start = at + (row - begin) * tiles
            for r in range(4):
                own = t[r]
                v0, v1 = v[4 * r, c, start : start + tiles], v[4 * r + 1, c, start : start + tiles]
                v2, v3 = v[4 * r + 2, c, start : start + tiles], v[4 * r + 3, c, start : start + tiles]
                for j in range(tiles):
                    p, q, s, u = own[2 * j], own[2 * j + 1], own[2 * j + 2], own[2 * j + 3]
                    v0[j] = p - s
                    v1[j] = q + s
                    v2[j] = s - q
                    v3[j] = q - u


@compiled
def outputs(m: Any, y: Any, at: int, begin: int, end: int, tiles: int, bias: Any) -> None:
    """The rows of tiles from begin to end of y (K, H, W), from m (16, K, columns), from column ``at`` on."""
    height, width = y.shape[1:]
    s = np.empty((2, 4, tiles), np.float32)
    pair = np.empty((2, 2 * tiles), np.float32)
    for k in range(len(y)):
        for row in range(begin, end):
            start = at + (row - begin) * tiles
            for c in range(4):
                a, b = m[c, k, start : start + tiles], m[4 + c, k, start : start + tiles]
                d, e = m[8 + c, k, start : start + tiles], m[12 + c, k, start : start + tiles]
                s0, s1 = s[0, c], s[1, c]
                for j in range(tiles):
                    s0[j] = a[j] + b[j] + d[j]
                    s1[j] = b[j] - d[j] - e[j]
            for r in range(2):
                p, q, u, w = s[r, 0], s[r, 1], s[r, 2], s[r, 3]
                line = pair[r]
                for j in range(tiles):
                    line[2 * j] = p[j] + q[j] + u[j] + bias[k]
                    line[2 * j + 1] = q[j] - u[j] - w[j] + bias[k]
                if 2 * row + r < height:
                    out = y[k, 2 * row + r]
                    for i in range(width):
                        out[i] = line[i]
