"""gru for CuPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import recurrent
from .recurrent_kernels import GRU

__all__ = ["backward", "forward", "refusal", "way"]


def refusal(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None,
    *, reset_after: bool = True, reverse: bool = False,
) -> str | None:  # fmt: skip
    if not reset_after:
        return "reset_after=False"
    return recurrent.refuse_recurrent(3, x, (h0,), (w_ih, w_hh, b_ih, b_hh), lengths, reset)


def forward(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None,
    *, reset_after: bool = True, reverse: bool = False, need: tuple[bool, ...],
) -> tuple[Any, Any]:  # fmt: skip
    weights = (w_ih, w_hh, b_ih, b_hh)
    return recurrent.forward(GRU, x, (h0,), weights, lengths, reset, reverse=reverse, keep=True in need)


def way(x: Any, *rest: Any, **static: Any) -> str:
    """Which loop over time runs, and why."""
    return recurrent.way(GRU, x, w_hh=rest[2], reset=rest[6])


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, ...]:
    return recurrent.backward(GRU, residuals, g, need)
