"""attention for CuPy: two products by cuBLAS, and the kernels of softmax and dropout between them.

It holds the weights (..., T, S) of all queries for the backward.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..cpu.attention import default_scale, hidden_score, refuse_arguments
from ..namespace.libraries import raw_namespace
from ..random import Key
from . import dropout as dropout_kernel
from . import softmax
from .dtypes import refuse_dtypes
from .softmax_tiling import MOST_LENGTH

__all__ = ["backward", "forward", "refusal"]


def refusal(
    q: Any, k: Any, v: Any, attn_mask: Any, *, is_causal: bool = False, dropout: float = 0.0,
    scale: Any = None, key: Any = None,
) -> str | None:  # fmt: skip
    why = refuse_arguments(q, k, v, attn_mask, scale)
    if why is not None:
        return why
    if k.shape[-2] > MOST_LENGTH:
        return "shapes"
    if not 0 <= dropout <= 1 or (dropout and not isinstance(key, Key)):
        return f"dropout {dropout} with a key of {type(key).__name__}"
    return refuse_dtypes(q, k, v, None if attn_mask is None or attn_mask.dtype == bool else attn_mask)


def forward(
    q: Any, k: Any, v: Any, attn_mask: Any, *, is_causal: bool = False, dropout: float = 0.0,
    scale: float | None = None, key: Any = None, need: tuple[bool, ...],
) -> tuple[Any, Any]:  # fmt: skip
    xp = raw_namespace(q)
    scale = default_scale(q) if scale is None else float(scale)
    scores = xp.matmul(_scaled(q.copy(), scale), k.swapaxes(-1, -2))
    allowed = _allowed(xp, scores, attn_mask, is_causal)
    if attn_mask is not None and attn_mask.dtype != bool:
        scores += attn_mask
    if allowed is None:
        p = softmax.forward_into(scores, -1, log=False)
    else:  # a row of -inf only would be nan
        hidden = xp.full((), hidden_score(scores.dtype), dtype=scores.dtype)
        shown = xp.where(allowed, scores, hidden).astype(scores.dtype, copy=False)  # CuPy's is float32 for bfloat16
        p = softmax.forward_into(shown, -1, log=False)
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
