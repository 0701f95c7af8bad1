"""Convolutions whose filters see one channel each (depthwise), without columns."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .activation import activate
from .loops import numbers, share

__all__ = ["as_volumes", "fits", "forward", "gradients"]

_ONES = (1, 1, 1)


def fits(weight: tuple[int, ...], groups: int) -> bool:
    """Whether a weight of this shape (K, C / groups, *kernel) has one channel a filter."""
    return weight[1] == 1 and groups > 1


def forward(x: Any, weight: Any, bias: Any, y: Any, axes: Any, activation: str | None) -> None:
    """Fills y (N, K, *O)."""
    from .conv_loops import framed_channel

    own = (as_volumes(x), as_volumes(y), weight.reshape(len(weight), *axes.kernel), bias, axes.kernel)
    share(framed_channel, y.size * weight[0].size, (numbers(len(x) * len(weight)),), *own, _ONES, *axes[1:4], False)
    activate(y, activation)


def gradients(g: Any, x: Any, weight: Any, axes: Any, need: Sequence[bool]) -> tuple[Any, Any]:
    """Those of x and of the weight, None where there is no need."""
    from .conv_loops import framed_channel, framed_weight

    dx = dweight = None
    work = g.size * weight[0].size
    if need[0]:
        dx = np.empty(x.shape, x.dtype)
        own = (
            as_volumes(g),
            as_volumes(dx),
            weight.reshape(len(weight), *axes.kernel),
            _zeros(x.shape[1]),
            axes.kernel,
        )
        before = tuple(s * (k - 1) - b for k, b, s in zip(axes.kernel, axes.before, axes.step, strict=True))
        planes = numbers(len(x) * x.shape[1])
        share(framed_channel, work, (planes,), *own, axes.stride, _ONES, before, axes.step, True)
    if need[1]:
        dweight = np.zeros(weight.shape, x.dtype)
        arrays = as_volumes(x), as_volumes(g), dweight.reshape(len(weight), *axes.kernel)
        share(framed_weight, work, (numbers(len(weight)),), *arrays, *axes[:4])
    return dx, dweight


def as_volumes(x: Any) -> Any:
    """x (N, C, *S) with three axes."""
    return x.reshape(*x.shape[:2], *(1,) * (5 - x.ndim), *x.shape[2:])


@lru_cache(256)
def _zeros(count: int) -> Any:
    return np.zeros(count, np.float32)
