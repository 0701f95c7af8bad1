"""gru for NumPy: one product for the inputs of all steps, then a loop over time in place.

sigmoid(z) = tanh(z / 2) / 2 + 1/2: the rows of r and z in the weights are halved beforehand. The gradients of the gates'
inputs are kept side by side as n, r, z, n': n what reaches the inputs' part of n, n' what reaches the state's part, so
that (n, r, z) and (r, z, n') are both one matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import gru_reset_before
from .packing import pack
from .recurrent import add_biases, chunks, cleared, fresh_rows, gradients, initial, refuse_recurrent, sorted_or_zeros

__all__ = ["backward", "forward", "refusal"]


def refusal(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None,
    *, reset_after: bool = True, reverse: bool = False,
) -> str | None:  # fmt: skip
    return refuse_recurrent(3, x, (h0,), (w_ih, w_hh, b_ih, b_hh), lengths, reset)


def forward(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None,
    *, reset_after: bool = True, reverse: bool = False, need: tuple[bool, ...],
) -> tuple[Any, Any]:  # fmt: skip
    packing = pack(lengths, x.shape[0], x.shape[1], reverse)
    hidden, fresh = w_hh.shape[1], fresh_rows(packing, reset)
    scale = np.ones(3 * hidden, x.dtype)
    scale[: 2 * hidden] = 0.5
    rows, keep = packing.pack(x), True in need
    gates = np.matmul(rows, (w_ih * scale[:, None]).T)
    h = initial(packing, h0, hidden, x.dtype)
    w, b_ih, b_hh = (w_hh * scale[:, None]).T, *(None if b is None else b * scale for b in (b_ih, b_hh))
    from_h = None
    if reset_after:
        add_biases(gates, b_ih)
        from_h = _loop(packing, gates, h, w, b_hh, fresh, keep)
    else:
        add_biases(gates, b_ih, b_hh)
        gru_reset_before.loop(packing, gates, h, w, fresh)
    out = (packing.unpack(h[packing.batch :]), packing.last(h))
    return out, (packing, rows, fresh, gates, from_h, h, w_ih, w_hh) if keep else None


def _loop(packing: Any, gates: Any, h: Any, w: Any, b: Any, fresh: Any, keep: bool) -> Any:
    """Fills h, and turns gates from their inputs into their values; returns the state's part of n's input (M, H)."""
    hidden, batch = h.shape[1], packing.batch
    kept = np.empty((packing.rows if keep else 0, hidden), h.dtype)
    from_h = np.empty((batch, 3 * hidden), h.dtype)
    for start, before, n in packing.steps():
        z, new = gates[start - batch : start - batch + n], h[start : start + n]
        before_h = cleared(h[before : before + n], fresh, start - batch)
        rz, candidate, product = z[:, : 2 * hidden], z[:, 2 * hidden :], from_h[:n]
        np.matmul(before_h, w, product)
        if b is not None:
            np.add(product, b, product)
        if keep:
            kept[start - batch : start - batch + n] = product[:, 2 * hidden :]
        np.add(rz, product[:, : 2 * hidden], rz)
        np.tanh(rz, rz)
        np.multiply(rz, 0.5, rz)
        np.add(rz, 0.5, rz)
        np.multiply(rz[:, :hidden], product[:, 2 * hidden :], new)
        np.add(candidate, new, candidate)
        np.tanh(candidate, candidate)
        np.subtract(before_h, candidate, new)
        np.multiply(rz[:, hidden:], new, new)
        np.add(candidate, new, new)
    return kept


def backward(residuals: Any, g: Any, need: Sequence[bool], sweep: Callable[..., Any] | None = None) -> tuple[Any, ...]:
    """sweep: the loop back through time, by default that of this file."""
    packing, rows, fresh, gates, from_h, h, w_ih, w_hh = residuals
    hidden = h.shape[1]
    dy = None if g[0] is None else packing.pack(g[0])
    dh = sorted_or_zeros(packing, g[1], hidden, h.dtype)
    before = cleared(packing.before(h), fresh, 0)
    if from_h is None:
        dz, *dweights = gru_reset_before.sweep(packing, gates, before, dy, dh, w_hh, fresh, need[3])
        dx, dw_ih, _, db_ih, db_hh = gradients(
            packing, dz, dz, rows, before, w_ih, (need[0], need[2], False, *need[4:6])
        )
        return dx, packing.restore(dh) if need[1] else None, dw_ih, *dweights, db_ih, db_hh, None, None
    dz = (sweep or _sweep)(packing, gates, from_h, before, dy, dh, w_hh, fresh)
    turned = np.concatenate((w_ih[2 * hidden :], w_ih[: 2 * hidden]))
    dx, dw_ih, dw_hh, db_ih, db_hh = gradients(
        packing, dz[:, : 3 * hidden], dz[:, hidden:], rows, before, turned, (need[0], *need[2:6])
    )
    dw_ih, db_ih = (d if d is None else np.concatenate((d[hidden:], d[:hidden])) for d in (dw_ih, db_ih))
    return dx, packing.restore(dh) if need[1] else None, dw_ih, dw_hh, db_ih, db_hh, None, None


def _sweep(packing: Any, gates: Any, from_h: Any, before: Any, dy: Any, dh: Any, w: Any, fresh: Any) -> Any:
    """The gradients (n, r, z, n') of the gates' inputs (M, 4 H); dh becomes that of the initial states."""
    hidden, batch = dh.shape[1], packing.batch
    dz = np.empty((len(gates), 4 * hidden), dh.dtype)
    product = np.empty_like(dh)
    for steps in chunks(packing.steps(), 4 * hidden * dh.itemsize):
        first, end = steps[-1][0] - batch, steps[0][0] - batch + steps[0][2]
        _slopes(gates[first:end], from_h[first:end], before[first:end], dz[first:end])
        for start, _, n in steps:
            a = start - batch
            d, dhn, gate = dz[a : a + n], dh[:n], gates[a : a + n]
            if dy is not None:
                np.add(dhn, dy[a : a + n], dhn)
            dn = np.multiply(d[:, :hidden], dhn, d[:, :hidden])
            np.multiply(d[:, hidden : 2 * hidden], dn, d[:, hidden : 2 * hidden])
            np.multiply(d[:, 2 * hidden : 3 * hidden], dhn, d[:, 2 * hidden : 3 * hidden])
            np.multiply(dn, gate[:, :hidden], d[:, 3 * hidden :])
            np.multiply(dhn, gate[:, hidden : 2 * hidden], dhn)
            np.add(dhn, np.matmul(d[:, hidden:], w, product[:n]), dhn)
            if fresh is not None:
                dhn[...] = cleared(dhn, fresh, a)
    return dz


def _slopes(gates: Any, from_h: Any, before: Any, out: Any) -> None:
    """out: what dh (for r: dn) is multiplied by to give the gradients n, r, z of the gates' inputs."""
    hidden = from_h.shape[1]
    r, z, n = (gates[:, k * hidden : (k + 1) * hidden] for k in range(3))
    dn, dr, dz = (out[:, k * hidden : (k + 1) * hidden] for k in range(3))
    np.multiply(n, n, dn)
    np.subtract(1, dn, dn)
    np.subtract(1, z, dz)
    np.multiply(dn, dz, dn)
    np.multiply(dz, z, dz)
    np.multiply(dz, before - n, dz)
    np.subtract(1, r, dr)
    np.multiply(dr, r, dr)
    np.multiply(dr, from_h, dr)
