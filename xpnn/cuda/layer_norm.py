"""layer_norm for CuPy: one launch over the rows forward, one or two backward; see row_norm.cu."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from . import row_norm
from .arrays import contiguous
from .dtypes import refuse_dtypes
from .norm import KINDS

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
    if activation not in KINDS:
        return f"activation {activation}"
    if prod(shape) > row_norm.MOST_COLUMNS:
        return f"rows of {prod(shape)} elements"
    return refuse_dtypes(x, weight, bias)


def forward(
    x: Any, weight: Any, bias: Any, *, normalized_shape: tuple[int, ...], eps: float = 1e-5, activation: str | None = None,
    need: tuple[bool, ...],
) -> tuple[Any, Any]:  # fmt: skip
    x, weight, bias = (None if a is None else contiguous(a) for a in (x, weight, bias))
    columns = prod(normalized_shape)
    y, statistics = row_norm.forward(x, weight, bias, columns, eps, activation=activation, keep=True in need)
    return y, (x, weight, y if activation else None, statistics, tuple(normalized_shape), activation)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, Any, Any]:
    x, weight, y, statistics, shape, activation = residuals
    dx, dweight, dbias = row_norm.backward(
        contiguous(g), y, x, weight, statistics, prod(shape), activation=activation, dx=need[0], dweight=need[1],
        dbias=need[2],
    )  # fmt: skip
    return dx, None if dweight is None else dweight.reshape(shape), None if dbias is None else dbias.reshape(shape)
