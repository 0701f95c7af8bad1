"""Convolutions whose filters see one channel each (depthwise), without columns."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .activated import activate
from .loops import share

__all__ = ["fits", "forward", "gradients"]


def fits(weight: tuple[int, ...], groups: int) -> bool:
    """Whether a weight of this shape (K, C / groups, *kernel) has one channel a filter."""
    return weight[1] == 1 and groups > 1


def forward(x: Any, weight: Any, bias: Any, y: Any, axes: Any, activation: str | None) -> None:
    """Fills y (N, K, *O)."""
    from .conv_loops import channel

    own = (_volume(x), _volume(y), weight.reshape(len(weight), *axes.kernel), bias, *axes[:4])
    share(channel, y.size * weight[0].size, (_numbers(len(x) * len(weight)),), *own)
    activate(y, activation)


def gradients(g: Any, x: Any, weight: Any, axes: Any, need: Sequence[bool]) -> tuple[Any, Any]:
    """Those of x and of the weight, None where there is no need."""
    from .conv_loops import channel_back, channel_weight

    dx = dweight = None
    work = g.size * weight[0].size
    if need[0]:
        dx = np.zeros(x.shape, x.dtype)
        own = (_volume(dx), _volume(g), weight.reshape(len(weight), *axes.kernel), *axes[:4])
        share(channel_back, work, (_numbers(len(x) * x.shape[1]),), *own)
    if need[1]:
        dweight = np.zeros(weight.shape, x.dtype)
        own = (_volume(x), _volume(g), dweight.reshape(len(weight), *axes.kernel), *axes[:4])
        share(channel_weight, work, (_numbers(len(weight)),), *own)
    return dx, dweight


def _volume(x: Any) -> Any:
    """x (N, C, *S) with three axes."""
    return x.reshape(*x.shape[:2], *(1,) * (5 - x.ndim), *x.shape[2:])


@lru_cache(256)
def _numbers(count: int) -> Any:
    return np.arange(count)
