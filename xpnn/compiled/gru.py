"""gru by compiled loops: a product and a pass a step; everything else is as in cpu/gru.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..cpu import gru as plain
from ..cpu.packing import pack
from ..cpu.recurrent import cleared, fresh_rows, initial
from .loops import refuse, share
from .recurrent import bias_sum, rows_of

__all__ = ["backward", "forward", "refusal"]


def refusal(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None,
    *, reset_after: bool = True, reverse: bool = False,
) -> str | None:  # fmt: skip
    if not reset_after:
        return "reset_after=False"
    why = refuse(x, fewest=0) or refuse(w_hh)  # the cheap questions first: small cells are asked at each call
    return why or plain.refusal(x, h0, w_ih, w_hh, b_ih, b_hh, lengths, reset, reverse=reverse)


def forward(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None,
    *, reset_after: bool = True, reverse: bool = False, need: tuple[bool, ...],
) -> tuple[Any, Any]:  # fmt: skip
    from .recurrent_loops import gru

    keep = True in need
    packing = pack(lengths, x.shape[0], x.shape[1], reverse)
    batch, hidden, fresh = packing.batch, w_hh.shape[1], fresh_rows(packing, reset)
    rows = packing.pack(x)
    gates, w = np.matmul(rows, w_ih.T), w_hh.T
    from_h = bias_sum(3 * hidden, b_hh)
    bias, b_n = bias_sum(3 * hidden, b_ih), from_h[2 * hidden :]
    bias[: 2 * hidden] += from_h[: 2 * hidden]
    h = initial(packing, h0, hidden, x.dtype)
    kept = np.empty((packing.rows if keep else batch, hidden), x.dtype)
    product = np.empty((batch, 3 * hidden), x.dtype)
    for start, before, n in packing.steps():
        a = start - batch
        at = a if keep else 0
        before_h = cleared(h[before : before + n], fresh, a)
        np.matmul(before_h, w, product[:n])
        shared = (gates[a : a + n], product[:n], before_h, h[start : start + n], kept[at : at + n])
        share(gru, rows_of(n, hidden), shared, bias, b_n)
    out = (packing.unpack(h[batch:]), packing.last(h))
    return out, (packing, rows, fresh, gates, kept, h, w_ih, w_hh) if keep else None


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, ...]:
    return plain.backward(residuals, g, need, sweep=_sweep)


def _sweep(packing: Any, gates: Any, kept: Any, before: Any, dy: Any, dh: Any, w: Any, fresh: Any) -> Any:
    """The gradients (n, r, z, n') of the gates' inputs (M, 4 H); dh becomes that of the initial states."""
    from .recurrent_loops import gru_back

    hidden, batch = dh.shape[1], packing.batch
    dz = np.empty((len(gates), 4 * hidden), dh.dtype)
    product, none = np.empty_like(dh), np.empty((0, hidden), dh.dtype)
    for start, _, n in reversed(packing.steps()):
        a = start - batch
        at = slice(a, a + n)
        shared = (gates[at], kept[at], before[at], dh[:n], dz[at])
        share(gru_back, rows_of(n, hidden), (*shared, none if dy is None else dy[at]))
        np.add(dh[:n], np.matmul(dz[at, hidden:], w, product[:n]), dh[:n])
        if fresh is not None:
            dh[:n] = cleared(dh[:n], fresh, a)
    return dz
