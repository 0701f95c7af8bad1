"""The loops of lstm.py and gru.py: one step of a cell for some rows, and its gradients; imports Numba.

z (n, G H) are the inputs' parts of the gates and become their values, p (n, G H) the products with the state before; b (G H) the
biases. Where there is no gradient from the output, dy has no rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .float32 import compiled, sigmoid, tanh

__all__ = ["gru", "gru_back", "lstm", "lstm_back"]

_f = np.float32
_ONE = _f(1)


@compiled
def lstm(z: Any, p: Any, c: Any, new_c: Any, tanh_c: Any, h: Any, b: Any) -> None:
    """new_c = f c + i g, tanh_c = tanh(new_c), h = o tanh_c; c and new_c may be the same."""
    size = c.shape[1]
    for n in range(len(z)):
        zi, zf, zg, zo = z[n, :size], z[n, size : 2 * size], z[n, 2 * size : 3 * size], z[n, 3 * size :]
        pi, pf, pg, po = p[n, :size], p[n, size : 2 * size], p[n, 2 * size : 3 * size], p[n, 3 * size :]
        bi, bf, bg, bo = b[:size], b[size : 2 * size], b[2 * size : 3 * size], b[3 * size :]
        old, new, t, out = c[n], new_c[n], tanh_c[n], h[n]
        for j in range(size):
            i, f = sigmoid(zi[j] + pi[j] + bi[j]), sigmoid(zf[j] + pf[j] + bf[j])
            g = tanh(zg[j] + pg[j] + bg[j])
            zi[j], zf[j], zg[j] = i, f, g
            new[j] = f * old[j] + i * g
        for j in range(size):
            o = sigmoid(zo[j] + po[j] + bo[j])
            zo[j] = o
            t[j] = tanh(new[j])
            out[j] = o * t[j]


@compiled
def lstm_back(z: Any, c: Any, tanh_c: Any, dh: Any, dc: Any, dz: Any, dy: Any) -> None:
    """dz of the gates' inputs; dc, of c after the step, becomes that of c before it. z: the gates' values."""
    size = c.shape[1]
    for n in range(len(z)):
        zi, zf, zg, zo = z[n, :size], z[n, size : 2 * size], z[n, 2 * size : 3 * size], z[n, 3 * size :]
        di, df, dg, do = dz[n, :size], dz[n, size : 2 * size], dz[n, 2 * size : 3 * size], dz[n, 3 * size :]
        old, t, own, state = c[n], tanh_c[n], dh[n], dc[n]
        if len(dy):
            out = dy[n]
            for j in range(size):
                own[j] += out[j]
        for j in range(size):
            d = state[j] + own[j] * zo[j] * (_ONE - t[j] * t[j])
            do[j] = own[j] * t[j] * zo[j] * (_ONE - zo[j])
            di[j] = d * zg[j] * zi[j] * (_ONE - zi[j])
            df[j] = d * old[j] * zf[j] * (_ONE - zf[j])
            dg[j] = d * zi[j] * (_ONE - zg[j] * zg[j])
            state[j] = d * zf[j]


@compiled
def gru(z: Any, p: Any, h: Any, new_h: Any, kept: Any, b: Any, b_n: Any) -> None:
    """r, z, n and new_h = n + z (h - n), n = tanh(z_n + r (p_n + b_n)); kept = p_n + b_n."""
    size = h.shape[1]
    for n in range(len(z)):
        zr, zz, zn = z[n, :size], z[n, size : 2 * size], z[n, 2 * size :]
        pr, pz, pn = p[n, :size], p[n, size : 2 * size], p[n, 2 * size :]
        br, bz, bn = b[:size], b[size : 2 * size], b[2 * size :]
        old, new, part = h[n], new_h[n], kept[n]
        for j in range(size):
            r, u = sigmoid(zr[j] + pr[j] + br[j]), sigmoid(zz[j] + pz[j] + bz[j])
            part[j] = pn[j] + b_n[j]
            v = tanh(zn[j] + bn[j] + r * part[j])
            zr[j], zz[j], zn[j] = r, u, v
            new[j] = v + u * (old[j] - v)


@compiled
def gru_back(z: Any, kept: Any, h: Any, dh: Any, dz: Any, dy: Any) -> None:
    """dz (n, 4 H): n, r, z of the gates' inputs, and what reaches kept; dh, of the state after, becomes its part through z."""
    size = h.shape[1]
    for n in range(len(z)):
        zr, zz, zn = z[n, :size], z[n, size : 2 * size], z[n, 2 * size :]
        dn, dr, du, dk = dz[n, :size], dz[n, size : 2 * size], dz[n, 2 * size : 3 * size], dz[n, 3 * size :]
        old, part, own = h[n], kept[n], dh[n]
        if len(dy):
            out = dy[n]
            for j in range(size):
                own[j] += out[j]
        for j in range(size):
            d = own[j] * (_ONE - zz[j]) * (_ONE - zn[j] * zn[j])
            dn[j] = d
            dr[j] = d * part[j] * zr[j] * (_ONE - zr[j])
            du[j] = own[j] * (old[j] - zn[j]) * zz[j] * (_ONE - zz[j])
            dk[j] = d * zr[j]
            own[j] *= zz[j]
