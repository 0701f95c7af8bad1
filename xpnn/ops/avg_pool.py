"""avg_pool: the mean of a sliding window; avg_pool1d, 2d and 3d take torch's arguments; lp_pool1d, 2d and 3d."""

from __future__ import annotations

import math
from typing import Any

from ..cpu import avg_pool as cpu
from ..cpu.windows import window_counts
from ..cuda import avg_pool as cuda
from ..namespace import namespace
from ..primitive import Primitive
from ._checks import check_floating, check_number
from ._norm import power
from ._windows import Pairs, batched, first_axis, fitting_sizes, pad, per_axis, pooling_padding, taps

__all__ = ["avg_pool", "avg_pool1d", "avg_pool2d", "avg_pool3d", "lp_pool1d", "lp_pool2d", "lp_pool3d"]


def reference(
    x: Any,
    *,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    counted: Pairs,
    divisor: float | None = None,
    data_format: str = "channels_first",
) -> Any:
    """y[o] = sum over t of x[o stride + t] / how many elements the window has at o, x padded with zeros.

    x (N, C, *S) -> y (N, C, *O), with data_format="channels_last" x (N, *S, C) -> y (N, *O, C); floating point. One tuple
    entry for each axis S, padding (before, after). Of the padding, as much as ``counted`` says counts as elements of a
    window. divisor: divide by this number instead.
    """
    first = first_axis(data_format)
    ones = (1,) * len(kernel)
    sizes = tuple(x.shape[first : first + len(kernel)])
    out = fitting_sizes(sizes, kernel, stride, padding, ones)
    xp = namespace(x)
    total: Any = None
    for seen in taps(pad(xp, x, padding, 0.0, first), kernel, out, stride, ones, first):
        total = seen if total is None else total + seen
    if divisor is not None:
        return total / divisor
    for axis, counts in enumerate(window_counts(sizes, kernel, stride, padding, counted, out), start=first):
        shape = (1,) * axis + (len(counts),) + (1,) * (x.ndim - axis - 1)
        total = total / xp.reshape(xp.asarray(counts, dtype=x.dtype, device=x.device), shape)
    return total


avg_pool = Primitive(reference, name="avg_pool")
avg_pool.add("numpy", cpu)
avg_pool.add("cupy", cuda)


def avg_pool1d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True,
    *, data_format: str = "channels_first",
) -> Any:  # fmt: skip
    """The mean of windows over one axis: x (N, C, L) or (C, L) -> y (N, C, O) or (C, O)."""
    return _avg_pool(1, x, kernel_size, stride, padding, ceil_mode, count_include_pad, None, data_format)


def avg_pool2d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True,
    divisor_override: float | None = None, *, data_format: str = "channels_first",
) -> Any:  # fmt: skip
    """The mean of windows over two axes: x (N, C, H, W) or (C, H, W) -> y.

    kernel_size, stride (None: the kernel), padding: an integer, or one for each axis. ceil_mode: a last window that the
    input fills only in part counts. count_include_pad: padding counts as elements. divisor_override: divide by this.
    """
    return _avg_pool(2, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, data_format)


def avg_pool3d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True,
    divisor_override: float | None = None, *, data_format: str = "channels_first",
) -> Any:  # fmt: skip
    """The mean of windows over three axes: x (N, C, D, H, W) or (C, D, H, W) -> y."""
    return _avg_pool(3, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, data_format)


def _avg_pool(
    axes: int, x: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, include_pad: bool,
    divisor: float | None, data_format: str,
) -> Any:  # fmt: skip
    """avg_pool with its arguments in normal form; an x without a batch axis gets one meanwhile."""
    kernel = per_axis("kernel_size", kernel_size, axes)
    stride = kernel if stride is None else per_axis("stride", stride, axes)
    if divisor is not None:
        check_number("divisor_override", divisor)
    if divisor == 0:
        raise ValueError("divisor_override: expected a number other than 0, got 0")
    check_floating("x", x)
    xp = namespace(x)
    x, had_batch = batched(xp, x, axes)
    first = first_axis(data_format)
    amounts = per_axis("padding", padding, axes, least=0)
    pairs = pooling_padding(tuple(x.shape[first : first + axes]), kernel, stride, amounts, (1,) * axes, ceil_mode)
    y = avg_pool(
        x,
        kernel=kernel,
        stride=stride,
        padding=pairs,
        counted=tuple((n, n) if include_pad else (0, 0) for n in amounts),
        divisor=divisor,
        data_format=data_format,
    )
    return y if had_batch else xp.squeeze(y, axis=0)


# ---- by powers


def lp_pool1d(
    x: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False, *, data_format: str = "channels_first"
) -> Any:  # fmt: skip
    """(sum of x^p)^(1/p) of windows over one axis, p being norm_type: x (N, C, L) or (C, L) -> y (N, C, O) or (C, O)."""
    return _lp_pool(1, x, norm_type, kernel_size, stride, ceil_mode, data_format)


def lp_pool2d(
    x: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False, *, data_format: str = "channels_first"
) -> Any:  # fmt: skip
    """(sum of x^p)^(1/p) of windows over two axes, p being norm_type; its slope is 0 where the sum is.

    x (N, C, H, W) or (C, H, W) -> y. As in torch, windows that ceil_mode adds count as if they were full: the mean of what
    they see, times the size of a window.
    """
    return _lp_pool(2, x, norm_type, kernel_size, stride, ceil_mode, data_format)


def lp_pool3d(
    x: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False, *, data_format: str = "channels_first"
) -> Any:  # fmt: skip
    """(sum of x^p)^(1/p) of windows over three axes, p being norm_type: x (N, C, D, H, W) or (C, D, H, W) -> y."""
    return _lp_pool(3, x, norm_type, kernel_size, stride, ceil_mode, data_format)


def _lp_pool(
    axes: int, x: Any, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool, data_format: str
) -> Any:
    if not norm_type > 0:
        raise ValueError(f"norm_type: expected more than 0, got {norm_type}")
    check_floating("x", x)
    kernel = per_axis("kernel_size", kernel_size, axes)
    mean = _avg_pool(axes, x**norm_type, kernel, stride, 0, ceil_mode, True, None, data_format)
    return power(namespace(x), mean * math.prod(kernel), 1 / norm_type)
