"""linear for NumPy: one GEMM over all rows; bias and activation in place."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from .activated import ACTIVATIONS, activate, pulled
from .dtypes import refuse_dtypes

__all__ = ["backward", "forward", "refusal"]


def refusal(x: Any, weight: Any, bias: Any, *, activation: str | None = None) -> str | None:
    if x.ndim == 0 or weight.ndim != 2 or x.shape[-1] != weight.shape[1]:
        return "shapes"
    if bias is not None and bias.shape != weight.shape[:1]:
        return "shape of bias"
    if activation not in ACTIVATIONS:
        return f"activation {activation}"
    return refuse_dtypes(x, weight, bias)


def forward(
    x: Any, weight: Any, bias: Any, *, activation: str | None = None, need: tuple[bool, ...]
) -> tuple[Any, Any]:
    y = np.matmul(x if x.ndim == 2 else _rows(x), weight.T)
    if bias is not None:
        np.add(y, bias, y)
    activate(y, activation)
    out = y if x.ndim == 2 else y.reshape(*x.shape[:-1], weight.shape[0])
    if True not in need:
        return out, None
    return out, (x, weight, y if activation is not None else None, activation)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, Any, Any]:
    x, weight, y, activation = residuals
    dz = pulled(_rows(g), y, activation)
    dx = np.matmul(dz, weight).reshape(x.shape) if need[0] else None
    dw = np.matmul(dz.T, _rows(x)) if need[1] else None
    db = np.add.reduce(dz, axis=0) if need[2] else None
    return dx, dw, db


def _rows(x: Any) -> Any:
    """x (..., I) as a matrix with a row for each of its vectors."""
    return x if x.ndim == 2 else x.reshape(prod(x.shape[:-1]), x.shape[-1])
