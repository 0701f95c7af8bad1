"""Losses that ask for a distance: between scores, classes, or points. Labels of two sides are 1 and -1."""

from __future__ import annotations

from typing import Any

from ..backend import follow
from ..namespace import namespace
from ..ops._norm import norm
from ..special import log_expit
from ._checks import (
    check_float,
    check_integer,
    check_number,
    check_signs,
    class_axis,
    class_weights,
    element_weights,
    is_kind,
    labels,
    paired,
)
from ._reduce import check_reduction, reduced

__all__ = [
    "cosine_embedding_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
]


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    """input where target is 1, max(0, margin - input) where it is -1. input, target (...)."""
    check_reduction(reduction)
    check_number("margin", margin)
    input, target = paired(input, target)
    check_signs(target)
    xp = namespace(input, target)
    return reduced(xp, xp.where(target == 1, input, xp.clip(margin - input, min=0.0)), reduction)


def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    """max(0, margin - target (input1 - input2)); target 1: input1 should be larger. input1, input2, target (...)."""
    check_reduction(reduction)
    check_number("margin", margin)
    input1, input2 = paired(input1, input2, names=("input1", "input2"))
    input1, target = paired(input1, target, names=("input1", "target"))
    xp = namespace(input1, input2, target)
    return reduced(xp, xp.clip(margin - xp.multiply(target, input1 - input2), min=0.0), reduction)


def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """log(1 + exp(-target * input)), without overflow; target 1 or -1. input, target (...)."""
    check_reduction(reduction)
    input, target = paired(input, target)
    product = target * input
    return reduced(namespace(product), -log_expit(product), reduction)


def multilabel_soft_margin_loss(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """The mean over the C classes of weight * binary_cross_entropy_with_logits. input, target (..., C) -> losses (...).

    weight: a factor that broadcasts to (..., C), usually (C,).
    """
    check_reduction(reduction)
    input, target = paired(input, target)
    if not input.ndim or not input.shape[-1]:
        raise ValueError(f"input: expected shape (..., C) with one class or more, got {tuple(input.shape)}")
    weight = element_weights("weight", weight, input)
    losses = -(target * log_expit(input) + (1 - target) * log_expit(-input))
    xp = namespace(losses, weight)
    return reduced(xp, xp.mean(losses if weight is None else xp.multiply(losses, weight), axis=-1), reduction)


def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Any:
    """sum over c != y of max(0, margin - input_y + input_c)^p, times weight_y / C; y the target's class.

    input (N, C) or (C,); target: class numbers (N,) or (); weight: a factor per class (C,). p: 1 or 2.
    """
    check_float("input", input)
    check_reduction(reduction)
    check_number("margin", margin)
    check_integer("p", p, 1, 2)
    axis = class_axis(input, "(N, C) or (C,)", most=2)
    classes = input.shape[axis]
    target = labels(target, input, tuple(input.shape[:axis]), 0, classes - 1)
    weight = class_weights(weight, input, axis)
    xp = namespace(input, target, weight)
    index = xp.expand_dims(xp.astype(target, xp.int64, copy=False), axis=axis)
    gap = margin - xp.take_along_axis(input, index, axis=axis) + input
    other = _numbers(xp, index, classes) != index
    gap = xp.where(other & (gap > 0), gap, xp.zeros_like(gap))
    losses = xp.mean(gap if p == 1 else gap * gap, axis=axis)
    if weight is not None:
        losses = losses * xp.reshape(xp.take(weight, xp.reshape(index, (-1,)), axis=0), losses.shape)
    return reduced(xp, losses, reduction)


def multilabel_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """sum over labels y and over classes c that are no label of max(0, 1 - input_y + input_c) / C.

    input (N, C) or (C,); target of the same shape: the labels of each row, up to its first -1.
    """
    check_float("input", input)
    check_reduction(reduction)
    axis = class_axis(input, "(N, C) or (C,)", most=2)
    classes = input.shape[axis]
    target = labels(target, input, tuple(input.shape), -1, classes - 1)
    xp = namespace(input, target)
    target = xp.astype(target, xp.int64, copy=False)
    named = xp.cumulative_sum(xp.astype(target < 0, xp.int64), axis=axis) == 0
    target = xp.where(named, target, xp.zeros_like(target))
    own = xp.expand_dims(xp.take_along_axis(input, target, axis=axis), axis=-1)  # (N, labels, 1)
    column = xp.expand_dims(named, axis=-1)
    is_label = xp.any((_numbers(xp, target, classes) == xp.expand_dims(target, axis=-1)) & column, axis=axis)
    gap = 1 - own + xp.expand_dims(input, axis=axis)  # (N, labels, C)
    counts = column & ~xp.expand_dims(is_label, axis=axis) & (gap > 0)
    return reduced(xp, xp.sum(xp.where(counts, gap, xp.zeros_like(gap)), axis=(-2, -1)) / classes, reduction)


def cosine_embedding_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    """1 - cos(input1, input2) where target is 1, max(0, cos(input1, input2) - margin) where it is -1.

    input1, input2 (N, D) or (D,); target (N,) or (). The squares of both lengths are taken 1e-12 larger.
    """
    check_reduction(reduction)
    check_number("margin", margin)
    input1, input2 = paired(input1, input2, names=("input1", "input2"))
    if input1.ndim not in (1, 2):
        raise ValueError(f"input1: expected shape (N, D) or (D,), got {tuple(input1.shape)}")
    target = follow(target, input1, "target")
    if tuple(target.shape) != tuple(input1.shape[:-1]):
        raise ValueError(f"target: expected shape {tuple(input1.shape[:-1])}, got {tuple(target.shape)}")
    if not is_kind(target, ("integral", "real floating")):
        raise TypeError(f"target: expected numbers, got dtype {target.dtype}")
    check_signs(target)
    xp = namespace(input1, input2, target)
    square1, square2 = (xp.sum(x * x, axis=-1) + 1e-12 for x in (input1, input2))
    cosine = xp.sum(input1 * input2, axis=-1) / xp.sqrt(square1 * square2)
    return reduced(xp, xp.where(target == 1, 1 - cosine, xp.clip(cosine - margin, min=0.0)), reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """max(0, margin + d(anchor, positive) - d(anchor, negative)), d(a, b) the p-norm of a - b + eps.

    anchor, positive, negative (..., D) -> losses (...). p: any positive number, math.inf too. swap: where the positive is
    closer to the negative than the anchor is, that distance counts (Balntas et al. 2016).
    """
    check_reduction(reduction)
    check_number("margin", margin, above=0)
    check_number("p", p, above=0)
    check_number("eps", eps, least=0)
    anchor, positive = paired(anchor, positive, names=("anchor", "positive"))
    anchor, negative = paired(anchor, negative, names=("anchor", "negative"))
    if not anchor.ndim:
        raise ValueError("anchor: expected shape (..., D), got ()")
    xp = namespace(anchor, positive, negative)
    positive = xp.asarray(positive)  # raw where the negative only is traced
    far = norm(xp, anchor - negative + eps, p)
    if swap:
        far = xp.minimum(far, norm(xp, positive - negative + eps, p))
    return reduced(xp, xp.clip(margin + norm(xp, anchor - positive + eps, p) - far, min=0.0), reduction)


def _numbers(xp: Any, like: Any, count: int) -> Any:
    """0, 1, … count - 1 (count,), where ``like`` is."""
    return xp.arange(count, dtype=xp.int64, device=like.device)
