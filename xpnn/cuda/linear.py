"""linear for CuPy: the product by cuBLAS, bias and activation in place behind it, their gradients in one pass before it.

For float32 in a precision below "highest" the products are those of linear_tf32.py, bias and activation with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ..namespace.libraries import raw_namespace
from . import bias_activation
from .arrays import contiguous
from .dtypes import refuse_dtypes
from .linear_tf32 import products

__all__ = ["backward", "forward", "refusal"]

_MOST_COLUMNS = 2**30  # the kernel counts columns in int


def refusal(x: Any, weight: Any, bias: Any, *, activation: str | None = None) -> str | None:
    if x.ndim == 0 or weight.ndim != 2 or x.shape[-1] != weight.shape[1]:
        return "shapes"
    if bias is not None and bias.shape != weight.shape[:1]:
        return "shape of bias"
    if weight.shape[0] > _MOST_COLUMNS:
        return f"{weight.shape[0]} outputs"
    if activation not in bias_activation.ACTIVATIONS:
        return f"activation {activation}"
    return refuse_dtypes(x, weight, bias)


def forward(
    x: Any, weight: Any, bias: Any, *, activation: str | None = None, need: tuple[bool, ...]
) -> tuple[Any, Any]:
    rows, bias = _rows(x), None if bias is None else contiguous(bias)
    short = products(rows, weight, activation)
    if short is not None:
        y = short.forward(rows, weight, bias, activation)
    else:
        y = contiguous(raw_namespace(x).matmul(rows, weight.T))
        if bias is not None or activation is not None:
            bias_activation.forward_into(y, y, bias, activation)
    out = y.reshape(*x.shape[:-1], weight.shape[0])
    if True not in need:
        return out, None
    return out, (x, weight, y if activation is not None else None, activation, short)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, Any, Any]:
    x, weight, y, activation, short = residuals
    dz, db = _rows(g), None
    if activation is not None or need[2]:
        wanted = activation is not None and (need[0] or need[1])
        own, db = bias_activation.backward(contiguous(dz), y, activation, dx=wanted, db=need[2])
        dz = own if wanted else dz
    if short is not None:
        dx, dw = short.gradients(dz, _rows(x), weight, dx=need[0], dw=need[1])
    else:
        xp = raw_namespace(x)
        dx = xp.matmul(dz, weight) if need[0] else None
        dw = xp.matmul(dz.T, _rows(x)) if need[1] else None
    return None if dx is None else dx.reshape(x.shape), dw, db


def _rows(x: Any) -> Any:
    """x (..., I) as a matrix with a row for each of its vectors."""
    return x if x.ndim == 2 else x.reshape(prod(x.shape[:-1]), x.shape[-1])
