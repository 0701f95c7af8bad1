"""How the blocks of a weight gradient share the sum over all positions, and how their parts are added; host of conv_combine.cu."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from math import prod
from typing import Any

from .arguments import Layout
from .dtypes import C_TYPES, ITEM_SIZE, dtype_name
from .launch import launch
from .plan import Plan

__all__ = ["combine", "combine_plan", "instantiations", "shares"]

_THREADS = 256  # as in the kernel file
_ENOUGH_BLOCKS = 528  # four for each SM of the largest GPUs
_LEAST_STEPS = 16  # of a share: fewer cost more to add up than they save
_LONGEST = 2**30  # positions of a share, counted in int


def shares(positions: int, blocks: int, step: int) -> tuple[int, int]:
    """(positions of a share, a multiple of step; how many shares), where so many blocks work on each share."""
    wanted = max(1, min(-(-_ENOUGH_BLOCKS // blocks), positions // (step * _LEAST_STEPS)))
    share = min(-(-positions // (wanted * step)) * step, _LONGEST)
    return share, -(-positions // share)


def combine(dw: Any, db: Any, parts: Any, *, column_channel: int, column_tap: int) -> None:
    """Adds parts (splits, filters, pitch) into dw (filters, channels, *kernel) and db (filters) or None, in order.

    A part has the element (c, t) of a filter in column c column_channel + t column_tap, and that of the bias in the last.
    """
    splits, filters, pitch = parts.shape
    channels, taps = dw.shape[1], prod(dw.shape[2:])
    plan = combine_plan(dtype_name(dw.dtype), splits, filters, channels * taps, db is not None)
    values = {"pitch": pitch, "splits": splits, "filters": filters, "channels": channels, "taps": taps}
    launch(plan, plan.layout(dw=dw, db=db, parts=parts, **values, column_channel=column_channel, column_tap=column_tap))


@functools.lru_cache(1024)
def combine_plan(dtype: str, splits: int, filters: int, columns: int, bias: bool) -> Plan:
    elements = filters * (columns + bias)
    return Plan(
        file="conv_combine.cu",
        entry=f"conv_combine<{C_TYPES[dtype]}>",
        layout=_layout(C_TYPES[dtype]),
        grid=(-(-elements // _THREADS), 1, 1),
        block=(_THREADS, 1, 1),
        bytes=elements * (4 * splits + ITEM_SIZE[dtype]),
        flops=elements * splits,
    )


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for."""
    for dtype in C_TYPES:
        yield combine_plan(dtype, 2, 1, 1, bias=True)


@functools.cache
def _layout(t: str) -> Layout:
    pointers = ("dw", f"{t}*"), ("db", f"{t}*"), ("parts", "const float*"), ("pitch", "long long")
    names = "splits", "filters", "channels", "taps", "column_channel", "column_tap"
    return Layout(f"CombineArguments<{t}>", (*pointers, *((name, "int") for name in names)))
