"""sigmoid for NumPy: in one buffer, without np.where, which takes longer than all the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .dtypes import refuse_dtypes
from .pointwise import sigmoid_into

__all__ = ["backward", "forward", "refusal"]


def refusal(x: Any) -> str | None:
    return refuse_dtypes(x)


def forward(x: Any, *, need: tuple[bool, ...]) -> tuple[Any, Any]:
    y = np.empty(x.shape, x.dtype)
    sigmoid_into(x, y)
    return y, y if need[0] else None


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any]:
    dx = 1 - residuals
    dx *= residuals
    dx *= g
    return (dx,)
