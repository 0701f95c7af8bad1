"""group_norm for NumPy: the groups of a sample are rows, taken a block of samples at a time."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from . import row_norm
from .activated import ACTIVATIONS, activate, pulled
from .dtypes import refuse_dtypes

__all__ = ["backward", "forward", "refusal"]


def refusal(
    x: Any, weight: Any, bias: Any, *, num_groups: int, eps: float = 1e-5, activation: str | None = None
) -> str | None:
    if x.ndim < 2 or not hasattr(num_groups, "__index__") or num_groups < 1 or x.shape[1] % num_groups or not eps >= 0:
        return "arguments that do not fit"
    if any(a is not None and a.shape != x.shape[1:2] for a in (weight, bias)):
        return "shapes of the parameters"
    if activation not in ACTIVATIONS:
        return f"activation {activation}"
    return refuse_dtypes(x, weight, bias)


def forward(
    x: Any, weight: Any, bias: Any, *, num_groups: int, eps: float = 1e-5, activation: str | None = None,
    need: tuple[bool, ...],
) -> tuple[Any, Any]:  # fmt: skip
    channels = x.shape[1] // num_groups
    rows = x.reshape(x.shape[0], num_groups, channels, prod(x.shape[2:]))
    w, b = (None if a is None else a.reshape(num_groups, channels, 1) for a in (weight, bias))
    y, kept = row_norm.forward(rows, w, b, eps, centre=True, keep=True in need)
    activate(y, activation)
    return y.reshape(x.shape), (kept, w, y if activation else None, x.shape, activation)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, Any, Any]:
    kept, w, y, shape, activation = residuals
    rows = pulled(g.reshape(kept[0].shape), y, activation)
    dx, dweight, dbias = row_norm.backward(kept, w, rows, centre=True, need=need)
    return (
        None if dx is None else dx.reshape(shape),
        None if dweight is None else dweight.reshape(-1),
        None if dbias is None else dbias.reshape(-1),
    )
