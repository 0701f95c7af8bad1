"""The loops of gru for NumPy where the reset gate acts before the product with the state's weights: n = tanh(x_n + W_hn (r h))."""

from __future__ import annotations

from typing import Any

import numpy as np

from .recurrent import cleared

__all__ = ["loop", "sweep"]


def loop(packing: Any, gates: Any, h: Any, w: Any, fresh: Any) -> None:
    """Fills h, and turns gates from their inputs into their values; w (H, 3 H), its part of r and z halved as gates are."""
    hidden, batch = h.shape[1], packing.batch
    w_rz, w_n = np.ascontiguousarray(w[:, : 2 * hidden]), np.ascontiguousarray(w[:, 2 * hidden :])
    product, kept = np.empty((batch, 2 * hidden), h.dtype), np.empty((batch, hidden), h.dtype)
    for start, before, n in packing.steps():
        gate, new = gates[start - batch : start - batch + n], h[start : start + n]
        before_h = cleared(h[before : before + n], fresh, start - batch)
        rz, candidate = gate[:, : 2 * hidden], gate[:, 2 * hidden :]
        np.add(rz, np.matmul(before_h, w_rz, product[:n]), rz)
        np.tanh(rz, rz)
        np.multiply(rz, 0.5, rz)
        np.add(rz, 0.5, rz)
        np.multiply(rz[:, :hidden], before_h, kept[:n])
        np.add(candidate, np.matmul(kept[:n], w_n, new), candidate)
        np.tanh(candidate, candidate)
        np.subtract(before_h, candidate, new)
        np.multiply(rz[:, hidden:], new, new)
        np.add(candidate, new, new)


def sweep(
    packing: Any, gates: Any, before: Any, dy: Any, dh: Any, w: Any, fresh: Any, weights: bool
) -> tuple[Any, Any]:
    """The gradients r, z, n of the gates' inputs (M, 3 H), and dw_hh (3 H, H) if wanted; dh becomes that of the initial states."""
    hidden, batch = dh.shape[1], packing.batch
    r, z, n_gate = (gates[:, k * hidden : (k + 1) * hidden] for k in range(3))
    slope_n, slope_z, slope_r = (1 - z) * (1 - n_gate * n_gate), (before - n_gate) * z * (1 - z), before * r * (1 - r)
    w_rz, w_n = w[: 2 * hidden], w[2 * hidden :]
    dz = np.empty_like(gates)
    for start, _, n in reversed(packing.steps()):
        a = start - batch
        rows, d, dhn = slice(a, a + n), dz[a : a + n], dh[:n]
        if dy is not None:
            np.add(dhn, dy[rows], dhn)
        np.multiply(dhn, slope_n[rows], d[:, 2 * hidden :])
        np.multiply(dhn, slope_z[rows], d[:, hidden : 2 * hidden])
        kept = np.matmul(d[:, 2 * hidden :], w_n)
        np.multiply(kept, slope_r[rows], d[:, :hidden])
        np.multiply(dhn, z[rows], dhn)
        np.add(dhn, np.multiply(kept, r[rows], kept), dhn)
        np.add(dhn, np.matmul(d[:, : 2 * hidden], w_rz), dhn)
        if fresh is not None:
            dhn[...] = cleared(dhn, fresh, a)
    if not weights:
        return dz, None
    of_rz, of_n = np.matmul(dz[:, : 2 * hidden].T, before), np.matmul(dz[:, 2 * hidden :].T, r * before)
    return dz, np.concatenate((of_rz, of_n))
