"""rnn for CuPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import recurrent
from .recurrent_kernels import RNN

__all__ = ["backward", "forward", "refusal", "way"]


def refusal(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None,
    *, nonlinearity: str = "tanh", reverse: bool = False,
) -> str | None:  # fmt: skip
    if nonlinearity not in ("tanh", "relu"):
        return f"nonlinearity {nonlinearity}"
    return recurrent.refuse_recurrent(1, x, (h0,), (w_ih, w_hh, b_ih, b_hh), lengths, reset)


def forward(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None,
    *, nonlinearity: str = "tanh", reverse: bool = False, need: tuple[bool, ...],
) -> tuple[Any, Any]:  # fmt: skip
    weights, relu = (w_ih, w_hh, b_ih, b_hh), nonlinearity == "relu"
    return recurrent.forward(RNN, x, (h0,), weights, lengths, reset, reverse=reverse, keep=True in need, relu=relu)


def way(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None,
    *, nonlinearity: str = "tanh", reverse: bool = False,
) -> str:  # fmt: skip
    """Which loop over time runs, and why."""
    return recurrent.way(RNN, x, w_hh, reset)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, ...]:
    return recurrent.backward(RNN, residuals, g, need)
