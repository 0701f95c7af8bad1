"""Elements in other places: pixel_shuffle, pixel_unshuffle, channel_shuffle, unfold and fold."""

from __future__ import annotations

import math
from typing import Any

from ..gradients import vjp
from ..namespace import namespace
from ..namespace.array import unbox
from ..namespace.libraries import array_device, raw_namespace
from ._checks import check_array, check_floating
from ._windows import batched, fitting_sizes, pad, per_axis, taps

__all__ = ["channel_shuffle", "fold", "pixel_shuffle", "pixel_unshuffle", "unfold"]


def pixel_shuffle(x: Any, upscale_factor: int) -> Any:
    """Channels spread over squares of r x r places (Shi et al. 2016): x (..., C r², H, W) -> y (..., C, H r, W r)."""
    r = _factor("upscale_factor", upscale_factor)
    *rest, channels, height, width = _image(x)
    if channels % (r * r):
        raise ValueError(f"x: expected a multiple of {r * r} channels, got shape {tuple(x.shape)}")
    xp, n = namespace(x), len(rest)
    parts = xp.reshape(x, (*rest, channels // (r * r), r, r, height, width))
    parts = xp.permute_dims(parts, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return xp.reshape(parts, (*rest, channels // (r * r), height * r, width * r))


def pixel_unshuffle(x: Any, downscale_factor: int) -> Any:
    """Squares of r x r places gathered in channels: x (..., C, H r, W r) -> y (..., C r², H, W)."""
    r = _factor("downscale_factor", downscale_factor)
    *rest, channels, height, width = _image(x)
    if height % r or width % r:
        raise ValueError(f"x: expected a height and a width that are multiples of {r}, got shape {tuple(x.shape)}")
    xp, n = namespace(x), len(rest)
    parts = xp.reshape(x, (*rest, channels, height // r, r, width // r, r))
    parts = xp.permute_dims(parts, (*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return xp.reshape(parts, (*rest, channels * r * r, height // r, width // r))


def channel_shuffle(x: Any, groups: int) -> Any:
    """The channels of all groups by turns (Zhang et al. 2018): x (N, C, *S) -> y of the same shape; C a multiple of groups."""
    groups = _factor("groups", groups)
    check_array("x", x)
    if x.ndim < 3 or x.shape[1] % groups:
        raise ValueError(f"x: expected shape (N, C, *S), C a multiple of {groups}, got {tuple(x.shape)}")
    xp = namespace(x)
    n, channels, *sizes = x.shape
    parts = xp.reshape(x, (n, groups, channels // groups, *sizes))
    return xp.reshape(xp.permute_dims(parts, (0, 2, 1, *range(3, parts.ndim))), x.shape)


def unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """What a sliding window sees: x (N, C, H, W) or (C, H, W) -> y (N, C K, L) or (C K, L).

    K elements in a window, the last axis fastest, and L places of it; x is padded with zeros.
    """
    kernel, stride, dilation, amounts = _window(kernel_size, stride, dilation, padding)
    check_floating("x", x)
    xp = namespace(x)
    x, had_batch = batched(xp, x, 2)
    n, channels, *sizes = x.shape
    pairs = tuple((amount, amount) for amount in amounts)
    out = fitting_sizes(tuple(sizes), kernel, stride, pairs, dilation)
    seen = xp.stack(list(taps(pad(xp, x, pairs, 0.0), kernel, out, stride, dilation)), axis=2)
    y = xp.reshape(seen, (n, channels * math.prod(kernel), math.prod(out)))
    return y if had_batch else xp.squeeze(y, axis=0)


def fold(x: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The sum of windows in their places, the transpose of unfold: x (N, C K, L) -> y (N, C, *output_size), or without N."""
    kernel, stride, dilation, padding = _window(kernel_size, stride, dilation, padding)
    sizes = per_axis("output_size", output_size, 2)
    out = fitting_sizes(sizes, kernel, stride, tuple((amount, amount) for amount in padding), dilation)
    window, places = math.prod(kernel), math.prod(out)
    check_floating("x", x)
    if x.ndim not in (2, 3) or x.shape[-2] % window or x.shape[-1] != places:
        raise ValueError(f"x: expected shape (N, C * {window}, {places}) or without N, got {tuple(x.shape)}")
    raw = unbox(x)
    shape = (*x.shape[:-2], x.shape[-2] // window, *sizes)
    zeros = raw_namespace(raw).zeros(shape, dtype=raw.dtype, device=array_device(raw))
    return vjp(lambda y: unfold(y, kernel, dilation, padding, stride), zeros)[1](x)[0]


def _window(kernel: Any, stride: Any, dilation: Any, padding: Any) -> tuple[tuple[int, ...], ...]:
    """The four in normal form."""
    sizes = (("kernel_size", kernel), ("stride", stride), ("dilation", dilation))
    first, second, third = (per_axis(name, value, 2) for name, value in sizes)
    return first, second, third, per_axis("padding", padding, 2, least=0)


def _factor(name: str, value: Any) -> int:
    return per_axis(name, value, 1)[0]


def _image(x: Any) -> tuple[int, ...]:
    check_array("x", x)
    if x.ndim < 3:
        raise ValueError(f"x: expected shape (..., C, H, W), got {tuple(x.shape)}")
    return tuple(x.shape)
