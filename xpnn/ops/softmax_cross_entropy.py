"""softmax_cross_entropy: how far a softmax over classes is from the true class, or from a distribution over classes."""

from __future__ import annotations

import math
from typing import Any

from ..compiled import softmax_cross_entropy as compiled
from ..cpu import softmax_cross_entropy as cpu
from ..cuda import softmax_cross_entropy as cuda
from ..namespace import namespace
from ..primitive import Primitive
from .softmax import log_reference as log_softmax

__all__ = ["softmax_cross_entropy"]


def reference(
    logits: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    """-sum_c q_c log softmax(logits)_c, q the target's distribution: torch's cross_entropy in all its cases.

    logits (N, C), (N, C, d1, …) or (C,); target integers (N, d1, …), or probabilities of the logits' shape; weight (C,),
    a factor per class, or None -> a scalar, or (N, d1, …) with reduction="none".
    label_smoothing: the part of every q that is spread evenly over the classes. Integer targets equal to ignore_index do
    not count. The mean is over the elements that count, each by the weight of its class (probabilities: over all).
    It is nan if none counts. On NumPy a label outside of 0..C-1 is a ValueError; a CUDA kernel makes its loss nan.
    """
    axis = _check(logits, target, weight, label_smoothing, reduction)
    logp = log_softmax(logits, axis=axis)
    xp = namespace(logp, target, weight)
    weights = None if weight is None else xp.reshape(weight, (-1,) + (1,) * (logits.ndim - 1 - axis))
    if xp.isdtype(target.dtype, "integral"):
        losses, counts = _of_labels(xp, logp, target, weights, axis, ignore_index, label_smoothing)
    else:
        losses = _of_probabilities(xp, logp, target, weights, axis, label_smoothing)
        counts = xp.ones_like(losses)
    return _reduced(xp, losses, counts, reduction)


softmax_cross_entropy = Primitive(reference, name="softmax_cross_entropy")
softmax_cross_entropy.add("numpy", compiled)
softmax_cross_entropy.add("numpy", cpu)
softmax_cross_entropy.add("cupy", cuda)


def _of_labels(
    xp: Any, logp: Any, labels: Any, weights: Any, axis: int, ignore_index: int, smoothing: float
) -> tuple[Any, Any]:
    """The loss of each element, and by how much it counts in the mean."""
    labels = xp.astype(labels, xp.int64, copy=False)  # ignore_index may not fit into what they come in
    kept = labels != ignore_index
    labels = xp.where(kept, labels, xp.zeros_like(labels))
    index = xp.expand_dims(labels, axis=axis)
    losses = -xp.squeeze(xp.take_along_axis(logp, index, axis=axis), axis=axis)
    counts = xp.astype(kept, logp.dtype)
    if weights is not None:
        counts = counts * xp.reshape(xp.take(xp.reshape(weights, (-1,)), xp.reshape(labels, (-1,))), labels.shape)
    losses = xp.where(kept, losses, xp.zeros_like(losses)) * counts if weights is not None else losses
    if smoothing:
        spread = logp if weights is None else logp * weights
        losses = (1 - smoothing) * losses - smoothing * xp.mean(spread, axis=axis)
    return xp.where(kept, losses, xp.zeros_like(losses)), counts


def _of_probabilities(xp: Any, logp: Any, target: Any, weights: Any, axis: int, smoothing: float) -> Any:
    """The loss of each element."""
    if smoothing:
        target = target * (1 - smoothing) + smoothing / logp.shape[axis]
    terms = logp * target
    return -xp.sum(terms if weights is None else terms * weights, axis=axis)


def _reduced(xp: Any, losses: Any, counts: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    total = xp.sum(losses)
    if reduction == "sum":
        return total
    count = xp.sum(counts)
    return total / xp.where(count == 0, xp.full_like(count, math.nan), count)  # 0 / 0 would warn


def _check(logits: Any, target: Any, weight: Any, smoothing: float, reduction: str) -> int:
    """Raises ValueError for arguments that do not fit together; returns the axis of the classes."""
    if logits.ndim == 0:
        raise ValueError("logits: expected shape (N, C), (N, C, d1, …) or (C,), got ()")
    axis = 0 if logits.ndim == 1 else 1
    if not logits.shape[axis]:
        raise ValueError(f"logits: expected one class or more, got shape {logits.shape}")
    labels = logits.shape[:axis] + logits.shape[axis + 1 :]
    xp = namespace(target)
    if target.shape != (labels if xp.isdtype(target.dtype, "integral") else logits.shape):
        raise ValueError(
            f"target: expected integers of shape {labels} or probabilities of shape {logits.shape}, "
            f"got {target.dtype} of shape {target.shape}"
        )
    if weight is not None and weight.shape != (logits.shape[axis],):
        raise ValueError(f"weight: expected shape ({logits.shape[axis]},), got {weight.shape}")
    if not 0 <= smoothing <= 1:
        raise ValueError(f"label_smoothing: expected a number in [0, 1], got {smoothing}")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'reduction: expected "mean", "sum" or "none", got {reduction!r}')
    return axis
