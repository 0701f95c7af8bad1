"""Small random changes of training data that do not change what it shows. Standard functions: they run on any device."""

from __future__ import annotations

from typing import Any

from .. import random
from ..namespace.libraries import array_device, raw_namespace

__all__ = ["cropped", "noisy", "shifted"]


def shifted(images: Any, pixels: int) -> Any:
    """Each image (N, C, H, W) moved by up to ``pixels`` in both directions; what comes in from outside is 0."""
    for axis in (2, 3):
        images = _moved(images, pixels, axis)
    return images


def noisy(x: Any, step: float, offset: float) -> Any:
    """Sequences (N, T, C) with normal noise of deviation ``step`` at every step, and ``offset`` over a whole row."""
    xp, device = raw_namespace(x), array_device(x)
    n, _, channels = x.shape
    x = x + random.normal(random.next_key(), x.shape, std=step, dtype=x.dtype, xp=xp, device=device)
    return x + random.normal(random.next_key(), (n, 1, channels), std=offset, dtype=x.dtype, xp=xp, device=device)


def cropped(x: Any, lengths: Any, least: float) -> tuple[Any, Any]:
    """A random piece of each sequence, at least the share ``least`` of it: x (N, T, C), lengths (N,) -> the same kind."""
    xp, device = raw_namespace(x), array_device(x)
    length = xp.astype(lengths, x.dtype)
    part = least + (1 - least) * _uniform(xp, device, x)
    kept = xp.astype(xp.ceil(part * length), lengths.dtype)
    start = xp.astype(xp.floor(_uniform(xp, device, x) * xp.astype(lengths - kept + 1, x.dtype)), lengths.dtype)
    time = xp.arange(x.shape[1], dtype=lengths.dtype, device=device)
    inside = time < kept[:, None]
    index = xp.where(inside, time + start[:, None], xp.zeros_like(time))
    x = xp.take_along_axis(x, xp.broadcast_to(index[:, :, None], x.shape), axis=1)
    return x * xp.astype(inside, x.dtype)[:, :, None], kept


def _moved(x: Any, pixels: int, axis: int) -> Any:
    """Each row of x moved along an axis by an integer of its own, at most ``pixels`` either way."""
    xp, device = raw_namespace(x), array_device(x)
    size = x.shape[axis]
    shift = random.randint(random.next_key(), (x.shape[0], 1), -pixels, pixels + 1, xp=xp, device=device)
    index = xp.arange(size, dtype=shift.dtype, device=device) + shift
    inside = (index >= 0) & (index < size)
    index = xp.minimum(xp.maximum(index, 0), size - 1)
    along = (x.shape[0], *(size if i == axis else 1 for i in range(1, x.ndim)))
    x = xp.take_along_axis(x, xp.broadcast_to(xp.reshape(index, along), x.shape), axis=axis)
    return x * xp.astype(xp.reshape(inside, along), x.dtype)


def _uniform(xp: Any, device: Any, x: Any) -> Any:
    return random.uniform(random.next_key(), (x.shape[0],), dtype=x.dtype, xp=xp, device=device)
