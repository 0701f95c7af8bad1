"""rms_norm for CuPy: one launch over the rows forward, one or two backward; see row_norm.cu."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from . import row_norm
from .arrays import contiguous
from .dtypes import refuse_dtypes

__all__ = ["backward", "forward", "refusal"]

_EPS = 2.0**-23  # the spacing at 1 of float32, in which all dtypes are computed


def refusal(x: Any, weight: Any, *, normalized_shape: tuple[int, ...], eps: float | None = None) -> str | None:
    shape = tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape or not (eps is None or eps >= 0):
        return "arguments that do not fit"
    if weight is not None and weight.shape != shape:
        return "shape of weight"
    if prod(shape) > row_norm.MOST_COLUMNS:
        return f"rows of {prod(shape)} elements"
    return refuse_dtypes(x, weight)


def forward(
    x: Any, weight: Any, *, normalized_shape: tuple[int, ...], eps: float | None = None, need: tuple[bool, ...]
) -> tuple[Any, Any]:
    x, weight = contiguous(x), None if weight is None else contiguous(weight)
    eps, columns = _EPS if eps is None else eps, prod(normalized_shape)
    y, statistics = row_norm.forward(x, weight, None, columns, eps, centre=False, keep=True in need)
    return y, (x, weight, statistics, tuple(normalized_shape))


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, Any]:
    x, weight, statistics, shape = residuals
    dx, dweight, _ = row_norm.backward(
        contiguous(g), None, x, weight, statistics, prod(shape), dx=need[0], dweight=need[1], dbias=False
    )
    return dx, None if dweight is None else dweight.reshape(shape)
