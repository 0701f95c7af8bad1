"""A whole sequence of lstm or gru in one launch, by clusters of blocks; the host side of recurrent_cluster.cu.

For 16 bits, up to 512 units and GPUs of compute capability 9.0. It has not yet run on one: only XPNN_RECURRENT=cluster asks for it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from .arguments import Layout
from .dtypes import C_TYPES, ITEM_SIZE, dtype_name
from .launch import launch
from .plan import Plan
from .recurrent_kernels import (
    FLOPS,
    GRU,
    LSTM,
    Cell,
    backward_bytes,
    backward_layout,
    filled,
    forward_bytes,
    forward_layout,
)

__all__ = ["backward", "backward_plan", "fits", "forward", "forward_plan", "instantiations"]

# As in the kernel file: rows of a cluster, units of a block; to how many units the kernels round up.
_ROWS, _BLOCK_UNITS = 8, 32
_UNITS = (256, 512)
_CAPABILITY = 90


def fits(cell: Cell, x: Any, hidden: int) -> bool:
    """Whether there is a kernel for a layer of the dtype and on the device of x."""
    if cell not in (LSTM, GRU) or dtype_name(x.dtype) not in ("float16", "bfloat16") or hidden > _UNITS[-1]:
        return False
    return isinstance(x, np.ndarray) or int(x.device.compute_capability) >= _CAPABILITY


def forward(cell: Cell, values: dict[str, Any]) -> None:
    """Fills the buffers of a layer; values: the fields of the struct Forward, T at least 1."""
    shape = values["times"], values["batch"], values["hidden"]
    plan = forward_plan(cell, dtype_name(values["h"].dtype), *shape, keep=bool(values["keep"]))
    launch(plan, filled(plan.layout, values))


def backward(cell: Cell, values: dict[str, Any]) -> None:
    """Fills the gradients of a layer; values: the fields of the struct Backward, T at least 1."""
    plan = backward_plan(cell, dtype_name(values["h"].dtype), values["times"], values["batch"], values["hidden"])
    launch(plan, filled(plan.layout, values))


@functools.lru_cache(1024)
def forward_plan(cell: Cell, dtype: str, times: int, batch: int, hidden: int, *, keep: bool) -> Plan:
    """The launch for a sequence."""
    moved = forward_bytes(cell, dtype, keep=keep)
    return _plan(cell, dtype, times, batch, hidden, "forward", forward_layout(C_TYPES[dtype]), moved)


@functools.lru_cache(1024)
def backward_plan(cell: Cell, dtype: str, times: int, batch: int, hidden: int) -> Plan:
    """The launch for the gradients of a sequence."""
    moved = backward_bytes(cell, dtype)
    return _plan(cell, dtype, times, batch, hidden, "backward", backward_layout(C_TYPES[dtype]), moved)


def _plan(
    cell: Cell, dtype: str, times: int, batch: int, hidden: int, direction: str, layout: Layout, moved: int
) -> Plan:
    """moved: bytes of a unit, a row and a step."""
    units = next(n for n in _UNITS if hidden <= n)
    blocks = units // _BLOCK_UNITS
    return Plan(
        file="recurrent_cluster.cu",
        entry=f"recurrent_cluster_{direction}<{cell.name}, {C_TYPES[dtype]}, {units}>",
        layout=layout,
        grid=(-(-batch // _ROWS) * blocks, 1, 1),
        block=(256, 1, 1),
        cluster=(blocks, 1, 1),
        shared=0 if direction == "forward" else 2 * units * _ROWS * 4,
        bytes=times * batch * hidden * moved + cell.gates * hidden * hidden * ITEM_SIZE[dtype],
        flops=times * batch * hidden * (2 * cell.gates * hidden + FLOPS[cell]),
    )


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for."""
    for cell in (LSTM, GRU):
        for dtype in ("float16", "bfloat16"):
            for units in _UNITS:
                yield forward_plan(cell, dtype, 1, 1, units, keep=True)
                yield backward_plan(cell, dtype, 1, 1, units)
