"""log_softmax for CuPy: the kernels of softmax, which write the logarithm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .softmax import backward_into, forward_into, refusal

__all__ = ["backward", "forward", "refusal"]


def forward(x: Any, *, axis: int = -1, need: tuple[bool, ...]) -> tuple[Any, Any]:
    y = forward_into(x, axis, log=True)
    return y, (y, axis) if need[0] else None


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any]:
    y, axis = residuals
    return (backward_into(y, axis, g, log=True),)
