"""Losses as functions, under torch's names. reduction: "mean", "sum" or "none"."""

from __future__ import annotations

from typing import Any

from . import ops
from .backend import follow
from .namespace import namespace

__all__ = [
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "huber_loss",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "smooth_l1_loss",
]


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross-entropy of logits (N, C) or (N, C, d1, …) with class numbers (N, d1, …) or probabilities of the same shape.

    weight: a factor per class (C,). Elements whose target is ignore_index do not count.
    """
    return ops.softmax_cross_entropy(
        input,
        follow(target, input),
        weight if weight is None else follow(weight, input),
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def nll_loss(input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> Any:
    """Negative log likelihood: input (N, C) or (N, C, d1, …) holds log-probabilities, target class numbers (N, d1, …)."""
    xp = namespace(input, weight)
    target = xp.asarray(follow(target, input))
    kept = target != ignore_index
    index = xp.expand_dims(xp.where(kept, target, xp.zeros_like(target)), axis=1)
    chosen = xp.squeeze(xp.take_along_axis(input, index, axis=1), axis=1)
    scale = xp.astype(kept, input.dtype)
    if weight is not None:
        weight = xp.asarray(weight)
        scale = scale * xp.reshape(xp.take(weight, xp.reshape(index, (-1,)), axis=0), target.shape)
    if reduction == "mean":
        return -xp.sum(chosen * scale) / xp.sum(scale)
    return _reduced(xp, -chosen * scale, reduction)


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """(input - target)²."""
    xp, difference = _difference(input, target)
    return _reduced(xp, difference * difference, reduction)


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """|input - target|."""
    xp, difference = _difference(input, target)
    return _reduced(xp, xp.abs(difference), reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """d²/2 where |d| < delta, delta (|d| - delta/2) elsewhere, d = input - target."""
    if not delta > 0:
        raise ValueError(f"delta: expected a positive number, got {delta}")
    xp, difference = _difference(input, target)
    size = xp.abs(difference)
    near = xp.minimum(size, delta)
    return _reduced(xp, near * (size - 0.5 * near), reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """huber_loss / beta with delta = beta; l1_loss for beta = 0."""
    if beta < 0:
        raise ValueError(f"beta: expected 0 or more, got {beta}")
    return huber_loss(input, target, reduction, beta) / beta if beta else l1_loss(input, target, reduction)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """-(t log s(x) + (1-t) log(1 - s(x))), s the sigmoid, without overflow; weight and pos_weight broadcast against input."""
    xp = namespace(input, weight, pos_weight)
    _check_shapes(input, target)
    target = xp.asarray(target)
    positive = 1.0 if pos_weight is None else xp.asarray(pos_weight)
    # log(1 + exp(-x)); at 0 the parts have the slopes 0 and -1/2, where clip would have -1
    soft = xp.log1p(xp.exp(-xp.abs(input))) + xp.maximum(-input, 0.0)
    loss = (1 - target) * input + (1 + (positive - 1) * target) * soft
    return _reduced(xp, loss if weight is None else loss * weight, reduction)


def _difference(input: Any, target: Any) -> tuple[Any, Any]:
    _check_shapes(input, target)
    return namespace(input, target), input - target


def _check_shapes(input: Any, target: Any) -> None:
    # broadcasting (N, 1) against (N,) to (N, N) is the classic silent mistake
    if getattr(target, "shape", None) != input.shape:
        raise ValueError(
            f"target: expected the shape of input, {input.shape}, got {getattr(target, 'shape', type(target).__name__)}"
        )


def _reduced(xp: Any, loss: Any, reduction: str) -> Any:
    if reduction == "mean":
        return xp.mean(loss)
    if reduction == "sum":
        return xp.sum(loss)
    if reduction == "none":
        return loss
    raise ValueError(f'reduction: expected "mean", "sum" or "none", got {reduction!r}')
