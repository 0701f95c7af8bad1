"""batch_norm_eval for NumPy: a product and a sum in place, a block at a time; means far from zero are subtracted first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .batch_norm import as_channels, scaled, sums
from .dtypes import refuse_dtypes

__all__ = ["backward", "forward", "refusal"]


def refusal(x: Any, mean: Any, var: Any, weight: Any, bias: Any, *, eps: float = 1e-5) -> str | None:
    if x.ndim < 2 or not eps >= 0:
        return "arguments that do not fit"
    if any(a is not None and a.shape != x.shape[1:2] for a in (mean, var, weight, bias)):
        return "shapes of the parameters"
    return refuse_dtypes(x, mean, var, weight, bias)


def forward(
    x: Any, mean: Any, var: Any, weight: Any, bias: Any, *, eps: float = 1e-5, need: tuple[bool, ...]
) -> tuple[Any, Any]:
    inverse = 1 / np.sqrt(var + x.dtype.type(eps))
    scale = inverse if weight is None else inverse * weight
    y = scaled(as_channels(x), mean, scale, np.zeros_like(scale) if bias is None else bias, inverse)
    return y.reshape(x.shape), (x, mean, inverse, scale)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, ...]:
    x, mean, inverse, scale = residuals
    rows = as_channels(g)
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
