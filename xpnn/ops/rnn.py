"""rnn: the plain recurrent layer, one layer in one direction."""

from __future__ import annotations

from typing import Any

from ..cpu import rnn as cpu
from ..cuda import rnn as cuda
from ..namespace import namespace
from ..primitive import Primitive
from ._sequences import check_nonlinearity, check_recurrent, input_products, run
from .relu import reference as relu

__all__ = ["rnn"]


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
    nonlinearity: str = "tanh",
    reverse: bool = False,
) -> tuple[Any, Any]:
    """h = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu (Elman 1990).

    x (T, N, I), h0 (N, H) or None for zeros, w_ih (H, I), w_hh (H, H), b_ih and b_hh (H,) or None
    -> y (T, N, H), h_n (N, H). nonlinearity: "tanh" or "relu". lengths, reset, reverse: as for
    lstm.
    """
    check_nonlinearity(nonlinearity)
    check_recurrent(1, x, {"h0": h0}, {"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh})
    xp = namespace(x, h0, w_ih, w_hh, b_ih, b_hh)
    bend = xp.tanh if nonlinearity == "tanh" else relu
    w = xp.matrix_transpose(w_hh)

    def step(z: Any, h: Any) -> tuple[Any]:
        return (bend(z + xp.matmul(h, w)),)

    y, h = run(xp, step, input_products(xp, x, w_ih, b_ih, b_hh), (h0,), w_hh.shape[1:], lengths, reset, reverse)
    return y, h


rnn = Primitive(reference, name="rnn")
rnn.add("numpy", cpu)
rnn.add("cupy", cuda)
