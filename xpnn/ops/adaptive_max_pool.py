"""adaptive_max_pool: the largest elements of as many windows as the output is to have; adaptive_max_pool1d, 2d and 3d."""

from __future__ import annotations

from typing import Any

from ..cuda import adaptive_max_pool as cuda
from ..namespace import namespace
from ..primitive import Primitive
from ._adaptive import bounds, requested_sizes, strides, unfolded
from ._checks import check_floating
from ._places import largest_places
from ._windows import batched, first_axis
from .max_pool import max_pool

__all__ = ["adaptive_max_pool", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"]


def reference(x: Any, *, output: tuple[int, ...], data_format: str = "channels_first") -> Any:
    """y[o] = max of x[i], i from floor(o S / O) to ceil((o + 1) S / O) - 1 along each axis; nan wins.

    x (N, C, *S) -> y (N, C, *O), O being ``output``; with data_format="channels_last" x (N, *S, C) -> y (N, *O, C);
    floating point. The gradient goes to the first of several largest elements: the last axis is searched first.
    """
    first = first_axis(data_format)
    xp = namespace(x)
    for axis in reversed(range(len(output))):
        x = _largest(xp, x, first + axis, output[axis])
    return x


adaptive_max_pool = Primitive(reference, name="adaptive_max_pool")
adaptive_max_pool.add("cupy", cuda)


def adaptive_max_pool1d(
    x: Any, output_size: Any, return_indices: bool = False, *, data_format: str = "channels_first"
) -> Any:
    """The largest elements of output_size windows that cover an axis: x (N, C, L) or (C, L) -> y (N, C, O) or (C, O)."""
    return _adaptive_max_pool(1, x, output_size, return_indices, data_format)


def adaptive_max_pool2d(
    x: Any, output_size: Any, return_indices: bool = False, *, data_format: str = "channels_first"
) -> Any:
    """The largest elements of windows that cover two axes: x (N, C, H, W) or (C, H, W) -> y.

    output_size: an integer, or one for each axis; None keeps an axis as it is. return_indices: (y, int64 of its
    shape), where in H W each element of y was.
    """
    return _adaptive_max_pool(2, x, output_size, return_indices, data_format)


def adaptive_max_pool3d(
    x: Any, output_size: Any, return_indices: bool = False, *, data_format: str = "channels_first"
) -> Any:
    """The largest elements of windows that cover three axes: x (N, C, D, H, W) or (C, D, H, W) -> y."""
    return _adaptive_max_pool(3, x, output_size, return_indices, data_format)


def _adaptive_max_pool(axes: int, x: Any, output_size: Any, places: bool, data_format: str) -> Any:
    """Plain pooling if all windows are alike; an x without a batch axis gets one meanwhile."""
    check_floating("x", x)
    xp = namespace(x)
    x, had_batch = batched(xp, x, axes)
    first = first_axis(data_format)
    sizes = tuple(x.shape[first : first + axes])
    output = requested_sizes(output_size, sizes)
    kernel = strides(sizes, output)
    if kernel is not None:
        none, ones = ((0, 0),) * axes, (1,) * axes
        y = max_pool(x, kernel=kernel, stride=kernel, padding=none, dilation=ones, data_format=data_format)
    else:
        y = adaptive_max_pool(x, output=output, data_format=data_format)
    found: tuple[Any, ...] = (y,)
    if places:
        windows = [bounds(n, o) for n, o in zip(sizes, output, strict=True)]
        found = (y, largest_places(x, [_positions(own) for own in windows], first))
    found = found if had_batch else tuple(xp.squeeze(z, axis=0) for z in found)
    return found if places else found[0]


def _positions(windows: list[tuple[int, int]]) -> list[list[int]]:
    """For each position in the longest window what it sees in each one; beyond its end the last element again."""
    longest = max(end - begin for begin, end in windows)
    return [[min(begin + t, end - 1) for begin, end in windows] for t in range(longest)]


def _largest(xp: Any, x: Any, axis: int, output: int) -> Any:
    """The largest elements of the windows along one axis."""
    windows, _ = unfolded(xp, x, axis, output)
    best = None
    for seen in xp.unstack(windows, axis=axis + 1):
        best = seen if best is None else xp.where(xp.logical_or(seen > best, xp.isnan(seen)), seen, best)
    return best
