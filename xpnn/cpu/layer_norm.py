"""layer_norm for NumPy: rows, a block at a time."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from . import row_norm
from .dtypes import refuse_dtypes

__all__ = ["backward", "forward", "refusal"]


def refusal(x: Any, weight: Any, bias: Any, *, normalized_shape: tuple[int, ...], eps: float = 1e-5) -> str | None:
    shape = tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape or not eps >= 0:
        return "arguments that do not fit"
    if any(a is not None and a.shape != shape for a in (weight, bias)):
        return "shapes of the parameters"
    return refuse_dtypes(x, weight, bias)


def forward(
    x: Any, weight: Any, bias: Any, *, normalized_shape: tuple[int, ...], eps: float = 1e-5, need: tuple[bool, ...]
) -> tuple[Any, Any]:
    size = prod(normalized_shape)
    rows = x.reshape(prod(x.shape[: x.ndim - len(normalized_shape)]), 1, size, 1)
    w, b = (None if a is None else a.reshape(1, size, 1) for a in (weight, bias))
    y, kept = row_norm.forward(rows, w, b, eps, centre=True, keep=True in need)
    return y.reshape(x.shape), (kept, w, x.shape, tuple(normalized_shape))


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, Any, Any]:
    kept, w, shape, parameters = residuals
    rows = g.reshape(kept[0].shape)
    dx, dweight, dbias = row_norm.backward(kept, w, rows, centre=True, need=need)
    return (
        None if dx is None else dx.reshape(shape),
        None if dweight is None else dweight.reshape(parameters),
        None if dbias is None else dbias.reshape(parameters),
    )
