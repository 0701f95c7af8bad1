"""The loops of optimizer.py: one pass over an array p, its gradient g and its state; a: the numbers of a Step. Imports Numba.

The rules are those of kernels/optimizer.cu; a state that is not kept has no elements.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .float32 import compiled

__all__ = ["LOOPS", "NUMBERS"]

_f = np.float32
NUMBERS = ("lr", "shrink", "decay", "keep1", "take1", "keep2", "take2", "eps", "root", "nesterov")
LR, SHRINK, DECAY, KEEP1, TAKE1, KEEP2, TAKE2, EPS, ROOT, NESTEROV = range(len(NUMBERS))


@compiled
def _sgd(p: Any, g: Any, v: Any, s: Any, m: Any, a: Any) -> None:
    lr, decay, keep1, take1 = a[LR], a[DECAY], a[KEEP1], a[TAKE1]
    nesterov = a[NESTEROV] != _f(0)
    for i in range(len(p)):
        d = g[i] + decay * p[i]
        if len(v):
            v[i] = keep1 * v[i] + take1 * d
            d = d + keep1 * v[i] if nesterov else v[i]
        p[i] -= lr * d


@compiled
def _adam(p: Any, g: Any, m: Any, v: Any, s: Any, a: Any) -> None:
    lr, shrink, decay, eps, root = a[LR], a[SHRINK], a[DECAY], a[EPS], a[ROOT]
    keep1, take1, keep2, take2 = a[KEEP1], a[TAKE1], a[KEEP2], a[TAKE2]
    for i in range(len(p)):
        d = g[i] + decay * p[i]
        m[i] = keep1 * m[i] + take1 * d
        v[i] = keep2 * v[i] + take2 * (d * d)
        p[i] = shrink * p[i] - lr * (m[i] / (np.sqrt(v[i]) * root + eps))


@compiled
def _rms_prop(p: Any, g: Any, s: Any, m: Any, v: Any, a: Any) -> None:
    lr, decay, eps, keep1, keep2, take2 = a[LR], a[DECAY], a[EPS], a[KEEP1], a[KEEP2], a[TAKE2]
    for i in range(len(p)):
        d = g[i] + decay * p[i]
        s[i] = keep2 * s[i] + take2 * (d * d)
        square = s[i]
        if len(m):
            m[i] += take2 * (d - m[i])
            square -= m[i] * m[i]
            square = _f(0) if square < _f(0) else square
        d = d / (np.sqrt(square) + eps)
        if len(v):
            v[i] = keep1 * v[i] + d
            d = v[i]
        p[i] -= lr * d


@compiled
def _lion(p: Any, g: Any, m: Any, s: Any, v: Any, a: Any) -> None:
    lr, shrink, keep1, take1, keep2, take2 = a[LR], a[SHRINK], a[KEEP1], a[TAKE1], a[KEEP2], a[TAKE2]
    for i in range(len(p)):
        c = keep1 * m[i] + take1 * g[i]
        m[i] = keep2 * m[i] + take2 * g[i]
        p[i] = shrink * p[i] - lr * (_f(1) if c > _f(0) else (_f(-1) if c < _f(0) else c))


LOOPS = {"Sgd": _sgd, "Adam": _adam, "RmsProp": _rms_prop, "Lion": _lion}
