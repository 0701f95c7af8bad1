"""softmax and log_softmax by compiled loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from .loops import contiguous, refuse, share

__all__ = ["log_softmax", "softmax"]


@dataclass(frozen=True)
class Softmax:
    """An implementation for Primitive.add."""

    is_log: bool
    __name__ = __name__

    def refusal(self, x: Any, *, axis: int = -1) -> str | None:
        if not -x.ndim <= axis < x.ndim:
            return f"axis {axis}"
        return refuse(x)

    def forward(self, x: Any, *, axis: int = -1, need: tuple[bool, ...]) -> tuple[Any, Any]:
        from . import softmax_loops as loops

        x = contiguous(x)
        y = np.empty(x.shape, x.dtype)
        shape = _as_rows(x.shape, axis % x.ndim)
        loop = loops.rows if len(shape) == 2 else loops.across
        share(loop, x.size, (x.reshape(shape), y.reshape(shape)), self.is_log)
        return y, (y, shape) if need[0] else None

    def backward(self, residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any]:
        from . import softmax_loops as loops

        y, shape = residuals
        dx = np.empty(y.shape, y.dtype)
        loop = loops.rows_back if len(shape) == 2 else loops.across_back
        share(loop, y.size, [a.reshape(shape) for a in (y, contiguous(g), dx)], self.is_log)
        return (dx,)


softmax = Softmax(is_log=False)
log_softmax = Softmax(is_log=True)


def _as_rows(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """(N, C) if nothing lies between the elements of a row, else (N, C, L)."""
    outer, inner = prod(shape[:axis]), prod(shape[axis + 1 :])
    return (outer, shape[axis]) if inner == 1 else (outer, shape[axis], inner)
