"""Mean and variance of the channels that a convolution puts out, from what its blocks leave; host of conv_moments.cu."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..namespace.libraries import raw_namespace
from .arguments import Layout
from .dtypes import C_TYPES, dtype_name
from .launch import launch
from .plan import Plan

__all__ = ["Moments", "combine", "combine_plan", "instantiations"]

# As in the kernel file.
_WIDE, _DEEP = 32, 16


@dataclass
class Moments:
    """What a forward is given that shall leave the moments of its tiles: parts (tiles of rows, 2, channels), rows of a tile."""

    parts: Any = None
    each: int = 0

    def make(self, xp: Any, rows: int, each: int, channels: int) -> Any:
        """Room for them."""
        self.parts, self.each = xp.empty((-(-rows // each), 2, channels), dtype=xp.float32), each
        return self.parts


def combine(moments: Moments, z: Any, pitch: int, eps: float, *, kept: bool) -> tuple[Any, Any, Any, Any]:
    """(mean, var, mean of z - its first element, 1 / sqrt(var + eps)) of the channels of z, the last two only if kept.

    pitch: elements of z from a channel's first one to the next channel's.
    """
    xp = raw_namespace(z)
    tiles, _, channels = moments.parts.shape
    mean, var = (xp.empty(channels, dtype=xp.float32) for _ in range(2))
    centre, scale = (xp.empty(channels, dtype=xp.float32) if kept else None for _ in range(2))
    plan = combine_plan(dtype_name(z.dtype), tiles, channels)
    written = {"mean": mean, "var": var, "centre": centre, "scale": scale}
    numbers = {"rows": z.size // channels, "pitch": pitch, "tiles": tiles, "channels": channels, "each": moments.each}
    launch(plan, plan.layout(**written, parts=moments.parts, z=z, **numbers, eps=eps))
    return mean, var, centre, scale


@functools.lru_cache(1024)
def combine_plan(dtype: str, tiles: int, channels: int) -> Plan:
    return Plan(
        file="conv_moments.cu",
        entry=f"conv_moments<{C_TYPES[dtype]}>",
        layout=_layout(C_TYPES[dtype]),
        grid=(-(-channels // _WIDE), 1, 1),
        block=(_WIDE, _DEEP, 1),
        bytes=4 * channels * (2 * tiles + 4),
        flops=7 * channels * tiles,
    )


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for."""
    for dtype in C_TYPES:
        yield combine_plan(dtype, 1, 1)


@functools.cache
def _layout(t: str) -> Layout:
    written = tuple((name, "float*") for name in ("mean", "var", "centre", "scale"))
    read = ("parts", "const float*"), ("z", f"const {t}*"), ("rows", "long long"), ("pitch", "long long")
    numbers = ("tiles", "int"), ("channels", "int"), ("each", "int"), ("eps", "float")
    return Layout(f"MomentsArguments<{t}>", (*written, *read, *numbers))
