"""embedding: rows of a table, picked by integers."""

from __future__ import annotations

import math
from typing import Any

from ..cuda import embedding as cuda
from ..gradients import custom_vjp, stop_gradient
from ..namespace import namespace
from ..namespace.array import unbox
from ..namespace.libraries import library_name, raw_namespace
from ..primitive import Primitive

__all__ = ["embedding", "embedding_rows"]


def reference(indices: Any, weight: Any, *, padding_idx: int | None = None) -> Any:
    """y[...] = weight[indices[...]].

    indices (...) integers, weight (V, D) -> y (..., D). padding_idx: a row of the weight that gets no gradient.
    On NumPy an index outside of 0..V-1 is a ValueError; on a GPU, where that would have to be waited for, the kernel gives
    it a row of nan and no gradient.
    """
    xp = namespace(weight, indices)
    if weight.ndim != 2:
        raise ValueError(f"weight: expected shape (V, D), got {weight.shape}")
    if not xp.isdtype(indices.dtype, "integral"):
        raise TypeError(f"indices: expected integers, got dtype {indices.dtype}")
    count, width = weight.shape
    _check_indices(unbox(indices), count)
    y = xp.reshape(xp.take(weight, xp.reshape(indices, (-1,)), axis=0), (*indices.shape, width))
    if padding_idx is None:
        return y
    if not -count <= padding_idx < count:
        raise ValueError(f"padding_idx: expected one of the {count} rows, got {padding_idx}")
    return xp.where(xp.expand_dims(indices == padding_idx % count, axis=-1), stop_gradient(y), y)


embedding = Primitive(reference, name="embedding")
embedding.add("cupy", cuda)


def embedding_rows(
    indices: Any, weight: Any, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
) -> Any:  # fmt: skip
    """embedding with torch's options: indices (...), weight (V, D) -> y (..., D).

    max_norm: rows whose norm_type-norm is larger are scaled down to it. torch writes them into the weight, which here stays as
    it is; y and the gradient, which passes by the scaling, are torch's. scale_grad_by_freq: the gradient of a row is divided by
    how often its index is there: a mean instead of a sum.
    """
    y = embedding(indices, weight, padding_idx=padding_idx)
    if max_norm is not None:
        y = _passed(y, _renormalised(unbox(y), max_norm, norm_type), 1.0)
    return _passed(y, unbox(y), _shares(unbox(indices), unbox(y).dtype)) if scale_grad_by_freq else y


def _forward(y: Any, value: Any, share: Any) -> tuple[Any, Any]:
    """The value in the place of y, whose gradient is multiplied by ``share``."""
    return value, share


def _backward(share: Any, g: Any) -> tuple[Any, None, None]:
    return g * share, None, None


_passed = custom_vjp(_forward, _backward)


def _renormalised(y: Any, max_norm: float, norm_type: float) -> Any:
    """Rows, those longer than max_norm scaled down to it."""
    if not (max_norm >= 0 and norm_type > 0):
        raise ValueError(f"max_norm, norm_type: expected 0 or more, and more than 0, got {max_norm} and {norm_type}")
    xp = raw_namespace(y)
    if math.isinf(norm_type):
        norm = xp.max(xp.abs(y), axis=-1, keepdims=True)
    else:
        norm = xp.sum(xp.abs(y) ** norm_type, axis=-1, keepdims=True) ** (1 / norm_type)
    return xp.where(norm > max_norm, y * (max_norm / (norm + 1e-7)), y)


def _shares(indices: Any, dtype: Any) -> Any:
    """1 / how often each index is there: indices (...) -> (..., 1), found by sorting."""
    xp = raw_namespace(indices)
    flat = xp.reshape(indices, (-1,))
    order = xp.sort(flat)
    count = xp.searchsorted(order, flat, side="right") - xp.searchsorted(order, flat, side="left")
    return xp.reshape(1 / xp.astype(count, dtype), (*indices.shape, 1))


def _check_indices(indices: Any, count: int) -> None:
    """Only where looking at a value costs no synchronisation."""
    if library_name(indices) == "numpy" and indices.size and not 0 <= indices.min() <= indices.max() < count:
        raise ValueError(f"indices: expected integers in 0..{count - 1}, got {indices.min()} to {indices.max()}")
