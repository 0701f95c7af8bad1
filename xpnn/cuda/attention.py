"""attention for CuPy: two products by cuBLAS, and the kernels of softmax and dropout between them.

It holds the weights (..., T, S) of all queries for the backward.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

from ..cpu.attention import broadcasts
from ..namespace.libraries import raw_namespace
from ..random import Key
from . import dropout as dropout_kernel
from . import softmax
from .dtypes import dtype_name, refuse_dtypes
from .softmax_tiling import MOST_LENGTH

__all__ = ["backward", "forward", "refusal"]

# A score, in the range of the dtype, whose exponential is 0 beside that of any other.
HIDDEN = {"float32": -(2.0**100), "float16": -(2.0**15), "bfloat16": -(2.0**100)}


def refusal(
    q: Any, k: Any, v: Any, attn_mask: Any, *, is_causal: bool = False, dropout: float = 0.0,
    scale: Any = None, key: Any = None,
) -> str | None:  # fmt: skip
    if q is None or k is None or v is None:
        return "absent arrays"
    if scale is not None and not isinstance(scale, Real):
        return f"scale of {type(scale).__name__}"
    if q.ndim < 2 or q.ndim != k.ndim or q.shape[:-2] != k.shape[:-2] or q.shape[-1] != k.shape[-1]:
        return "shapes"
    if v.ndim != k.ndim or v.shape[:-1] != k.shape[:-1] or not 0 < k.shape[-2] <= MOST_LENGTH:
        return "shapes"
    if attn_mask is not None and not broadcasts(attn_mask.shape, (*q.shape[:-1], k.shape[-2])):
        return "shape of attn_mask"
    if not 0 <= dropout <= 1 or (dropout and not isinstance(key, Key)):
        return f"dropout {dropout} with a key of {type(key).__name__}"
    return refuse_dtypes(q, k, v, None if attn_mask is None or attn_mask.dtype == bool else attn_mask)


def forward(
    q: Any, k: Any, v: Any, attn_mask: Any, *, is_causal: bool = False, dropout: float = 0.0,
    scale: float | None = None, key: Any = None, need: tuple[bool, ...],
) -> tuple[Any, Any]:  # fmt: skip
    xp = raw_namespace(q)
    scale = 1 / math.sqrt(max(q.shape[-1], 1)) if scale is None else float(scale)
    scores = xp.matmul(_scaled(q.copy(), scale), k.swapaxes(-1, -2))
    allowed = _allowed(xp, scores, attn_mask, is_causal)
    if attn_mask is not None and attn_mask.dtype != bool:
        scores += attn_mask
    if allowed is None:
        p = softmax.forward_into(scores, -1, log=False)
    else:  # a row of -inf only would be nan
        hidden = xp.full((), HIDDEN[dtype_name(scores.dtype)], dtype=scores.dtype)
        p = softmax.forward_into(xp.where(allowed, scores, hidden), -1, log=False)
        p *= allowed
    kept = dropout_kernel.forward(p, p=dropout, key=key, need=(True,))[0] if dropout else p
    y = xp.matmul(kept, v)
    if True not in need:
        return y, None
    return y, (q, k, v, attn_mask, p, kept, scale, dropout, key)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, ...]:
    q, k, v, attn_mask, p, kept, scale, dropout, key = residuals
    xp = raw_namespace(g)
    dv = xp.matmul(kept.swapaxes(-1, -2), g) if need[2] else None
    if not (need[0] or need[1] or need[3]):
        return None, None, dv, None
    dp = xp.matmul(g, v.swapaxes(-1, -2))
    if dropout:
        (dp,) = dropout_kernel.backward((dropout, key), dp, (True,))
    ds = softmax.backward_into(p, -1, dp, log=False)
    dq = _scaled(xp.matmul(ds, k), scale) if need[0] else None
    dk = _scaled(xp.matmul(ds.swapaxes(-1, -2), q), scale) if need[1] else None
    return dq, dk, dv, _summed(xp, ds, attn_mask.shape) if need[3] else None


def _scaled(x: Any, scale: float) -> Any:
    """x times a number, in place: so that it keeps its dtype whatever that is."""
    x *= scale
    return x


def _allowed(xp: Any, scores: Any, attn_mask: Any, is_causal: bool) -> Any:
    """Which keys a query may look at, an array that broadcasts to the scores; None for all of them."""
    allowed = attn_mask
    if attn_mask is not None and attn_mask.dtype != bool:
        allowed = attn_mask != -math.inf
    if is_causal:
        before = xp.tril(xp.ones(scores.shape[-2:], dtype=bool))
        allowed = before if allowed is None else allowed & before
    return allowed


def _summed(xp: Any, x: Any, shape: tuple[int, ...]) -> Any:
    """x summed over the axes along which an array of a shape was broadcast, in that shape."""
    own = (1,) * (x.ndim - len(shape)) + tuple(shape)
    axes = tuple(i for i, (n, m) in enumerate(zip(x.shape, own, strict=True)) if n != m)
    return (xp.sum(x, axis=axes, keepdims=True) if axes else x).reshape(shape)
