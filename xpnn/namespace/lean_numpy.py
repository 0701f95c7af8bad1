"""The cheapest NumPy call for each function of the standard that the tape uses all the time.

NumPy's Python wrappers cost as much as the tape itself: np.sum 2.9 µs against 1.3 for np.add.reduce, np.expand_dims 3.3
against 0.2 for indexing. These forms are for NumPy arrays and scalars only, and give the same results.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import array_api_compat.numpy
import numpy as np

__all__ = ["NUMPY", "is_kind"]

compat: Any = array_api_compat.numpy
_sum: Any = np.add.reduce
_max: Any = np.maximum.reduce
_min: Any = np.minimum.reduce


def _mean(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    # a float16 sum overflows at 65504: NumPy's mean accumulates in float32
    if x.dtype.kind not in "fc" or x.dtype.itemsize < 4 or not x.size or not x.ndim:
        return compat.mean(x, axis=axis, keepdims=keepdims)
    total = _sum(x, axis=axis, keepdims=keepdims)
    return total / (x.size // max(total.size, 1))


def _expand_dims(x: Any, /, axis: Any = 0) -> Any:
    if type(axis) is not int or type(x) is not np.ndarray or not -x.ndim - 1 <= axis <= x.ndim:
        return compat.expand_dims(x, axis=axis)
    return x[(slice(None),) * (axis % (x.ndim + 1)) + (None,)]


def _reshape(x: Any, /, shape: Any, *, copy: bool | None = None) -> Any:
    return x.reshape(shape) if copy is None else compat.reshape(x, shape, copy=copy)


def _broadcast_to(x: Any, /, shape: Any) -> Any:
    """Filled, not a view of stride 0: what reads it afterwards is faster than np.broadcast_to's bookkeeping."""
    if getattr(x, "shape", None) == shape:
        return x
    out = np.empty(shape, x.dtype)
    out[...] = x
    return out


def _zeros_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    return np.zeros(x.shape, x.dtype if dtype is None else dtype)


def _ones_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    return np.ones(x.shape, x.dtype if dtype is None else dtype)


def _astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    return x.astype(dtype, copy=copy) if type(x) is np.ndarray else x.astype(dtype)


def _plain_sum(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    return _sum(x, axis, dtype, None, keepdims)


def _plain_max(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    return _max(x, axis=axis, keepdims=keepdims)


def _plain_min(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    return _min(x, axis=axis, keepdims=keepdims)


def _permute_dims(x: Any, /, axes: Any) -> Any:
    return x.transpose(axes)


def _matrix_transpose(x: Any, /) -> Any:
    return x.mT if x.ndim > 1 else compat.matrix_transpose(x)


def _take(x: Any, indices: Any, /, *, axis: int | None = None) -> Any:
    return x.take(indices, axis)


def _unstack(x: Any, /, *, axis: int = 0) -> Any:
    if axis == 0 and x.ndim:
        return tuple(x)
    if not -x.ndim <= axis < x.ndim:
        return compat.unstack(x, axis=axis)
    axis %= x.ndim
    return tuple(x.transpose((axis, *range(axis), *range(axis + 1, x.ndim))))


def _stack(arrays: Any, /, *, axis: int = 0) -> Any:
    if len({x.shape for x in arrays}) != 1 or not -arrays[0].ndim - 1 <= axis <= arrays[0].ndim:
        return compat.stack(arrays, axis=axis)
    key = (slice(None),) * (axis % (arrays[0].ndim + 1)) + (None,)
    return np.concatenate([x[key] for x in arrays], axis)


def _clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    for bound in (min, max):
        if bound is not None and type(bound) not in (float, int) and getattr(bound, "dtype", None) != x.dtype:
            return compat.clip(x, min, max)
    if x.dtype.kind != "f":
        return compat.clip(x, min, max)
    low = x if min is None else np.maximum(x, min)
    return (low if min is not None else x.copy()) if max is None else np.minimum(low, max)


def _argmax(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    return x.argmax(axis, keepdims=keepdims)


def _argmin(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    return x.argmin(axis, keepdims=keepdims)


_kinds: dict[Any, bool] = {}


def _isdtype(dtype: Any, kind: Any) -> bool:
    try:
        return _kinds[dtype, kind]
    except KeyError:
        return _kinds.setdefault((dtype, kind), is_kind(dtype, kind))


def is_kind(dtype: Any, kind: Any) -> bool:
    """isdtype, to which bfloat16 is a real number, though NumPy, and CuPy with it, does not know it."""
    if str(dtype) != "bfloat16":
        return bool(compat.isdtype(dtype, kind))
    return not {"real floating", "numeric"}.isdisjoint(kind if isinstance(kind, tuple) else (kind,))


NUMPY = SimpleNamespace(
    **{name: getattr(compat, name) for name in dir(compat) if not name.startswith("_")},
)
NUMPY.__dict__.update(
    sum=_plain_sum, max=_plain_max, min=_plain_min, mean=_mean, expand_dims=_expand_dims, reshape=_reshape,
    broadcast_to=_broadcast_to, zeros_like=_zeros_like, ones_like=_ones_like, astype=_astype,
    permute_dims=_permute_dims, matrix_transpose=_matrix_transpose, take=_take, unstack=_unstack, stack=_stack,
    clip=_clip, sign=np.sign, matmul=np.matmul, argmax=_argmax, argmin=_argmin, isdtype=_isdtype,
)  # fmt: skip
