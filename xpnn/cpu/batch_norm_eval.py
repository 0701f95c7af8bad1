"""batch_norm_eval for NumPy: a product and a sum in place, a block at a time; means far from zero are subtracted first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .activated import ACTIVATIONS, activate, pulled
from .batch_norm import as_channels, scaled, sums
from .dtypes import refuse_dtypes

__all__ = ["backward", "forward", "refusal"]


def refusal(
    x: Any, mean: Any, var: Any, weight: Any, bias: Any, *, eps: float = 1e-5, activation: str | None = None
) -> str | None:
    if x.ndim < 2 or not eps >= 0:
        return "arguments that do not fit"
    if any(a is not None and a.shape != x.shape[1:2] for a in (mean, var, weight, bias)):
        return "shapes of the parameters"
    if activation not in ACTIVATIONS:
        return f"activation {activation}"
    return refuse_dtypes(x, mean, var, weight, bias)


def forward(
    x: Any, mean: Any, var: Any, weight: Any, bias: Any, *, eps: float = 1e-5, activation: str | None = None,
    need: tuple[bool, ...],
) -> tuple[Any, Any]:  # fmt: skip
    inverse = 1 / np.sqrt(var + x.dtype.type(eps))
    scale = inverse if weight is None else inverse * weight
    y = scaled(as_channels(x), mean, scale, np.zeros_like(scale) if bias is None else bias, inverse)
    activate(y, activation)
    return y.reshape(x.shape), (x, y if activation else None, mean, inverse, scale, activation)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, ...]:
    x, y, mean, inverse, scale, activation = residuals
    rows = pulled(as_channels(g), y, activation)
    dx = (rows * scale[:, None]).reshape(x.shape) if need[0] else None
    if True not in need[1:]:
        return dx, None, None, None, None
    total, along = sums(rows, as_channels(x), mean)
    return (
        dx,
        -scale * total if need[1] else None,
        along * scale * inverse * inverse / -2 if need[2] else None,
        along * inverse if need[3] else None,
        total if need[4] else None,
    )
