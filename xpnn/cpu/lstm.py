"""lstm for NumPy: one product for the inputs of all steps, then a loop over time in place.

sigmoid(z) = tanh(z / 2) / 2 + 1/2: one call of tanh serves all four gates. With the weights multiplied by
s = (1/2, 1/2, 1, 1/2) for i, f, g, o, a gate is a = s tanh(s z) + 1 - s, and its slope is (a + e) (1 - a) with
e = (0, 0, 1, 0): no gate needs to be moved or treated by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .packing import pack
from .recurrent import add_biases, chunks, cleared, fresh_rows, gradients, initial, refuse_recurrent, sorted_or_zeros

__all__ = ["backward", "forward", "refusal"]


def refusal(
    x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None, w_hr: Any = None,
    *, reverse: bool = False,
) -> str | None:  # fmt: skip
    return refuse_recurrent(4, x, (h0, c0), (w_ih, w_hh, b_ih, b_hh), lengths, reset, w_hr)


def forward(
    x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None, w_hr: Any = None,
    *, reverse: bool = False, need: tuple[bool, ...],
) -> tuple[Any, Any]:  # fmt: skip
    keep = True in need
    packing = pack(lengths, x.shape[0], x.shape[1], reverse)
    hidden, fresh = w_hh.shape[0] // 4, fresh_rows(packing, reset)
    scale = _per_gate(hidden, x.dtype, 0.5, 1.0)
    rows = packing.pack(x)
    gates = np.matmul(rows, (w_ih * scale[:, None]).T)
    add_biases(gates, *(None if b is None else b * scale for b in (b_ih, b_hh)))
    h = initial(packing, h0, w_hh.shape[1], x.dtype)
    c, tanh_c, last_c = _loop(packing, gates, h, c0, (w_hh * scale[:, None]).T, w_hr, scale, fresh, keep)
    out = (packing.unpack(h[packing.batch :]), packing.last(h), last_c)
    return out, (packing, rows, fresh, gates, h, c, tanh_c, w_ih, w_hh, w_hr) if keep else None


def _loop(
    packing: Any, gates: Any, h: Any, c0: Any, w: Any, w_hr: Any, scale: Any, fresh: Any, keep: bool
) -> tuple[Any, Any, Any]:
    """Fills h, and turns gates from their inputs into their values.

    Returns c and tanh(c) of all steps, or if they are not kept of a step only, and the last c of each row.
    """
    hidden, batch = gates.shape[1] // 4, packing.batch
    c = initial(packing, c0, hidden, h.dtype) if keep else sorted_or_zeros(packing, c0, hidden, h.dtype)
    tanh_c = np.empty((packing.rows if keep else batch, hidden), h.dtype)
    shift = 1 - scale
    from_h = np.empty((batch, 4 * hidden), h.dtype)
    product = np.empty((batch, hidden), h.dtype)
    for start, before, n in packing.steps():
        z = gates[start - batch : start - batch + n]
        old, new, at = (before, start, start - batch) if keep else (0, 0, 0)
        ct, tc = c[new : new + n], tanh_c[at : at + n]
        np.add(z, np.matmul(cleared(h[before : before + n], fresh, start - batch), w, from_h[:n]), z)
        np.tanh(z, z)
        np.multiply(z, scale, z)
        np.add(z, shift, z)
        np.multiply(z[:, hidden : 2 * hidden], cleared(c[old : old + n], fresh, start - batch), ct)
        np.add(ct, np.multiply(z[:, :hidden], z[:, 2 * hidden : 3 * hidden], product[:n]), ct)
        out = h[start : start + n] if w_hr is None else product[:n]
        np.multiply(z[:, 3 * hidden :], np.tanh(ct, tc), out)
        if w_hr is not None:
            np.matmul(out, w_hr.T, h[start : start + n])
    return c, tanh_c, packing.last(c) if keep else packing.restore(c)


def backward(
    residuals: Any, g: Any, need: Sequence[bool], sweep: Callable[..., tuple[Any, Any]] | None = None
) -> tuple[Any, ...]:
    """sweep: the loop back through time, by default that of this file."""
    packing, rows, fresh, gates, h, c, tanh_c, w_ih, w_hh, w_hr = residuals
    hidden, dtype = tanh_c.shape[1], h.dtype
    dy = None if g[0] is None else packing.pack(g[0])
    dh = sorted_or_zeros(packing, g[1], h.shape[1], dtype)
    dc = sorted_or_zeros(packing, g[2], hidden, dtype)
    c_before, h_before = (cleared(packing.before(states), fresh, 0) for states in (c, h))
    dz, projected = (sweep or _sweep)(packing, gates, c_before, tanh_c, dy, dh, dc, w_hh, w_hr, fresh)
    dx, *dweights = gradients(packing, dz, dz, rows, h_before, w_ih, (need[0], *need[3:7]))
    dstates = packing.restore(dh) if need[1] else None, packing.restore(dc) if need[2] else None
    dw_hr = None if w_hr is None or not need[9] else np.matmul(projected.T, gates[:, 3 * hidden :] * tanh_c)
    return dx, *dstates, *dweights, None, None, dw_hr


def _sweep(
    packing: Any, gates: Any, c_before: Any, tanh_c: Any, dy: Any, dh: Any, dc: Any, w: Any, w_hr: Any, fresh: Any
) -> tuple[Any, Any]:
    """The gradients of the gates' inputs (M, 4 H) and of what is projected (M, P); dh and dc become those of the initial states."""
    hidden, batch = dc.shape[1], packing.batch
    dz = np.empty_like(gates)
    projected = None if w_hr is None else np.empty((len(gates), dh.shape[1]), dh.dtype)
    product, from_h = np.empty_like(dc), np.empty_like(dc)
    for steps in chunks(packing.steps(), 4 * hidden * dh.itemsize):
        first, end = steps[-1][0] - batch, steps[0][0] - batch + steps[0][2]
        slope_c = _slopes(gates[first:end], c_before[first:end], tanh_c[first:end], dz[first:end])
        for start, _, n in steps:
            a = start - batch
            d, dhn, dcn = dz[a : a + n], dh[:n], dc[:n]
            if dy is not None:
                np.add(dhn, dy[a : a + n], dhn)
            dm = dhn
            if projected is not None:
                projected[a : a + n] = dhn
                dm = np.matmul(dhn, w_hr, from_h[:n])
            np.add(dcn, np.multiply(dm, slope_c[a - first : a - first + n], product[:n]), dcn)
            ifg, o = d[:, : 3 * hidden].reshape(n, 3, hidden), d[:, 3 * hidden :]
            np.multiply(ifg, dcn[:, None], ifg)
            np.multiply(o, dm, o)
            np.multiply(dcn, gates[a : a + n, hidden : 2 * hidden], dcn)
            np.matmul(d, w, dhn)
            if fresh is not None:
                dhn[...], dcn[...] = cleared(dhn, fresh, a), cleared(dcn, fresh, a)
    return dz, projected


def _slopes(gates: Any, c_before: Any, tanh_c: Any, out: Any) -> Any:
    """out: what dc (for o: dh) is multiplied by to give the gradients of the gates' inputs; returns dc / dh."""
    hidden = tanh_c.shape[1]
    np.add(gates, _per_gate(hidden, gates.dtype, 0.0, 1.0), out)
    np.multiply(out, 1 - gates, out)
    i, _, g, o = (gates[:, k * hidden : (k + 1) * hidden] for k in range(4))
    for k, partner in enumerate((g, c_before, i, tanh_c)):
        part = out[:, k * hidden : (k + 1) * hidden]
        np.multiply(part, partner, part)
    slope = np.multiply(tanh_c, tanh_c)
    np.subtract(1, slope, slope)
    return np.multiply(slope, o, slope)


def _per_gate(hidden: int, dtype: Any, sigmoid: float, tanh: float) -> Any:
    """A vector (4 H) with one value for the gates i, f, o and another for g."""
    values = np.full(4 * hidden, sigmoid, dtype)
    values[2 * hidden : 3 * hidden] = tanh
    return values
