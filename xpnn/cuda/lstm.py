"""lstm for CuPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import recurrent
from .recurrent_kernels import LSTM

__all__ = ["backward", "forward", "refusal", "way"]


def refusal(
    x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None, w_hr: Any = None,
    *, reverse: bool = False,
) -> str | None:  # fmt: skip
    if w_hr is not None:
        return "a projection"
    return recurrent.refuse_recurrent(4, x, (h0, c0), (w_ih, w_hh, b_ih, b_hh), lengths, reset)


def forward(
    x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None, w_hr: Any = None,
    *, reverse: bool = False, need: tuple[bool, ...],
) -> tuple[Any, Any]:  # fmt: skip
    weights = (w_ih, w_hh, b_ih, b_hh)
    return recurrent.forward(LSTM, x, (h0, c0), weights, lengths, reset, reverse=reverse, keep=True in need)


def way(x: Any, *rest: Any, **static: Any) -> str:
    """Which loop over time runs, and why."""
    return recurrent.way(LSTM, x, w_hh=rest[3], reset=rest[7])


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, ...]:
    return *recurrent.backward(LSTM, residuals, g, need), None
