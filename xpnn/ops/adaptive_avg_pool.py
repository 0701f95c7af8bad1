"""adaptive_avg_pool: the mean of as many windows as the output is to have; adaptive_avg_pool1d, 2d and 3d are torch's."""

from __future__ import annotations

from typing import Any

from ..cuda import adaptive_avg_pool as cuda
from ..namespace import namespace
from ..primitive import Primitive
from ._adaptive import requested_sizes, strides, unfolded
from ._checks import check_floating
from ._windows import batched, first_axis
from .avg_pool import avg_pool

__all__ = ["adaptive_avg_pool", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"]


def reference(x: Any, *, output: tuple[int, ...], data_format: str = "channels_first") -> Any:
    """y[o] = mean of x[i], i from floor(o S / O) to ceil((o + 1) S / O) - 1 along each axis.

    x (N, C, *S) -> y (N, C, *O), O being ``output``; with data_format="channels_last" x (N, *S, C) -> y (N, *O, C);
    floating point.
    """
    first = first_axis(data_format)
    xp = namespace(x)
    for axis in reversed(range(len(output))):
        x = _means(xp, x, first + axis, output[axis])
    return x


adaptive_avg_pool = Primitive(reference, name="adaptive_avg_pool")
adaptive_avg_pool.add("cupy", cuda)


def adaptive_avg_pool1d(x: Any, output_size: Any, *, data_format: str = "channels_first") -> Any:
    """The means of output_size windows that cover an axis: x (N, C, L) or (C, L) -> y (N, C, O) or (C, O)."""
    return _adaptive_avg_pool(1, x, output_size, data_format)


def adaptive_avg_pool2d(x: Any, output_size: Any, *, data_format: str = "channels_first") -> Any:
    """The means of windows that cover two axes: x (N, C, H, W) or (C, H, W) -> y.

    output_size: an integer, or one for each axis; None keeps an axis as it is.
    """
    return _adaptive_avg_pool(2, x, output_size, data_format)


def adaptive_avg_pool3d(x: Any, output_size: Any, *, data_format: str = "channels_first") -> Any:
    """The means of windows that cover three axes: x (N, C, D, H, W) or (C, D, H, W) -> y."""
    return _adaptive_avg_pool(3, x, output_size, data_format)


def _adaptive_avg_pool(axes: int, x: Any, output_size: Any, data_format: str) -> Any:
    """A mean if one window covers all, plain pooling if all windows are alike; an x without a batch axis gets one meanwhile."""
    check_floating("x", x)
    xp = namespace(x)
    x, had_batch = batched(xp, x, axes)
    first = first_axis(data_format)
    sizes = tuple(x.shape[first : first + axes])
    output = requested_sizes(output_size, sizes)
    kernel = strides(sizes, output)
    if output == (1,) * axes:
        y = xp.mean(x, axis=tuple(range(first, first + axes)), keepdims=True)
    elif kernel is not None:
        none = ((0, 0),) * axes
        y = avg_pool(x, kernel=kernel, stride=kernel, padding=none, counted=none, data_format=data_format)
    else:
        y = adaptive_avg_pool(x, output=output, data_format=data_format)
    return y if had_batch else xp.squeeze(y, axis=0)


def _means(xp: Any, x: Any, axis: int, output: int) -> Any:
    """The means of the windows along one axis."""
    windows, counts = unfolded(xp, x, axis, output)
    longest = max(counts)
    if min(counts) == longest:
        return xp.mean(windows, axis=axis + 1)
    inside = xp.asarray([[t < n for t in range(longest)] for n in counts], device=x.device)
    after = (1,) * (x.ndim - axis - 1)
    zero = xp.zeros((), dtype=x.dtype, device=x.device)
    total = xp.sum(xp.where(xp.reshape(inside, (output, longest, *after)), windows, zero), axis=axis + 1)
    return total / xp.reshape(xp.asarray(counts, dtype=x.dtype, device=x.device), (output, *after))
