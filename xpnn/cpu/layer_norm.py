"""layer_norm for NumPy: rows, a block at a time."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from . import row_norm
from .activated import ACTIVATIONS, activate, pulled
from .dtypes import refuse_dtypes

__all__ = ["backward", "forward", "refusal"]


def refusal(
    x: Any,
    weight: Any,
    bias: Any,
    *,
    normalized_shape: tuple[int, ...],
    eps: float = 1e-5,
    activation: str | None = None,
) -> str | None:
    shape = tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape or not eps >= 0:
        return "arguments that do not fit"
    if any(a is not None and a.shape != shape for a in (weight, bias)):
        return "shapes of the parameters"
    if activation not in ACTIVATIONS:
        return f"activation {activation}"
    return refuse_dtypes(x, weight, bias)


def forward(
    x: Any, weight: Any, bias: Any, *, normalized_shape: tuple[int, ...], eps: float = 1e-5, activation: str | None = None,
    need: tuple[bool, ...],
) -> tuple[Any, Any]:  # fmt: skip
    size = prod(normalized_shape)
    rows = x.reshape(prod(x.shape[: x.ndim - len(normalized_shape)]), 1, size, 1)
    w, b = (None if a is None else a.reshape(1, size, 1) for a in (weight, bias))
    y, kept = row_norm.forward(rows, w, b, eps, centre=True, keep=True in need)
    activate(y, activation)
    return y.reshape(x.shape), (kept, w, y if activation else None, x.shape, tuple(normalized_shape), activation)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, Any, Any]:
    kept, w, y, shape, parameters, activation = residuals
    rows = pulled(g.reshape(kept[0].shape), y, activation)
    dx, dweight, dbias = row_norm.backward(kept, w, rows, centre=True, need=need)
    return (
        None if dx is None else dx.reshape(shape),
        None if dweight is None else dweight.reshape(parameters),
        None if dbias is None else dbias.reshape(parameters),
    )
