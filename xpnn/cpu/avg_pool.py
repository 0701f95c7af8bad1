"""avg_pool for NumPy, an axis at a time: sums, then one product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .pooling import axis_taps, first_axis, padded, refuse_pool
from .windows import Pairs, window_counts

__all__ = ["backward", "forward", "refusal"]


def refusal(
    x: Any,
    *,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    counted: Pairs,
    divisor: float | None = None,
    data_format: str = "channels_first",
) -> str | None:
    return refuse_pool(x, kernel, stride, padding, (1,) * len(kernel), data_format)


def forward(
    x: Any,
    *,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    counted: Pairs,
    divisor: float | None = None,
    data_format: str = "channels_first",
    need: tuple[bool, ...],
) -> tuple[Any, Any]:
    first = first_axis(data_format)
    y, inside = padded(x, padding, 0.0, first)
    stages = []
    for axis in reversed(range(len(kernel))):
        taps = axis_taps(first + axis, kernel[axis], stride[axis], 1, y.shape[first + axis])
        stages.append((y.shape, taps, stride[axis] >= kernel[axis]))
        y = sum((y[tap] for tap in taps[2:]), y[taps[0]] + y[taps[1]]) if len(taps) > 1 else y[taps[0]].copy()
    sizes = x.shape[first : first + len(kernel)]
    scale = _scale(sizes, kernel, stride, padding, counted, y.shape, first, y.dtype) if divisor is None else 1 / divisor
    y *= scale
    return y, (stages, inside, scale) if need[0] else None


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any]:
    stages, inside, scale = residuals
    g = g * scale
    for shape, taps, disjoint in reversed(stages):
        dsource = np.zeros(shape, g.dtype)
        for tap in taps:
            if disjoint:
                dsource[tap] = g
            else:
                dsource[tap] += g
        g = dsource
    return (g[inside],)


def _scale(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    counted: Pairs,
    shape: tuple[int, ...],
    first: int,
    dtype: Any,
) -> Any:
    """What the sums (N, C, *O) are multiplied by: a number if all windows have as many elements, else an array."""
    scale = np.ones((1,) * len(shape), dtype)
    counts = window_counts(sizes, kernel, stride, padding, counted, shape[first : first + len(kernel)])
    for axis, along in enumerate(counts, start=first):
        if len(set(along)) == 1:
            along = along[:1]
        scale = scale / np.reshape(np.asarray(along, dtype), (1,) * axis + (-1,) + (1,) * (len(shape) - axis - 1))
    return scale
