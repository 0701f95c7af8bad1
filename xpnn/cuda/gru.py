"""gru for CuPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import recurrent
from .recurrent_kernels import GRU, GRU_BEFORE

__all__ = ["backward", "forward", "refusal", "way"]


def refusal(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None,
    *, reset_after: bool = True, reverse: bool = False,
) -> str | None:  # fmt: skip
    return recurrent.refuse_recurrent(3, x, (h0,), (w_ih, w_hh, b_ih, b_hh), lengths, reset)


def forward(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None,
    *, reset_after: bool = True, reverse: bool = False, need: tuple[bool, ...],
) -> tuple[Any, Any]:  # fmt: skip
    weights, cell, keep = (w_ih, w_hh, b_ih, b_hh), GRU if reset_after else GRU_BEFORE, True in need
    out, residuals = recurrent.forward(cell, x, (h0,), weights, lengths, reset, reverse=reverse, keep=keep)
    return out, (cell, residuals) if keep else None


def way(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None,
    *, reset_after: bool = True, reverse: bool = False,
) -> str:  # fmt: skip
    """Which loop over time runs, and why."""
    return recurrent.way(GRU if reset_after else GRU_BEFORE, x, w_hh, reset)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, ...]:
    cell, kept = residuals
    return recurrent.backward(cell, kept, g, need)
