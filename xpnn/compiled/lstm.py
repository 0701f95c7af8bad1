"""lstm by compiled loops: a product and a pass a step; everything else is as in cpu/lstm.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..cpu import lstm as plain
from ..cpu.packing import pack
from ..cpu.recurrent import cleared, fresh_rows, initial, sorted_or_zeros
from .loops import refuse, share
from .recurrent import bias_sum, rows_of

__all__ = ["backward", "forward", "refusal"]


def refusal(
    x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None, w_hr: Any = None,
    *, reverse: bool = False,
) -> str | None:  # fmt: skip
    if w_hr is not None:
        return "a projection"
    why = refuse(x, fewest=0) or refuse(w_hh)  # the cheap questions first: small cells are asked at each call
    return why or plain.refusal(x, h0, c0, w_ih, w_hh, b_ih, b_hh, lengths, reset, reverse=reverse)


def forward(
    x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None, w_hr: Any = None,
    *, reverse: bool = False, need: tuple[bool, ...],
) -> tuple[Any, Any]:  # fmt: skip
    from .recurrent_loops import lstm

    keep = True in need
    packing = pack(lengths, x.shape[0], x.shape[1], reverse)
    batch, hidden, fresh = packing.batch, w_hh.shape[1], fresh_rows(packing, reset)
    rows = packing.pack(x)
    gates, w, bias = np.matmul(rows, w_ih.T), w_hh.T, bias_sum(4 * hidden, b_ih, b_hh)
    h = initial(packing, h0, hidden, x.dtype)
    c = initial(packing, c0, hidden, x.dtype) if keep else sorted_or_zeros(packing, c0, hidden, x.dtype)
    tanh_c = np.empty((packing.rows if keep else batch, hidden), x.dtype)
    product = np.empty((batch, 4 * hidden), x.dtype)
    for start, before, n in packing.steps():
        a = start - batch
        old, new, at = (before, start, a) if keep else (0, 0, 0)
        np.matmul(cleared(h[before : before + n], fresh, a), w, product[:n])
        c_before = cleared(c[old : old + n], fresh, a)
        shared = (gates[a : a + n], product[:n], c_before, c[new : new + n], tanh_c[at : at + n], h[start : start + n])
        share(lstm, rows_of(n, hidden), shared, bias)
    last_c = packing.last(c) if keep else packing.restore(c)
    out = (packing.unpack(h[batch:]), packing.last(h), last_c)
    return out, (packing, rows, fresh, gates, h, c, tanh_c, w_ih, w_hh, None) if keep else None


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, ...]:
    return plain.backward(residuals, g, need, sweep=_sweep)


def _sweep(
    packing: Any, gates: Any, c_before: Any, tanh_c: Any, dy: Any, dh: Any, dc: Any, w: Any, w_hr: None, fresh: Any
) -> tuple[Any, None]:
    """The gradients of the gates' inputs (M, 4 H); dh and dc become those of the initial states."""
    from .recurrent_loops import lstm_back

    hidden, batch = dc.shape[1], packing.batch
    dz = np.empty_like(gates)
    none = np.empty((0, hidden), dh.dtype)
    for start, _, n in reversed(packing.steps()):
        a = start - batch
        at = slice(a, a + n)
        shared = (gates[at], c_before[at], tanh_c[at], dh[:n], dc[:n], dz[at])
        share(lstm_back, rows_of(n, hidden), (*shared, none if dy is None else dy[at]))
        np.matmul(dz[at], w, dh[:n])
        if fresh is not None:
            dh[:n], dc[:n] = cleared(dh[:n], fresh, a), cleared(dc[:n], fresh, a)
    return dz, None
