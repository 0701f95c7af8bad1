"""lstm: long short-term memory, one layer in one direction."""

from __future__ import annotations

from typing import Any

from ..compiled import lstm as compiled
from ..cpu import lstm as cpu
from ..cuda import lstm as cuda
from ..namespace import namespace
from ..primitive import Primitive
from ._sequences import check_recurrent, input_products, run
from .sigmoid import reference as sigmoid

__all__ = ["lstm"]


def reference(
    x: Any,
    h0: Any,
    c0: Any,
    w_ih: Any,
    w_hh: Any,
    b_ih: Any = None,
    b_hh: Any = None,
    lengths: Any = None,
    reset: Any = None,
    w_hr: Any = None,
    *,
    reverse: bool = False,
) -> tuple[Any, Any, Any]:
    """c = sigmoid(f) c + sigmoid(i) tanh(g), h = sigmoid(o) tanh(c), (i, f, g, o) = W_ih x + b_ih + W_hh h + b_hh.

    x (T, N, I), h0 and c0 (N, H) or None for zeros, w_ih (4 H, I), w_hh (4 H, H), b_ih and b_hh (4 H,) or None
    -> y (T, N, H), h_n and c_n (N, H). The order of the gates is torch's (Hochreiter and Schmidhuber 1997; Gers 2000).
    lengths: integers (N,), in any order: row n ends after lengths[n] steps. Beyond that y is 0; h_n and c_n are the states
    at its end, the initial ones for length 0. reverse: each row is read from its own end to its start.
    reset: booleans (T, N): where true, the state before that step is 0, in the order in which the steps are made; h0 and c0
    do not count. w_hr (P, H): a projection, h = w_hr (sigmoid(o) tanh(c)); then w_hh is (4 H, P), and y, h0 and h_n have P
    features (Sak et al. 2014).
    """
    check_recurrent(4, x, {"h0": h0, "c0": c0}, {"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh, "w_hr": w_hr})
    xp = namespace(x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr)
    hidden = w_hh.shape[0] // 4
    w = xp.matrix_transpose(w_hh)
    project = None if w_hr is None else xp.matrix_transpose(w_hr)

    def step(z: Any, h: Any, c: Any) -> tuple[Any, Any]:
        i, f, g, o = xp.unstack(xp.reshape(z + xp.matmul(h, w), (*h.shape[:1], 4, hidden)), axis=1)
        c = sigmoid(f) * c + sigmoid(i) * xp.tanh(g)
        h = sigmoid(o) * xp.tanh(c)
        return h if project is None else xp.matmul(h, project), c

    products, widths = input_products(xp, x, w_ih, b_ih, b_hh), (w_hh.shape[1], hidden)
    y, h, c = run(xp, step, products, (h0, c0), widths, lengths, reset, reverse)
    return y, h, c


lstm = Primitive(reference, name="lstm")
lstm.add("numpy", compiled)
lstm.add("numpy", cpu)
lstm.add("cupy", cuda)
