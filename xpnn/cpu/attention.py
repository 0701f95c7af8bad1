"""attention for NumPy: a block of queries at a time, so that the scores of all of them are never held.

With s the scores, m the sum of their exponentials as a logarithm, p = exp(s - m) and y = p v:
dv = p.T g, ds = p (g v.T - sum(g y)), dq = scale ds k, dk = scale ds.T q. The backward computes s and p again, from m.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from numbers import Real
from typing import Any

import numpy as np

from .dtypes import refuse_dtypes

__all__ = ["backward", "broadcasts", "default_scale", "forward", "hidden_score", "refusal", "refuse_arguments"]

_BLOCK = 2**19  # scores that are held at a time
Exponentials = Callable[[Any], tuple[Any, Any]]
Probabilities = Callable[[Any, Any], None]
Block = tuple[slice, slice, slice]  # of the first axis, the queries and the keys


def broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether an array of a shape broadcasts to another shape, without making that larger."""
    return len(shape) <= len(to) and all(n in (1, m) for n, m in zip(shape[::-1], to[::-1], strict=False))


def default_scale(q: Any) -> float:
    """What the scores are multiplied with: 1 over the root of the width of q (..., T, E)."""
    return 1 / math.sqrt(max(q.shape[-1], 1))


def hidden_score(dtype: Any) -> float:
    """A score, in the range of the dtype, whose exponential is 0 beside that of any other."""
    return -(2.0**15) if "float16" in str(dtype) and "bfloat16" not in str(dtype) else -(2.0**100)


def refuse_arguments(q: Any, k: Any, v: Any, attn_mask: Any, scale: Any) -> str | None:
    """What is wrong with the arrays, whatever the library, in words."""
    if q is None or k is None or v is None:
        return "absent arrays"
    if scale is not None and not isinstance(scale, Real):
        return f"scale of {type(scale).__name__}"
    if q.ndim < 2 or q.ndim != k.ndim or q.shape[:-2] != k.shape[:-2] or q.shape[-1] != k.shape[-1]:
        return "shapes"
    if v.ndim != k.ndim or v.shape[:-1] != k.shape[:-1] or not k.shape[-2]:
        return "shapes"
    if attn_mask is not None and not broadcasts(attn_mask.shape, (*q.shape[:-1], k.shape[-2])):
        return "shape of attn_mask"
    return None


def refusal(
    q: Any, k: Any, v: Any, attn_mask: Any, *, is_causal: bool = False, dropout: float = 0.0,
    scale: Any = None, key: Any = None,
) -> str | None:  # fmt: skip
    why = refuse_arguments(q, k, v, attn_mask, scale)
    if why is None and dropout != 0:
        why = f"dropout {dropout}"
    return why or refuse_dtypes(q, k, v, None if attn_mask is None or attn_mask.dtype == np.bool else attn_mask)


def forward(
    q: Any, k: Any, v: Any, attn_mask: Any, *, is_causal: bool = False, dropout: float = 0.0,
    scale: float | None = None, key: Any = None, need: tuple[bool, ...], exponentials: Exponentials | None = None,
) -> tuple[Any, Any]:  # fmt: skip
    """exponentials: how the scores of a block become weights, by default that of this file."""
    scale = default_scale(q) if scale is None else float(scale)
    shapes = [None if x is None else x.shape for x in (q, k, v, attn_mask)]
    shape = (*q.shape[:-1], v.shape[-1])
    q, k, v = (x[None] if x.ndim == 2 else x for x in (q, k, v))
    mask = None if attn_mask is None else attn_mask.reshape((1,) * (q.ndim - attn_mask.ndim) + attn_mask.shape)
    y = np.empty((*q.shape[:-1], v.shape[-1]), q.dtype)
    sums = np.empty((*q.shape[:-1], 1), q.dtype) if True in need else None
    for block in _blocks(q, k, is_causal):
        s = _scores(q, k, mask, scale, is_causal, block)
        _attend(s, v, y, sums, block, exponentials or _exponentials)
    return y.reshape(shape), (q, k, v, mask, y, sums, scale, is_causal, shapes)


def backward(
    residuals: Any, g: Any, need: Sequence[bool], probabilities: Probabilities | None = None
) -> tuple[Any, ...]:
    """probabilities: the weights made again from the scores, by default as in this file."""
    q, k, v, mask, y, sums, scale, is_causal, shapes = residuals
    g = g.reshape(y.shape)
    ds = [np.zeros(x.shape, x.dtype) if wants else None for x, wants in zip((q, k, v, mask), need, strict=True)]
    dq, dk, dv, dmask = ds
    for block in _blocks(q, k, is_causal):
        first, rows, keys = block
        p = _scores(q, k, mask, scale, is_causal, block)
        (probabilities or _probabilities)(p, sums[first, ..., rows, :])
        own = g[first, ..., rows, :]
        if dv is not None:
            dv[first, ..., keys, :] += np.matmul(p.swapaxes(-1, -2), own)
        if dq is None and dk is None and dmask is None:
            continue
        dp = np.matmul(own, v[first, ..., keys, :].swapaxes(-1, -2))
        np.subtract(dp, np.vecdot(own, y[first, ..., rows, :])[..., None], dp)
        np.multiply(dp, p, dp)
        if dmask is not None:
            _add_summed(dp, _part(dmask, block))
        if dq is not None:
            np.multiply(np.matmul(dp, k[first, ..., keys, :]), scale, dq[first, ..., rows, :])
        if dk is not None:
            dk[first, ..., keys, :] += np.matmul(dp.swapaxes(-1, -2), q[first, ..., rows, :] * scale)
    return tuple(None if d is None else d.reshape(shape) for d, shape in zip(ds, shapes, strict=True))


def _blocks(q: Any, k: Any, is_causal: bool) -> Iterator[Block]:
    """Pieces of about _BLOCK scores: several of the first axis, or some queries of one; keys after all of them left out."""
    count, times, length = q.shape[0], q.shape[-2], k.shape[-2]
    each = math.prod(q.shape[1:-2]) * length  # the scores of a query
    together = max(1, _BLOCK // max(each * times, 1))
    step = max(1, min(times, _BLOCK // max(each, 1)))
    for first in range(0, count, together):
        for start in range(0, times, step):
            stop = min(times, start + step)
            keys = slice(0, min(length, stop) if is_causal else length)
            yield slice(first, first + together), slice(start, stop), keys


def _exponentials(s: Any) -> tuple[Any, Any]:
    """The scores (..., T, S) become exp(s - largest); returns the largest of each row and the sums, (..., T, 1)."""
    largest = np.maximum.reduce(s, axis=-1, keepdims=True)
    np.copyto(largest, 0, where=largest == -np.inf)
    np.subtract(s, largest, s)
    np.exp(s, s)
    return largest, np.add.reduce(s, axis=-1, keepdims=True)


def _probabilities(s: Any, sums: Any) -> None:
    """The scores become weights, by the logarithms of the sums."""
    np.subtract(s, sums, s)
    np.exp(s, s)


def _attend(s: Any, v: Any, y: Any, sums: Any, block: Block, exponentials: Exponentials) -> None:
    """Writes a block of y, and of the logarithms of its sums if they are to be kept."""
    first, rows, keys = block
    largest, total = exponentials(s)
    np.copyto(total, 1, where=total == 0)  # a query that sees no key
    out = y[first, ..., rows, :]
    np.matmul(s, v[first, ..., keys, :], out)
    np.divide(out, total, out)
    if sums is not None:
        sums[first, ..., rows, :] = largest + np.log(total)


def _scores(q: Any, k: Any, mask: Any, scale: float, is_causal: bool, block: Block) -> Any:
    """The scores of a block, -inf where a query may not look."""
    first, rows, keys = block
    s = np.matmul(q[first, ..., rows, :] * scale, k[first, ..., keys, :].swapaxes(-1, -2))
    if mask is not None:
        part = _part(mask, block)
        if part.dtype == np.bool:
            np.copyto(s, -np.inf, where=~part)
        else:
            np.add(s, part, s)
    if is_causal:
        after = np.arange(keys.start, keys.stop) > np.arange(rows.start, rows.stop)[:, None]
        np.copyto(s, -np.inf, where=after)
    return s


def _part(mask: Any, block: Block) -> Any:
    """The block of a mask, whose axes of size 1 stay."""
    first, rows, keys = (
        part if size > 1 else slice(None)
        for part, size in zip(block, (mask.shape[0], *mask.shape[-2:]), strict=True)
    )  # fmt: skip
    return mask[first, ..., rows, keys]


def _add_summed(x: Any, to: Any) -> None:
    """Adds x to an array, summed over the axes of which that has one element."""
    axes = tuple(i for i, (n, m) in enumerate(zip(x.shape, to.shape, strict=True)) if n != m)
    to += np.add.reduce(x, axis=axes, keepdims=True) if axes else x
