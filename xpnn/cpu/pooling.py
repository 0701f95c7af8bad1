"""What the pools for NumPy share. They go along one axis after the other: as many passes as a window has rows and columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from .dtypes import refuse_dtypes
from .windows import Pairs, output_sizes

__all__ = ["Tap", "axis_taps", "first_axis", "padded", "refuse_pool"]

Tap = tuple[slice, ...]


def refuse_pool(
    x: Any,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    data_format: str,
) -> str | None:
    if data_format not in ("channels_first", "channels_last"):
        return f"data_format {data_format}"
    if x.ndim != len(kernel) + 2:
        return "shape"
    first = first_axis(data_format)
    if min(output_sizes(x.shape[first : first + len(kernel)], kernel, stride, padding, dilation)) < 1:
        return "a window larger than the input"
    return refuse_dtypes(x)


def first_axis(data_format: str) -> int:
    """The first axis that a window slides along."""
    return 2 if data_format == "channels_first" else 1


def padded(x: Any, padding: Pairs, value: float, first: int) -> tuple[Any, Tap]:
    """x with its axes from ``first`` on padded (x itself if there is nothing to do), and the index of x in it."""
    inside = (slice(None),) * first + tuple(slice(before, -after or None) for before, after in padding)
    if not any(map(any, padding)):
        return x, inside
    shape = list(x.shape)
    for axis, (before, after) in enumerate(padding, start=first):
        shape[axis] += before + after
    out = np.full(shape, value, x.dtype)
    out[inside] = x
    return out, inside


def axis_taps(axis: int, k: int, move: int, step: int, size: int) -> list[Tap]:
    """The index of what each element of a window along one axis of the given size sees, at all its places."""
    span = (size - step * (k - 1) - 1) // move * move + 1
    return [(slice(None),) * axis + (slice(t * step, t * step + span, move),) for t in range(k)]
