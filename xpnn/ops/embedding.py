"""embedding: rows of a table, picked by integers."""

from __future__ import annotations

from typing import Any

from ..cuda import embedding as cuda
from ..gradients import stop_gradient
from ..namespace import namespace
from ..namespace.array import unbox
from ..namespace.libraries import library_name
from ..primitive import Primitive

__all__ = ["embedding"]


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


def _check_indices(indices: Any, count: int) -> None:
    """Only where looking at a value costs no synchronisation."""
    if library_name(indices) == "numpy" and indices.size and not 0 <= indices.min() <= indices.max() < count:
        raise ValueError(f"indices: expected integers in 0..{count - 1}, got {indices.min()} to {indices.max()}")
