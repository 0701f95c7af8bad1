"""gru: gated recurrent unit, one layer in one direction."""

from __future__ import annotations

from typing import Any

from ..compiled import gru as compiled
from ..cpu import gru as cpu
from ..cuda import gru as cuda
from ..namespace import namespace
from ..primitive import Primitive
from ._sequences import check_recurrent, input_products, run
from .sigmoid import reference as sigmoid

__all__ = ["gru"]


def reference(
    x: Any,
    h0: Any,
    w_ih: Any,
    w_hh: Any,
    b_ih: Any = None,
    b_hh: Any = None,
    lengths: Any = None,
    reset: Any = None,
    *,
    reset_after: bool = True,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """h = (1 - z) n + z h, with r = sigmoid(x_r + h_r), z = sigmoid(x_z + h_z) and n = tanh(x_n + r h_n).

    (x_r, x_z, x_n) = W_ih x + b_ih and (h_r, h_z, h_n) = W_hh h + b_hh.
    x (T, N, I), h0 (N, H) or None for zeros, w_ih (3 H, I), w_hh (3 H, H), b_ih and b_hh (3 H,) or None
    -> y (T, N, H), h_n (N, H). Gates r, z, n, the reset gate applied after the product, as in torch and cuDNN (Cho et al.
    2014, version 1); reset_after=False: before it, n = tanh(x_n + W_hn (r h) + b_hn), as in version 3 and older Keras.
    lengths, reset, reverse: as for lstm.
    """
    check_recurrent(3, x, {"h0": h0}, {"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh})
    xp = namespace(x, h0, w_ih, w_hh, b_ih, b_hh)
    hidden = w_hh.shape[1]
    w = xp.matrix_transpose(w_hh)

    def step_before(from_x: Any, h: Any) -> tuple[Any]:
        x_rz, x_n = from_x[:, : 2 * hidden], from_x[:, 2 * hidden :]
        rz = sigmoid(x_rz + xp.matmul(h, w[:, : 2 * hidden]))
        n = xp.tanh(x_n + xp.matmul(rz[:, :hidden] * h, w[:, 2 * hidden :]))
        return (n + rz[:, hidden:] * (h - n),)

    def step(from_x: Any, h: Any) -> tuple[Any]:
        from_h = xp.matmul(h, w) if b_hh is None else xp.matmul(h, w) + b_hh
        x_r, x_z, x_n = xp.unstack(xp.reshape(from_x, (*h.shape[:1], 3, hidden)), axis=1)
        h_r, h_z, h_n = xp.unstack(xp.reshape(from_h, (*h.shape[:1], 3, hidden)), axis=1)
        z = sigmoid(x_z + h_z)
        n = xp.tanh(x_n + sigmoid(x_r + h_r) * h_n)
        return (n + z * (h - n),)

    products = input_products(xp, x, w_ih, b_ih, None if reset_after else b_hh)
    y, h = run(xp, step if reset_after else step_before, products, (h0,), w_hh.shape[1:], lengths, reset, reverse)
    return y, h


gru = Primitive(reference, name="gru")
gru.add("numpy", compiled)
gru.add("numpy", cpu)
gru.add("cupy", cuda)
