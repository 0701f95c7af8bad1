"""The loop over time of a recurrent layer: one product by cuBLAS and one launch a step; the host side of recurrent_step.cu."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from ..namespace.libraries import raw_namespace
from .arguments import Arguments, Layout
from .dtypes import dtype_name
from .launch import launch
from .plan import Plan
from .recurrent_kernels import (
    FLOPS,
    LSTM,
    SIZES,
    TYPES,
    Cell,
    backward_bytes,
    backward_layout,
    filled,
    forward_bytes,
    forward_layout,
    wide,
)

__all__ = ["at", "backward", "backward_plan", "forward", "forward_plan", "instantiations", "step_plan"]

_FILE = "recurrent_step.cu"
_THREADS = 256  # as in the kernel file


def forward(cell: Cell, values: dict[str, Any]) -> None:
    """Fills the buffers of a layer; values: the fields of the struct Forward, w (G H, H) = W_hh, T at least 1."""
    h, h0, w = values["h"], values["h0"], values["w"].T
    xp = raw_namespace(h)
    times, batch, hidden = values["times"], values["batch"], values["hidden"]
    values["product"] = product = xp.empty((batch, cell.gates * hidden), dtype=h.dtype)
    plan = forward_plan(cell, dtype_name(h.dtype), batch, hidden, keep=bool(values["keep"]))
    arguments = filled(plan.layout, values)
    slot = values["reverse"]  # of the state before, counted from the time
    order = range(times - 1, -1, -1) if slot else range(times)
    h[order[0] + slot, ...] = xp.zeros_like(h[0, ...]) if h0 is None else h0
    for time in order:
        xp.matmul(h[time + slot, ...], w, out=product)
        launch(plan, at(arguments, time))


def backward(cell: Cell, values: dict[str, Any]) -> None:
    """Fills the gradients of a layer; values: the fields of the struct Backward, w (G H, H) = W_hh, T at least 1."""
    w, h = values["w"], values["h"]
    xp = raw_namespace(h)
    times, batch, hidden = values["times"], values["batch"], values["hidden"]
    values["product"] = product = xp.empty((batch, hidden), dtype=h.dtype)
    dtype = dtype_name(h.dtype)
    values["carry"] = xp.empty((batch, hidden), dtype=wide(dtype))
    values["dc"] = xp.empty((batch, hidden), dtype=wide(dtype)) if cell.has_c else None
    plan = backward_plan(cell, dtype, batch, hidden)
    arguments = filled(plan.layout, values)
    gradients = values["dx" if cell.same else "dh"].reshape(times, batch, cell.gates * hidden)
    for time in range(times) if values["reverse"] else range(times - 1, -1, -1):
        launch(plan, at(arguments, time))
        xp.matmul(gradients[time, ...], w, out=product)
    launch(plan, at(arguments, times if values["reverse"] else -1))


def at(arguments: Arguments, time: int) -> Arguments:
    """The same struct at another time, its last field; the arrays need no second check."""
    return Arguments(arguments.layout, {**arguments.values, "time": time}, (*arguments.raw[:-1], time))


@functools.lru_cache(1024)
def forward_plan(cell: Cell, dtype: str, batch: int, hidden: int, *, keep: bool) -> Plan:
    """The launch of one step."""
    more = (
        SIZES[dtype] * (cell.gates + 1) + SIZES[wide(dtype)] * (1 if keep else 2) * cell.has_c
    )  # the product, the states before
    moved = forward_bytes(cell, dtype, keep=keep) + more
    return step_plan("forward", forward_layout, dtype, batch, hidden, moved, FLOPS[cell])


@functools.lru_cache(1024)
def backward_plan(cell: Cell, dtype: str, batch: int, hidden: int) -> Plan:
    """The launch of one step, and of the last one, which only hands the gradients of the states on."""
    more = SIZES[dtype] + 2 * SIZES[wide(dtype)] * (
        1 + cell.has_c
    )  # the product, what else reaches h, and the gradient of c, both ways
    moved = backward_bytes(cell, dtype) + more
    return step_plan("backward", backward_layout, dtype, batch, hidden, moved, FLOPS[cell] / 2)


def step_plan(
    direction: str, layout: Callable[[str], Layout], dtype: str, batch: int, hidden: int, moved: int, flops: float
) -> Plan:
    """A launch of a thread for each unit and row; moved and flops: of one of them."""
    return Plan(
        file=_FILE,
        entry=f"recurrent_step_{direction}<{TYPES[dtype]}>",
        layout=layout(TYPES[dtype]),
        grid=(-(-batch * hidden // _THREADS), 1, 1),
        block=(_THREADS, 1, 1),
        bytes=batch * hidden * moved,
        flops=int(batch * hidden * flops),
    )


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for."""
    for dtype in TYPES:
        yield forward_plan(LSTM, dtype, 1, 1, keep=True)
        yield backward_plan(LSTM, dtype, 1, 1)
