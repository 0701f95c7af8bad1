"""lstm for CuPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import recurrent, recurrent_projected
from .dtypes import dtype_name
from .recurrent_kernels import LSTM

__all__ = ["backward", "forward", "refusal", "way"]


def refusal(
    x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None, w_hr: Any = None,
    *, reverse: bool = False,
) -> str | None:  # fmt: skip
    if w_hr is not None and dtype_name(x.dtype) == "bfloat16":
        return "a projection in bfloat16"
    return recurrent.refuse_recurrent(4, x, (h0, c0), (w_ih, w_hh, b_ih, b_hh), lengths, reset, w_hr)


def forward(
    x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None, w_hr: Any = None,
    *, reverse: bool = False, need: tuple[bool, ...],
) -> tuple[Any, Any]:  # fmt: skip
    weights = (w_ih, w_hh, b_ih, b_hh)
    states, options = (h0, c0), {"reverse": reverse, "keep": True in need}
    if w_hr is not None:
        return recurrent_projected.forward(x, states, weights, w_hr, lengths, reset, **options)
    return recurrent.forward(LSTM, x, states, weights, lengths, reset, **options)


def way(
    x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, lengths: Any, reset: Any = None, w_hr: Any = None,
    *, reverse: bool = False,
) -> str:  # fmt: skip
    """Which loop over time runs, and why."""
    if w_hr is not None:
        return "steps: a projection"
    return recurrent.way(LSTM, x, w_hh, reset)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, ...]:
    if isinstance(residuals, recurrent.Residuals):
        return *recurrent.backward(LSTM, residuals, g, need), None
    return recurrent_projected.backward(residuals, g, need)
