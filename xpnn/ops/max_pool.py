"""max_pool: the largest element in a sliding window; max_pool1d, 2d and 3d take torch's arguments."""

from __future__ import annotations

import math
from typing import Any

from ..cpu import max_pool as cpu
from ..cuda import max_pool as cuda
from ..namespace import namespace
from ..primitive import Primitive
from ._checks import check_floating
from ._windows import Pairs, batched, first_axis, fitting_sizes, pad, per_axis, pooling_padding, taps

__all__ = ["max_pool", "max_pool1d", "max_pool2d", "max_pool3d"]


def reference(
    x: Any,
    *,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    data_format: str = "channels_first",
) -> Any:
    """y[o] = max over t of x[o stride + t dilation], x padded with -inf; nan wins.

    x (N, C, *S) -> y (N, C, *O), with data_format="channels_last" x (N, *S, C) -> y (N, *O, C); floating point. One tuple
    entry for each axis S, padding (before, after). The gradient goes to the first of several largest elements.
    """
    first = first_axis(data_format)
    out = fitting_sizes(tuple(x.shape[first : first + len(kernel)]), kernel, stride, padding, dilation)
    xp = namespace(x)
    best = None
    for seen in taps(pad(xp, x, padding, -math.inf, first), kernel, out, stride, dilation, first):
        best = seen if best is None else xp.where(xp.logical_or(seen > best, xp.isnan(seen)), seen, best)
    return best


max_pool = Primitive(reference, name="max_pool")
max_pool.add("numpy", cpu)
max_pool.add("cupy", cuda)


def max_pool1d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    *, data_format: str = "channels_first",
) -> Any:  # fmt: skip
    """The largest element in windows over one axis: x (N, C, L) or (C, L) -> y (N, C, O) or (C, O)."""
    return _max_pool(1, x, kernel_size, stride, padding, dilation, ceil_mode, data_format)


def max_pool2d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    *, data_format: str = "channels_first",
) -> Any:  # fmt: skip
    """The largest element in windows over two axes: x (N, C, H, W) or (C, H, W) -> y.

    kernel_size, stride (None: the kernel), padding, dilation: an integer, or one for each axis. ceil_mode: a last window
    that the input fills only in part counts.
    """
    return _max_pool(2, x, kernel_size, stride, padding, dilation, ceil_mode, data_format)


def max_pool3d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    *, data_format: str = "channels_first",
) -> Any:  # fmt: skip
    """The largest element in windows over three axes: x (N, C, D, H, W) or (C, D, H, W) -> y."""
    return _max_pool(3, x, kernel_size, stride, padding, dilation, ceil_mode, data_format)


def _max_pool(
    axes: int, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, data_format: str
) -> Any:
    """max_pool with its arguments in normal form; an x without a batch axis gets one meanwhile."""
    kernel = per_axis("kernel_size", kernel_size, axes)
    stride = kernel if stride is None else per_axis("stride", stride, axes)
    dilation = per_axis("dilation", dilation, axes)
    check_floating("x", x)
    xp = namespace(x)
    x, had_batch = batched(xp, x, axes)
    first = first_axis(data_format)
    amounts = per_axis("padding", padding, axes, least=0)
    pairs = pooling_padding(tuple(x.shape[first : first + axes]), kernel, stride, amounts, dilation, ceil_mode)
    y = max_pool(x, kernel=kernel, stride=stride, padding=pairs, dilation=dilation, data_format=data_format)
    return y if had_batch else xp.squeeze(y, axis=0)
