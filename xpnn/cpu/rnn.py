"""rnn for NumPy: one product for the inputs of all steps, then a loop over time in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .packing import pack
from .recurrent import add_biases, cleared, fresh_rows, gradients, initial, refuse_recurrent, sorted_or_zeros

__all__ = ["backward", "forward", "refusal"]


def refusal(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None,
    *, nonlinearity: str = "tanh", reverse: bool = False,
) -> str | None:  # fmt: skip
    if nonlinearity not in ("tanh", "relu"):
        return f"nonlinearity {nonlinearity}"
    return refuse_recurrent(1, x, (h0,), (w_ih, w_hh, b_ih, b_hh), lengths, reset)


def forward(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None,
    *, nonlinearity: str = "tanh", reverse: bool = False, need: tuple[bool, ...],
) -> tuple[Any, Any]:  # fmt: skip
    packing = pack(lengths, x.shape[0], x.shape[1], reverse)
    rows, fresh = packing.pack(x), fresh_rows(packing, reset)
    h = initial(packing, h0, w_hh.shape[1], x.dtype)
    inputs = h[packing.batch :]
    np.matmul(rows, w_ih.T, inputs)
    add_biases(inputs, b_ih, b_hh)
    product = np.empty((packing.batch, w_hh.shape[1]), x.dtype)
    for start, before, n in packing.steps():
        z = h[start : start + n]
        np.add(z, np.matmul(cleared(h[before : before + n], fresh, start - packing.batch), w_hh.T, product[:n]), z)
        if nonlinearity == "tanh":
            np.tanh(z, z)
        else:
            np.maximum(z, 0, out=z)
    out = (packing.unpack(inputs), packing.last(h))
    return out, (packing, rows, fresh, h, w_ih, w_hh, nonlinearity) if True in need else None


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, ...]:
    packing, rows, fresh, h, w_ih, w_hh, nonlinearity = residuals
    batch = packing.batch
    dy = None if g[0] is None else packing.pack(g[0])
    dh = sorted_or_zeros(packing, g[1], h.shape[1], h.dtype)
    y = h[batch:]
    dz = 1 - y * y if nonlinearity == "tanh" else (y > 0).astype(h.dtype)
    for start, _, n in reversed(packing.steps()):
        a = start - batch
        d, dhn = dz[a : a + n], dh[:n]
        if dy is not None:
            np.add(dhn, dy[a : a + n], dhn)
        np.multiply(d, dhn, d)
        np.matmul(d, w_hh, dhn)
        dhn[...] = cleared(dhn, fresh, a)
    before = cleared(packing.before(h), fresh, 0)
    dx, *dweights = gradients(packing, dz, dz, rows, before, w_ih, (need[0], *need[2:6]))
    return dx, packing.restore(dh) if need[1] else None, *dweights, None, None
