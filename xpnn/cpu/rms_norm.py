"""rms_norm for NumPy: rows, a block at a time."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from . import row_norm
from .dtypes import refuse_dtypes

__all__ = ["backward", "forward", "refusal"]


def refusal(x: Any, weight: Any, *, normalized_shape: tuple[int, ...], eps: float | None = None) -> str | None:
    shape = tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape or not (eps is None or eps >= 0):
        return "arguments that do not fit"
    if weight is not None and weight.shape != shape:
        return "shape of weight"
    return refuse_dtypes(x, weight)


def forward(
    x: Any, weight: Any, *, normalized_shape: tuple[int, ...], eps: float | None = None, need: tuple[bool, ...]
) -> tuple[Any, Any]:
    size = prod(normalized_shape)
    rows = x.reshape(prod(x.shape[: x.ndim - len(normalized_shape)]), 1, size, 1)
    w = None if weight is None else weight.reshape(1, size, 1)
    least = float(np.finfo(x.dtype).eps) if eps is None else eps
    y, kept = row_norm.forward(rows, w, None, least, centre=False, keep=True in need)
    return y.reshape(x.shape), (kept, w, x.shape, tuple(normalized_shape))


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, Any]:
    kept, w, shape, parameters = residuals
    rows = g.reshape(kept[0].shape)
    dx, dweight, _ = row_norm.backward(kept, w, rows, centre=False, need=(*need, False))
    return None if dx is None else dx.reshape(shape), None if dweight is None else dweight.reshape(parameters)
