"""softmax_cross_entropy by compiled loops: logits (N, C) with labels, without class weights; no probabilities are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..cpu import softmax_cross_entropy as plain
from .loops import contiguous, refuse, share

__all__ = ["backward", "forward", "refusal"]


def refusal(logits: Any, target: Any, weight: Any, **static: Any) -> str | None:
    """Raises ValueError for a label that is no class, as the plain form does."""
    if weight is not None or logits.ndim != 2:  # else the labels would be looked through here and by the plain form
        return "class weights, or shapes other than (N, C) and (N,)"
    return refuse(logits) or plain.refusal(logits, target, weight, **static)


def forward(
    logits: Any, target: Any, weight: Any, *, ignore_index: int = -100, label_smoothing: float = 0.0, reduction: str = "mean",
    need: tuple[bool, ...],
) -> tuple[Any, Any]:  # fmt: skip
    from .softmax_loops import cross_entropy

    x, labels = contiguous(logits), target.astype(np.int64)
    losses, shifts = np.empty((2, len(x)), x.dtype)
    share(cross_entropy, x.size, (x, labels, losses, shifts), ignore_index, np.float32(label_smoothing))
    count = np.count_nonzero(labels != ignore_index) if reduction == "mean" else 1
    out = losses if reduction == "none" else np.add.reduce(losses) / x.dtype.type(count or math.nan)
    return out, (x, labels, shifts, ignore_index, label_smoothing, count) if need[0] else None


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, None, None]:
    from .softmax_loops import cross_entropy_back

    x, labels, shifts, ignore_index, smoothing, count = residuals
    scales = np.empty(len(x), x.dtype)
    scales[:] = g / max(count, 1)
    dx = np.empty(x.shape, x.dtype)
    share(cross_entropy_back, x.size, (x, labels, shifts, scales, dx), ignore_index, np.float32(smoothing))
    return dx, None, None
