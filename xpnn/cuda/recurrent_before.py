"""The loop over time of gru with the reset gate before the product: two products by cuBLAS and two launches a step.

The host side of the two parts that recurrent_step.cu has for it.
"""

from __future__ import annotations

import functools
from typing import Any

from ..namespace.libraries import raw_namespace
from .dtypes import dtype_name
from .launch import launch
from .plan import Plan
from .recurrent_kernels import GRU_BEFORE, SIZES, Cell, backward_layout, filled, forward_layout, wide
from .recurrent_step import at, step_plan

__all__ = ["backward", "forward", "plan", "weights"]

_GATES, _CANDIDATE = GRU_BEFORE.number, GRU_BEFORE.number + 1


def forward(cell: Cell, values: dict[str, Any]) -> None:
    """Fills the buffers of a layer; values: the fields of the struct Forward, w (3 H, H) = W_hh, T at least 1."""
    h, h0, w, keep = values["h"], values["h0"], values["w"].T, bool(values["keep"])
    xp, dtype = raw_namespace(h), dtype_name(h.dtype)
    times, batch, hidden = values["times"], values["batch"], values["hidden"]
    of_h, of_kept = (xp.empty((batch, size), dtype=h.dtype) for size in (2 * hidden, hidden))
    if not keep:
        values["candidate"] = xp.empty((1, batch, hidden), dtype=h.dtype)
    steps = [(_GATES, of_h), (_CANDIDATE, of_kept)]
    plans = [plan(part, "forward", dtype, batch, hidden) for part, _ in steps]
    arguments = [
        filled(p.layout, {**values, "cell": part, "product": product})
        for p, (part, product) in zip(plans, steps, strict=True)
    ]
    slot = values["reverse"]  # of the state before, counted from the time
    order = range(times - 1, -1, -1) if slot else range(times)
    h[order[0] + slot, ...] = xp.zeros_like(h[0, ...]) if h0 is None else h0
    for time in order:
        xp.matmul(h[time + slot, ...], w[:, : 2 * hidden], out=of_h)
        launch(plans[0], at(arguments[0], time))
        xp.matmul(values["candidate"][time if keep else 0, ...], w[:, 2 * hidden :], out=of_kept)
        launch(plans[1], at(arguments[1], time))


def backward(cell: Cell, values: dict[str, Any]) -> None:
    """Fills the gradients of a layer; values: the fields of the struct Backward, w (3 H, H) = W_hh, T at least 1."""
    w, h = values["w"], values["h"]
    xp, dtype = raw_namespace(h), dtype_name(h.dtype)
    times, batch, hidden = values["times"], values["batch"], values["hidden"]
    of_gates, of_candidate = (xp.empty((batch, hidden), dtype=h.dtype) for _ in range(2))
    values["carry"] = xp.empty((batch, hidden), dtype=wide(dtype))
    steps = [(_CANDIDATE, of_gates), (_GATES, of_candidate)]
    plans = [plan(part, "backward", dtype, batch, hidden) for part, _ in steps]
    arguments = [
        filled(p.layout, {**values, "cell": part, "product": product})
        for p, (part, product) in zip(plans, steps, strict=True)
    ]
    gradients = values["dx"].reshape(times, batch, 3 * hidden)
    for time in range(times) if values["reverse"] else range(times - 1, -1, -1):
        launch(plans[0], at(arguments[0], time))
        xp.matmul(gradients[time, :, 2 * hidden :], w[2 * hidden :], out=of_candidate)
        launch(plans[1], at(arguments[1], time))
        xp.matmul(gradients[time, :, : 2 * hidden], w[: 2 * hidden], out=of_gates)
    launch(plans[0], at(arguments[0], times if values["reverse"] else -1))


def weights(xp: Any, d: Any, before: Any, kept: Any) -> Any:
    """dw_hh (3 H, H) from the gates' gradients d (T N, 3 H), the states before the steps and r h (T N, H)."""
    hidden = before.shape[1]
    dw = xp.empty((3 * hidden, hidden), dtype=d.dtype)
    dw[: 2 * hidden] = xp.matmul(d[:, : 2 * hidden].T, before)
    dw[2 * hidden :] = xp.matmul(d[:, 2 * hidden :].T, kept)
    return dw


@functools.lru_cache(1024)
def plan(part: int, direction: str, dtype: str, batch: int, hidden: int) -> Plan:
    """The launch of a part of a step.

    Of a unit, forward: the inputs' part of r and z, the product, h in, r, z and r h out; then that of n, the product, z and h in,
    n and h out. Backward: z, n, h, dy and the product in, two gradients out; then r, h and the product in, one gradient out; both
    times what reaches h past the products, in and out.
    """
    moved = SIZES[dtype] * {"forward": (8, 6), "backward": (4, 7)}[direction][part - _GATES]
    if direction == "backward":
        moved += 2 * SIZES[wide(dtype)]
    layout = forward_layout if direction == "forward" else backward_layout
    flops = {"forward": (27, 15), "backward": (6, 11)}[direction][part - _GATES]
    return step_plan(direction, layout, dtype, batch, hidden, moved, flops)
