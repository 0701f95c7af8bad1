"""lstm with a projection on CuPy: by single steps, with two products by cuBLAS and one launch each.

The kernels of recurrent_step.cu are those of a plain lstm: what they take for h is o tanh(c), and what is projected from it gives
the product of the next step. Where rows end or begin anew, array functions choose the states, one or two launches a step more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..namespace.libraries import raw_namespace
from . import recurrent
from .arrays import contiguous
from .dtypes import dtype_name
from .launch import launch
from .recurrent_kernels import LSTM, filled, wide
from .recurrent_step import at, backward_plan, forward_plan

__all__ = ["backward", "forward"]


def forward(
    x: Any, states: Sequence[Any], weights: Sequence[Any], w_hr: Any, lengths: Any, reset: Any, *, reverse: bool, keep: bool
) -> tuple[tuple[Any, ...], Any]:  # fmt: skip
    """((y, h_n, c_n), what backward needs); w_hr (P, H)."""
    given: list[Any] = [None if w is None else contiguous(w) for w in (*weights, *states, w_hr)]
    w_ih, w_hh, b_ih, b_hh, h0, c0, w_hr = given
    (times, batch), (width, hidden) = x.shape[:2], w_hr.shape
    xp = raw_namespace(x)
    running = None if lengths is None else xp.arange(times)[:, None, None] < lengths[:, None]
    lengths, reset = recurrent.flags(xp, lengths, reset)
    values = {
        "gates": contiguous(xp.matmul(recurrent.rows(x), w_ih.T)),
        **recurrent.buffers(xp, LSTM, x.dtype, times, batch, hidden, keep=keep, ragged=False),
        "c0": c0, "w": w_hh, "b_ih": b_ih, "b_hh": b_hh, "lengths": lengths, "reset": reset, "keep": int(keep),
        **recurrent.options(LSTM, times, batch, hidden, reverse, False),
    }  # fmt: skip
    h = xp.empty((times + 1, batch, width), dtype=x.dtype)
    h[times if reverse else 0, ...] = 0 if h0 is None else h0
    values["h"][times if reverse else 0, ...] = 0
    values["c_last"][...] = 0 if c0 is None else c0
    _steps(xp, values, h, w_hr, running)
    y, h_last = h[:-1] if reverse else h[1:], h[0 if reverse else times, ...].copy()
    out = (y if running is None else recurrent.without(y, ~running[..., 0]), h_last, values["c_last"])
    kept = {name: values[name] for name in ("gates", "h", "c")}
    return out, (x, w_ih, w_hh, w_hr, lengths, reset, running, kept, h, reverse) if keep else None


def _steps(xp: Any, values: dict[str, Any], h: Any, w_hr: Any, running: Any) -> None:
    """Fills h (T + 1, N, P), whose first slot is the initial state, and the buffers of values."""
    times, batch, hidden, slot = values["times"], values["batch"], values["hidden"], values["reverse"]
    values["product"] = product = xp.empty((batch, 4 * hidden), dtype=h.dtype)
    plan = forward_plan(LSTM, dtype_name(h.dtype), batch, hidden, keep=bool(values["keep"]))
    arguments = filled(plan.layout, values)
    for time in range(times - 1, -1, -1) if slot else range(times):
        before, after = h[time + slot, ...], h[time + 1 - slot, ...]
        xp.matmul(before, values["w"].T, out=product)
        launch(plan, at(arguments, time))
        xp.matmul(values["h"][time + 1 - slot, ...], w_hr.T, out=after)
        if running is not None:
            after[...] = xp.where(running[time], after, before)


def backward(residuals: Any, g: Sequence[Any], need: Sequence[bool]) -> tuple[Any, ...]:
    """The gradients of all arguments of lstm, in their order."""
    x, w_ih, w_hh, w_hr, lengths, reset, running, kept, h, reverse = residuals
    (times, batch), hidden = x.shape[:2], w_hr.shape[1]
    xp = raw_namespace(x)
    dy, dh_last, dc_last = (None if d is None else contiguous(d) for d in g)
    state = (batch, hidden)
    values = {
        "dx": xp.empty((times * batch, 4 * hidden), dtype=x.dtype),
        "dh0": xp.empty(state, dtype=x.dtype),
        "dc0": xp.zeros(state, dtype=x.dtype) if dc_last is None else dc_last.copy(),
        "carry": xp.zeros(state, dtype=wide(dtype_name(x.dtype))),
        "dc": xp.empty(state, dtype=wide(dtype_name(x.dtype))),
        "product": xp.zeros(state, dtype=x.dtype),
        "dy": xp.empty((times, *state), dtype=x.dtype),
        "dc_last": dc_last, "lengths": lengths, "reset": reset, **kept,
        **recurrent.options(LSTM, times, batch, hidden, reverse, False),
    }  # fmt: skip
    dh0, projected = _sweep(xp, values, dy, dh_last, w_hh, w_hr, running)
    before = h[1:] if reverse else h[:-1]
    if reset is not None and need[4]:
        before = recurrent.without(before, reset != 0)
    dx, *weights = recurrent.products(xp, x, w_ih, values["dx"], values["dx"], before, (need[0], *need[3:7]))
    states = dh0 if need[1] else None, values["dc0"] if need[2] else None
    after = kept["h"][:-1] if reverse else kept["h"][1:]
    dw_hr = xp.matmul(recurrent.rows(projected).T, recurrent.rows(after)) if need[9] else None
    return dx, *states, *weights, None, None, dw_hr


def _sweep(
    xp: Any, values: dict[str, Any], dy: Any, dh_last: Any, w_hh: Any, w_hr: Any, running: Any
) -> tuple[Any, Any]:
    """Fills the gradients of values; returns dh0 (N, P) and those of what is projected (T, N, P)."""
    times, batch, hidden, reverse = values["times"], values["batch"], values["hidden"], values["reverse"]
    reset = values["reset"]
    plan = backward_plan(LSTM, dtype_name(w_hr.dtype), batch, hidden)
    arguments = filled(plan.layout, values)
    gates = values["dx"].reshape(times, batch, 4 * hidden)
    projected = xp.empty((times, batch, w_hr.shape[0]), dtype=w_hr.dtype)
    nothing = xp.zeros(projected.shape[1:], dtype=w_hr.dtype)
    dh = nothing.copy() if dh_last is None else dh_last.copy()
    for time in range(times) if reverse else range(times - 1, -1, -1):
        here, own = dh if dy is None else dh + dy[time, ...], None if running is None else running[time]
        projected[time, ...] = here if own is None else xp.where(own, here, nothing)
        xp.matmul(projected[time, ...], w_hr, out=values["dy"][time, ...])
        launch(plan, at(arguments, time))
        passed = xp.matmul(gates[time, ...], w_hh)
        if reset is not None:
            passed = xp.where(reset[time, ..., None] != 0, nothing, passed)
        dh = passed if own is None else xp.where(own, passed, dh)
    if times:
        launch(plan, at(arguments, times if reverse else -1))
    return dh, projected
