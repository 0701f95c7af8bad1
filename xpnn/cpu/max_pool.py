"""max_pool for NumPy, an axis at a time.

The last axis is first: the first of several largest elements of a window, row by row, is then also the one that the
gradient comes back to axis by axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .pooling import Tap, axis_taps, first_axis, padded, refuse_pool
from .windows import Pairs

__all__ = ["backward", "forward", "refusal"]


def refusal(
    x: Any,
    *,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    data_format: str = "channels_first",
) -> str | None:
    return refuse_pool(x, kernel, stride, padding, dilation, data_format)


def forward(
    x: Any,
    *,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    data_format: str = "channels_first",
    need: tuple[bool, ...],
) -> tuple[Any, Any]:
    first = first_axis(data_format)
    y, inside = padded(x, padding, -math.inf, first)
    stages = []
    for axis in reversed(range(len(kernel))):
        taps = axis_taps(first + axis, kernel[axis], stride[axis], dilation[axis], y.shape[first + axis])
        disjoint = dilation[axis] == 1 and stride[axis] >= kernel[axis]
        source, y = y, _largest(y, taps)
        if need[0]:
            stages.append((source, y, taps, disjoint))
    return y, (stages, inside) if need[0] else None


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any]:
    stages, inside = residuals
    for source, y, taps, disjoint in reversed(stages):
        g = _routed(source, y, taps, disjoint, g)
    return (g[inside],)


def _largest(source: Any, taps: list[Tap]) -> Any:
    if len(taps) == 1:
        return source[taps[0]].copy()
    y = np.maximum(source[taps[0]], source[taps[1]])
    for tap in taps[2:]:
        np.maximum(y, source[tap], out=y)
    return y


def _routed(source: Any, y: Any, taps: list[Tap], disjoint: bool, g: Any) -> Any:
    """The gradient of source: each element of g goes to the first element of its window that equals y, or to the last nan."""
    dsource = np.zeros(source.shape, g.dtype)
    lost = np.isnan(y)
    wanted = ~lost  # where none of the window was taken yet
    if lost.any():
        disjoint = False
        for tap in reversed(taps):
            taken = np.isnan(source[tap]) & lost
            lost ^= taken
            _add(dsource[tap], g, taken, disjoint)
    for tap in taps[:-1]:
        taken = source[tap] == y
        taken &= wanted
        wanted ^= taken
        _add(dsource[tap], g, taken, disjoint)
    _add(dsource[taps[-1]], g, wanted, disjoint)
    return dsource


def _add(target: Any, g: Any, where: Any, disjoint: bool) -> None:
    """NOTE: a product with a mask, because indexing by one takes several times as long."""
    if disjoint:
        np.multiply(g, where, target)
    else:
        target += g * where
