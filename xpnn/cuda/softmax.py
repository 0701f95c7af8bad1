"""softmax for CuPy, along any axis, and what log_softmax shares with it; the host side of softmax.cu."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

from ..namespace.libraries import raw_namespace
from .arguments import Layout
from .arrays import contiguous
from .dtypes import C_TYPES, dtype_name, refuse_dtypes
from .launch import launch
from .plan import Plan
from .softmax_tiling import GEOMETRY, MOST_LENGTH, PIECES, REST, WHOLE, Rows, geometry, placed, rows_of, tiling

__all__ = [
    "backward",
    "backward_into",
    "backward_plans",
    "forward",
    "forward_into",
    "forward_plans",
    "instantiations",
    "refusal",
]

_FILE = "softmax.cu"


def refusal(x: Any, *, axis: int = -1) -> str | None:
    if not -x.ndim <= axis < x.ndim:
        return f"axis {axis} of shape {x.shape}"
    if not 0 < x.shape[axis] <= MOST_LENGTH:
        return f"rows of {x.shape[axis]} elements"
    return refuse_dtypes(x)


def forward(x: Any, *, axis: int = -1, need: tuple[bool, ...]) -> tuple[Any, Any]:
    y = forward_into(x, axis, log=False)
    return y, (y, axis) if need[0] else None


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any]:
    y, axis = residuals
    return (backward_into(y, axis, g, log=False),)


def forward_into(x: Any, axis: int, *, log: bool) -> Any:
    """The softmax of x along axis, or its logarithm, in a new array."""
    xp = raw_namespace(x)
    x = contiguous(x)
    y = xp.empty_like(x)
    rows = rows_of(dtype_name(x.dtype), x.shape, axis % x.ndim)
    aligned = placed(rows, x, y)
    plans = forward_plans(rows, aligned=aligned)
    parts = _parts(xp, rows, aligned, 2) if len(plans) > 1 else None
    for plan, stage in zip(plans, _stages(plans), strict=True):
        launch(plan, plan.layout(y=y, parts=parts, x=x, **geometry(rows, aligned=aligned), stage=stage, log=log))
    return y


def backward_into(y: Any, axis: int, g: Any, *, log: bool) -> Any:
    """The gradient of what forward_into was given, in a new array; y: what it returned, g: the gradient of that."""
    xp = raw_namespace(y)
    g = contiguous(g)
    dx = xp.empty_like(y)
    rows = rows_of(dtype_name(y.dtype), y.shape, axis % y.ndim)
    aligned = placed(rows, g, y, dx)
    plans = backward_plans(rows, aligned=aligned)
    parts = _parts(xp, rows, aligned, 1) if len(plans) > 1 else None
    for plan, stage in zip(plans, _stages(plans), strict=True):
        launch(plan, plan.layout(dx=dx, parts=parts, g=g, y=y, **geometry(rows, aligned=aligned), stage=stage, log=log))
    return dx


@functools.lru_cache(1024)
def forward_plans(rows: Rows, *, aligned: bool) -> tuple[Plan, ...]:
    """The launch of the forward, or two of them where rows are cut into pieces; aligned: placed(x, y)."""
    return _plans("softmax_forward", _forward_layout(C_TYPES[rows.dtype]), rows, aligned, arrays=1, floats=2)


@functools.lru_cache(1024)
def backward_plans(rows: Rows, *, aligned: bool) -> tuple[Plan, ...]:
    """The launch of the backward, or two of them where rows are cut into pieces; aligned: g, y and dx."""
    return _plans("softmax_backward", _backward_layout(C_TYPES[rows.dtype]), rows, aligned, arrays=2, floats=1)


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for."""
    for dtype in C_TYPES:
        for rows, aligned in [
            (Rows(dtype, 1, 8, 1), True),
            (Rows(dtype, 1, 1, 8), True),
            (Rows(dtype, 1, 8, 1), False),
        ]:
            yield from forward_plans(rows, aligned=aligned)
            yield from backward_plans(rows, aligned=aligned)


def _plans(kernel: str, layout: Layout, rows: Rows, aligned: bool, *, arrays: int, floats: int) -> tuple[Plan, ...]:
    """arrays: how many are read. floats: how many a piece of a row leaves."""
    tiles = tiling(rows, aligned=aligned)
    parts = 4 * floats * rows.number * tiles.pieces
    read, whole = arrays * rows.bytes, (arrays + 1) * rows.bytes
    moved = (whole,) if tiles.pieces == 1 else (read + parts, whole + parts)
    return tuple(
        Plan(
            file=_FILE,
            entry=f"{kernel}{tiles.template}",
            layout=layout,
            grid=tiles.grid,
            block=tiles.block,
            bytes=count,
            flops=4 * rows.size,
        )
        for count in moved
    )


def _stages(plans: tuple[Plan, ...]) -> tuple[int, ...]:
    return (WHOLE,) if len(plans) == 1 else (PIECES, REST)


def _parts(xp: Any, rows: Rows, aligned: bool, floats: int) -> Any:
    """Room for what the pieces of the rows leave."""
    return xp.empty((rows.number, tiling(rows, aligned=aligned).pieces, floats), dtype=xp.float32)


_NUMBERS = *GEOMETRY, ("stage", "int"), ("log", "int")


@functools.cache
def _forward_layout(t: str) -> Layout:
    return Layout(f"ForwardArguments<{t}>", (("y", f"{t}*"), ("parts", "float*"), ("x", f"const {t}*"), *_NUMBERS))


@functools.cache
def _backward_layout(t: str) -> Layout:
    arrays = ("dx", f"{t}*"), ("parts", "float*"), ("g", f"const {t}*"), ("y", f"const {t}*")
    return Layout(f"BackwardArguments<{t}>", (*arrays, *_NUMBERS))
