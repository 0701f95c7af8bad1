"""The passes of batch norm over x (N, C, *S) by the loops for planes or, where there is no S, for columns."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ..cpu.batch_norm import as_channels
from .loops import numbers, share

__all__ = ["affine", "moments", "pull", "sums"]

_ROWS = 512  # of a part of the columns, so that what is subtracted before squaring is near the mean of the part


def moments(x: Any) -> tuple[Any, Any, Any]:
    """Of each channel the mean, rounded, what the rounding lost, and the variance."""
    from . import batch_norm_loops as loops

    if is_columns(x):
        rows = x.reshape(x.shape[:2])
        bounds, counts = _parts(len(rows))
        means, rests, squares = np.empty((3, len(bounds), x.shape[1]), x.dtype)
        share(loops.column_moments, x.size, (bounds, means, rests, squares), rows)
        near, count = means[0], np.float32(len(rows))
        rests += means - near
        rest = np.add.reduce(rests * counts, axis=0) / count
        squares += (rests - rest) ** 2 * counts
        return near, rest, np.add.reduce(squares, axis=0) / count
    near, rest, var = np.empty((3, x.shape[1]), x.dtype)
    share(loops.plane_moments, x.size, (numbers(x.shape[1]),), as_channels(x), near, rest, var)
    return near, rest, var


def sums(x: Any, g: Any, mean: Any) -> tuple[Any, Any]:
    """The sums of g and of g (x - mean) of each channel."""
    from . import batch_norm_loops as loops

    if is_columns(x):
        bounds, _ = _parts(len(x))
        parts = np.zeros((2, len(bounds), x.shape[1]), x.dtype)
        two = x.shape[:2]
        share(loops.column_sums, x.size, (bounds, parts[0], parts[1]), x.reshape(two), g.reshape(two), mean)
        total, along = np.add.reduce(parts, axis=1)
    else:
        total, along = np.zeros((2, x.shape[1]), x.dtype)
        share(loops.plane_sums, x.size, (numbers(x.shape[1]),), as_channels(x), as_channels(g), mean, total, along)
    return total, along


def affine(x: Any, mean: Any, scale: Any, shift: Any) -> Any:
    """(x - mean) scale + shift."""
    from . import batch_norm_loops as loops

    y = np.empty(x.shape, x.dtype)
    if is_columns(x):
        share(loops.columns, x.size, (x.reshape(x.shape[:2]), y.reshape(x.shape[:2])), mean, scale, shift)
    else:
        share(loops.planes, x.size, (numbers(x.shape[1]),), as_channels(x), as_channels(y), mean, scale, shift)
    return y


def pull(x: Any, g: Any, mean: Any, gain: Any, slope: Any, offset: Any) -> Any:
    """g gain + (x - mean) slope + offset."""
    from . import batch_norm_loops as loops

    dx = np.empty(x.shape, x.dtype)
    if is_columns(x):
        share(loops.columns_back, x.size, [a.reshape(x.shape[:2]) for a in (x, g, dx)], mean, gain, slope, offset)
    else:
        arrays = [as_channels(a) for a in (x, g, dx)]
        share(loops.planes_back, x.size, (numbers(x.shape[1]),), *arrays, mean, gain, slope, offset)
    return dx


def is_columns(x: Any) -> bool:
    return int(prod(x.shape[2:])) == 1


@lru_cache(256)
def _parts(rows: int) -> tuple[Any, Any]:
    """The bounds of the parts (P, 2), and how many rows each has (P, 1)."""
    edges = np.arange(-(-rows // _ROWS) + 1) * _ROWS
    edges[-1] = rows
    return np.stack((edges[:-1], edges[1:]), axis=1), np.diff(edges)[:, None].astype(np.float32)
