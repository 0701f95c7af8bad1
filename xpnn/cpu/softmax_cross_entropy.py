"""softmax_cross_entropy for NumPy: logits (N, C) with integer labels, without class weights.

L_n = log sum_c exp(z_nc) - (1 - s) z_ny - s mean_c z_nc and dL_n/dz_nc = p_nc - (1 - s) [c = y] - s/C, p the softmax.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .dtypes import refuse_dtypes

__all__ = ["backward", "forward", "refusal"]


def refusal(
    logits: Any,
    target: Any,
    weight: Any,
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> str | None:
    """Raises ValueError for a label that is no class: here, so that it is said for all NumPy arrays."""
    if target.dtype.kind not in "iu":
        return "targets that are no labels"
    classes = logits.shape[min(1, logits.ndim - 1)] if logits.ndim else 0
    if not classes:
        return "no classes"
    _check_labels(target, classes, ignore_index)
    if weight is not None:
        return "class weights"
    if logits.ndim != 2 or target.shape != logits.shape[:1]:
        return "shapes other than (N, C) and (N,)"
    if reduction not in ("mean", "sum", "none") or not 0 <= label_smoothing <= 1:
        return "options"
    return refuse_dtypes(logits)


def forward(
    logits: Any,
    target: Any,
    weight: Any,
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    need: tuple[bool, ...],
) -> tuple[Any, Any]:
    smoothing = label_smoothing
    kept = target != ignore_index
    all_kept = kept.all()
    labels = target if all_kept else np.where(kept, target, 0)
    z = logits - np.maximum.reduce(logits, axis=1, keepdims=True)
    losses = z[np.arange(z.shape[0]), labels] * (smoothing - 1)
    if smoothing:
        losses -= smoothing * np.add.reduce(z, axis=1) / z.shape[1]
    np.exp(z, z)
    total = np.add.reduce(z, axis=1)
    losses += np.log(total)
    if not all_kept:
        losses[~kept] = 0
    count = np.count_nonzero(kept) if reduction == "mean" else 1
    out = losses if reduction == "none" else np.add.reduce(losses) / logits.dtype.type(count or math.nan)
    if not need[0]:
        return out, None
    z /= total[:, None]
    return out, (z, labels, None if all_kept else kept, smoothing, count)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, None, None]:
    p, labels, kept, smoothing, count = residuals
    g = g / max(count, 1)
    scale = np.asarray(g if kept is None else g * kept, p.dtype)[..., None]
    dlogits = p - smoothing / p.shape[1] if smoothing else p.copy()
    dlogits[np.arange(p.shape[0]), labels] -= 1 - smoothing
    dlogits *= scale
    return dlogits, None, None


def _check_labels(labels: Any, classes: int, ignore_index: int) -> None:
    """Raises ValueError unless every label is a class or ignore_index."""
    if not labels.size:
        return
    lowest, highest = labels.min(), labels.max()
    if lowest >= 0 and highest < classes:
        return
    wrong = labels[((labels < 0) | (labels >= classes)) & (labels != ignore_index)]
    if wrong.size:
        raise ValueError(
            f"target: expected labels in 0..{classes - 1} (or ignore_index {ignore_index}), got {wrong[0]}"
        )
