"""attention: each query's mean of values, weighted by how well it matches the keys."""

from __future__ import annotations

import math
from typing import Any

from ..compiled import attention as compiled
from ..cpu import attention as cpu
from ..cuda import attention as cuda
from ..namespace import namespace
from ..primitive import Primitive
from ..random import Key
from ._checks import check_array, check_floating, check_number, check_probability
from .dropout import masked
from .softmax import softmax

__all__ = ["attention", "attention_weights"]


def reference(
    q: Any, k: Any, v: Any, attn_mask: Any = None, *, is_causal: bool = False, dropout: float = 0.0,
    scale: float | None = None, key: Key | None = None,
) -> Any:  # fmt: skip
    """softmax(scale q @ k.T + mask) @ v (Vaswani et al. 2017).

    q (..., T, E), k (..., S, E), v (..., S, D), all of one floating-point dtype and with the same leading axes ->
    y (..., T, D). scale: 1/sqrt(E) unless given.
    attn_mask: broadcasts to (..., T, S). Boolean: True where a query may look at a key; floating point, of q's dtype: added
    to the scores, -inf hides a key. is_causal: query t sees the keys 0..t only, of those that the mask leaves.
    A query that sees no key gives zeros, and no gradient goes through it.
    dropout: the probability with which a weight is zeroed (and the others divided by 1 - dropout), drawn from ``key``.
    """
    weights = attention_weights(q, k, attn_mask, is_causal=is_causal, scale=scale)
    _check_values(q, k, v)
    _check_dropout(dropout, key)
    if dropout:
        weights = masked(weights, p=dropout, key=key)
    return namespace(weights, v).matmul(weights, v)


attention = Primitive(reference, name="attention")
attention.add("numpy", compiled)
attention.add("numpy", cpu)
attention.add("cupy", cuda)


def attention_weights(
    q: Any, k: Any, attn_mask: Any = None, *, is_causal: bool = False, scale: float | None = None
) -> Any:
    """The weights by which attention takes its mean: q (..., T, E), k (..., S, E) -> (..., T, S), rows that sum to 1 or 0."""
    _check(q, k, attn_mask)
    if scale is not None:
        check_number("scale", scale)
    xp = namespace(q, k, attn_mask)
    scores = xp.matmul(q * (cpu.default_scale(q) if scale is None else scale), xp.matrix_transpose(k))
    if not k.shape[-2]:
        return scores
    allowed = None
    if attn_mask is not None:
        if attn_mask.dtype == xp.bool:
            allowed = attn_mask
        else:
            allowed = attn_mask != -math.inf
            scores = scores + xp.where(allowed, attn_mask, 0.0)
    if is_causal:
        before = xp.tril(xp.ones(scores.shape[-2:], dtype=xp.bool, device=scores.device))
        allowed = before if allowed is None else xp.logical_and(allowed, before)
    if allowed is None:
        return softmax(scores)
    # A large finite number hides a key: rows of -inf only would be nan, in the gradient as well.
    return xp.where(allowed, softmax(xp.where(allowed, scores, cpu.hidden_score(scores.dtype))), 0.0)


def _check(q: Any, k: Any, attn_mask: Any) -> None:
    xp = namespace(q, k, attn_mask)
    check_floating("q", q, ("real floating",))
    check_array("k", k)
    if k.dtype != q.dtype:
        raise TypeError(f"k: expected q's dtype {q.dtype}, got {k.dtype}")
    if q.ndim < 2:
        raise ValueError(f"q: expected shape (..., T, E), got {tuple(q.shape)}")
    *lead, times, width = q.shape
    if tuple(k.shape) != (*lead, k.shape[-2] if k.ndim > 1 else 0, width):
        raise ValueError(f"k: expected shape {_shape(lead, 'S', width)} for q {tuple(q.shape)}, got {tuple(k.shape)}")
    if attn_mask is None:
        return
    if attn_mask.dtype not in (xp.bool, q.dtype):
        raise TypeError(f"attn_mask: expected bool or q's dtype {q.dtype}, got {attn_mask.dtype}")
    shape = (*lead, times, k.shape[-2])
    if not cpu.broadcasts(tuple(attn_mask.shape), shape):
        raise ValueError(f"attn_mask: expected a shape that broadcasts to {shape}, got {tuple(attn_mask.shape)}")


def _check_values(q: Any, k: Any, v: Any) -> None:
    check_array("v", v)
    if v.dtype != q.dtype:
        raise TypeError(f"v: expected q's dtype {q.dtype}, got {v.dtype}")
    if v.ndim != k.ndim or tuple(v.shape[:-1]) != tuple(k.shape[:-1]):
        shape = _shape(k.shape[:-2], k.shape[-2], "D")
        raise ValueError(f"v: expected shape {shape} for k {tuple(k.shape)}, got {tuple(v.shape)}")


def _check_dropout(dropout: float, key: Key | None) -> None:
    check_probability(dropout, "dropout")
    if dropout and not isinstance(key, Key):
        raise TypeError(f"key: expected a Key of xpnn.random for dropout {dropout}, got {type(key).__name__}")


def _shape(lead: Any, *last: Any) -> str:
    return f"({', '.join(map(str, (*lead, *last)))})"
