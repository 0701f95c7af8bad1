"""A whole sequence of a recurrent layer in one launch; the host side of recurrent_block.cu and recurrent_tensor.cu.

For lstm and gru whose recurrent weights fit the registers of one block: each block keeps all of them and runs its rows of the
batch through all times. Whether that pays follows from shapes alone, by a model of what a step takes on an H100.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

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

__all__ = ["backward", "backward_plan", "fits", "forward", "forward_plan", "instantiations", "pays"]

_TENSOR_ROWS = 8  # rows of a block, as in recurrent_tensor.cu
# Threads and rows of a block of recurrent_block.cu: for each padded unit, G / R of them.
_PARTS = {LSTM: 2, GRU: 3}
# To which numbers of units the kernels round up.
_UNITS = {LSTM: (64, 96), GRU: (64, 128)}
_TENSOR_UNITS = (64, 128)

# The model, for an H100: multiprocessors; microseconds of a step beside its products (barriers, gates, latency of loads), of a
# launch that first reads its weights, and of a step of the other way, which the host's two calls decide; flops and bytes (of the
# second-level cache) per microsecond.
_PROCESSORS, _STEP_US, _START_US, _CALLS_US = 132, 0.5, 6.0, 17.0
_BLOCK_RATE = {4: 0.3e6, 2: 4.6e6}
_PRODUCT_RATE = {4: 54e6, 2: 640e6}
_BYTE_RATE = 5.5e6


def fits(cell: Cell, dtype: str, hidden: int) -> int | None:
    """The number of units, rounded up, of the kernel that has room for a layer; None if there is none."""
    units: tuple[int, ...] = ()
    if cell in _PARTS and dtype in C_TYPES:
        units = _UNITS[cell] if dtype == "float32" else _TENSOR_UNITS
    return next((n for n in units if hidden <= n), None)


@functools.lru_cache(1024)
def pays(cell: Cell, dtype: str, times: int, batch: int, hidden: int) -> bool:
    """Whether a layer fits, and the model finds one launch cheaper than a product and a launch a step."""
    units = fits(cell, dtype, hidden)
    if units is None:
        return False
    item = ITEM_SIZE[dtype]
    rows = _rows(cell, dtype, batch)
    waves = -(-batch // (rows * _PROCESSORS))
    here = waves * (_START_US + times * (_STEP_US + 2 * rows * cell.gates * units * units / _BLOCK_RATE[item]))
    product = 2 * batch * cell.gates * hidden * hidden / _PRODUCT_RATE[item]
    moved = batch * hidden * (forward_bytes(cell, dtype, keep=True) + 2 * cell.gates * item) / _BYTE_RATE
    return here < times * max(_CALLS_US, product + moved)


def forward(cell: Cell, values: dict[str, Any]) -> None:
    """Fills the buffers of a layer; values: the fields of the struct Forward, T at least 1."""
    shape = values["times"], values["batch"], values["hidden"]
    plan = forward_plan(cell, dtype_name(values["h"].dtype), *shape, keep=bool(values["keep"]))
    values["rows"] = _rows(cell, dtype_name(values["h"].dtype), shape[1])
    launch(plan, filled(plan.layout, values))


def backward(cell: Cell, values: dict[str, Any]) -> None:
    """Fills the gradients of a layer; values: the fields of the struct Backward, T at least 1."""
    shape = values["times"], values["batch"], values["hidden"]
    plan = backward_plan(cell, dtype_name(values["h"].dtype), *shape)
    values["rows"] = _rows(cell, dtype_name(values["h"].dtype), shape[1])
    launch(plan, filled(plan.layout, values))


@functools.lru_cache(1024)
def forward_plan(cell: Cell, dtype: str, times: int, batch: int, hidden: int, *, keep: bool) -> Plan:
    """The launch for a sequence; ValueError if the layer does not fit."""
    moved = times * batch * hidden * forward_bytes(cell, dtype, keep=keep)
    return _plan(cell, dtype, times, batch, hidden, "forward", moved)


@functools.lru_cache(1024)
def backward_plan(cell: Cell, dtype: str, times: int, batch: int, hidden: int) -> Plan:
    """The launch for the gradients of a sequence; ValueError if the layer does not fit."""
    moved = times * batch * hidden * backward_bytes(cell, dtype)
    return _plan(cell, dtype, times, batch, hidden, "backward", moved)


def _plan(cell: Cell, dtype: str, times: int, batch: int, hidden: int, direction: str, moved: int) -> Plan:
    units, t = fits(cell, dtype, hidden), C_TYPES[dtype]
    if units is None:
        raise ValueError(f"{hidden} units of {cell.name} in {dtype} do not fit the registers of a block")
    name, arguments = ("block", cell.name) if dtype == "float32" else ("tensor", f"{cell.name}, {t}")
    rows = _rows(cell, dtype, batch)
    return Plan(
        file=f"recurrent_{name}.cu",
        entry=f"recurrent_{name}_{direction}<{arguments}, {units}>",
        layout=forward_layout(t) if direction == "forward" else backward_layout(t),
        grid=(-(-batch // rows), 1, 1),
        block=((_PARTS[cell] if dtype == "float32" else 2) * units, 1, 1),
        bytes=moved + cell.gates * hidden * hidden * ITEM_SIZE[dtype],
        flops=times * batch * hidden * (2 * cell.gates * hidden + FLOPS[cell]),
    )


def _rows(cell: Cell, dtype: str, batch: int) -> int:
    """Rows of a block: few enough that many blocks have work, at most as many as the kernel has threads for."""
    if dtype != "float32":
        return _TENSOR_ROWS
    return min(max(-(-batch // _PROCESSORS), 1), _PARTS[cell])


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for."""
    for cell in _PARTS:
        for dtype in C_TYPES:
            for units in _UNITS[cell] if dtype == "float32" else _TENSOR_UNITS:
                yield forward_plan(cell, dtype, 1, 1, units, keep=True)
                yield backward_plan(cell, dtype, 1, 1, units)
