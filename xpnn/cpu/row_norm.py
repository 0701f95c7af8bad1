"""What layer_norm, rms_norm and group_norm share on NumPy: rows standardised a block at a time.

x is (N, G, K, L): a row is the K*L elements of one (n, g), and weight and bias are (G, K, 1). layer_norm has G = L = 1, in
group_norm G are the groups, K the channels of one and L what is in a channel. With h the standardised row, w the weight
and s the deviation, dx = (w g - mean(w g) - h mean(w g h)) / s; without centring the first mean is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["backward", "blocks", "forward"]

_BLOCK = 2**15  # elements that are worked on at a time, so that all passes but the first find them in the cache


def blocks(x: Any) -> Iterator[slice]:
    """Slices of the first axis of x, of about _BLOCK elements or of one row."""
    rows = x.shape[0]
    step = max(1, _BLOCK * rows // max(x.size, 1))
    return (slice(start, start + step) for start in range(0, rows, step))


def forward(x: Any, weight: Any, bias: Any, eps: float, centre: bool, keep: bool) -> tuple[Any, Any]:
    """y, and (standardised x, 1 / deviation (N, G)) if they are to be kept. x (N, G, K, L), weight and bias (G, K, 1)."""
    y = np.empty(x.shape, x.dtype)
    standard = np.empty(x.shape, x.dtype) if keep else y
    scale = np.empty(x.shape[:2], x.dtype)
    for rows in blocks(x):
        h, out = standard[rows], y[rows]
        scale[rows] = _standardise(x[rows], h, eps, centre)
        if weight is not None:
            np.multiply(h, weight, out)
        elif keep:
            out[...] = h
        if bias is not None:
            np.add(out, bias, out)
    return y, (standard, scale) if keep else None


def backward(
    residuals: tuple[Any, Any], weight: Any, g: Any, centre: bool, need: Sequence[bool]
) -> tuple[Any, Any, Any]:
    """The gradients of x (N, G, K, L), weight (G, K) and bias (G, K), None where there is no need."""
    standard, scale = residuals
    dx = np.empty(g.shape, g.dtype) if need[0] else None
    dweight, dbias = (np.zeros(g.shape[1:3], g.dtype) if wants else None for wants in need[1:])
    for rows in blocks(g):
        h, go = standard[rows], g[rows]
        if dweight is not None:
            dweight += np.add.reduce(go * h, axis=(0, 3))
        if dbias is not None:
            dbias += np.add.reduce(go, axis=(0, 3))
        if dx is not None:
            _pull(go if weight is None else go * weight, h, scale[rows], dx[rows], centre)
    return dx, dweight, dbias


def _standardise(x: Any, out: Any, eps: float, centre: bool) -> Any:
    """Writes the standardised rows of x into out, and returns 1 / deviation (n, G)."""
    h = _flat(out)
    count = max(h.shape[1], 1)
    if centre:
        x = _flat(x)
        np.subtract(x, _mean(x), h)
        np.subtract(h, _mean(h), h)  # the mean was rounded: see ops/_normalise.py
    else:
        out[...] = x
    scale = 1 / np.sqrt(np.vecdot(h, h) / count + h.dtype.type(eps))
    np.multiply(h, scale[:, None], h)
    return scale.reshape(out.shape[:2])


def _pull(g: Any, h: Any, scale: Any, out: Any, centre: bool) -> None:
    """Writes (g - mean(g) - h mean(g h)) * scale into out."""
    g, h, dx = _flat(g), _flat(h), _flat(out)
    np.multiply(h, np.vecdot(g, h)[:, None] / max(h.shape[1], 1), dx)
    np.subtract(g, dx, dx)
    if centre:
        np.subtract(dx, _mean(g), dx)
    np.multiply(dx, scale.reshape(-1, 1), dx)


def _flat(x: Any) -> Any:
    """(n, G, K, L) as (n*G, K*L), of a contiguous x a view."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2] * x.shape[3])


def _mean(x: Any) -> Any:
    """The means of the rows, (rows, 1): a product with a vector, which is faster than a sum."""
    size = x.shape[1]
    return np.matmul(x, np.ones((size, 1), x.dtype)) / max(size, 1)
