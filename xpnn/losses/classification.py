"""Losses of classes and of probabilities."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..backend import follow
from ..gradients import custom_vjp
from ..namespace import namespace
from ..namespace.array import is_traced
from ..special import xlogy
from ._checks import (
    check_float,
    check_integer,
    check_number,
    check_unit_interval,
    class_axis,
    class_weights,
    element_weights,
    is_kind,
    labels,
    paired,
)
from ._reduce import check_reduction, over, reduced

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "kl_div", "nll_loss"]


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """-log softmax(input) at the target's class, or its mean under the target's probabilities.

    input (N, C), (N, C, d1, …) or (C,): logits; target: class numbers (N, d1, …), or probabilities of input's shape.
    weight: a factor per class (C,). Elements whose target is ignore_index do not count.
    label_smoothing: the part of the target that is spread evenly over the classes.
    """
    check_float("input", input)
    axis = class_axis(input)
    check_integer("ignore_index", ignore_index)
    check_number("label_smoothing", label_smoothing, least=0, most=1)
    target = follow(target, input, "target")
    if not is_kind(target, ("integral", "real floating")):
        raise TypeError(f"target: expected integers or probabilities, got dtype {target.dtype}")
    weight = class_weights(weight, input, axis)
    if is_traced(target) or is_traced(weight):
        input = namespace(target, weight).asarray(input)  # a constant of the trace, if it is raw
    return ops.softmax_cross_entropy(
        input,
        target,
        weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def nll_loss(input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> Any:
    """-input at the target's class, times its weight: the negative log likelihood of log-probabilities.

    input (N, C), (N, C, d1, …) or (C,); target: class numbers (N, d1, …); weight: a factor per class (C,).
    Elements whose target is ignore_index do not count. The mean is over the weights of those that do.
    """
    check_float("input", input)
    check_reduction(reduction)
    check_integer("ignore_index", ignore_index)
    axis = class_axis(input)
    shape = tuple(input.shape)
    target = labels(target, input, shape[:axis] + shape[axis + 1 :], 0, shape[axis] - 1, ignore_index)
    weight = class_weights(weight, input, axis)
    xp = namespace(input, target, weight)
    target = xp.astype(target, xp.int64, copy=False)  # ignore_index may not fit into what they come in
    kept = target != ignore_index
    target = xp.where(kept, target, xp.zeros_like(target))
    chosen = -xp.squeeze(xp.take_along_axis(input, xp.expand_dims(target, axis=axis), axis=axis), axis=axis)
    losses = xp.where(kept, chosen, xp.zeros_like(chosen))
    counts = xp.astype(kept, input.dtype)
    if weight is not None:
        counts = counts * xp.reshape(xp.take(weight, xp.reshape(target, (-1,)), axis=0), target.shape)
        losses = losses * counts
    return reduced(xp, losses, reduction, counts)


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """-(t log x + (1-t) log(1-x)), x the input, t the target: both probabilities (...); the logarithms are at least -100.

    weight: a factor that broadcasts to (...). The slope is (x - t) / max(x (1-x), 1e-12), as torch's.
    On NumPy numbers outside of [0, 1] are a ValueError.
    """
    check_reduction(reduction)
    input, target = paired(input, target)
    check_unit_interval("input", input)
    check_unit_interval("target", target)
    weight = element_weights("weight", weight, input)
    losses = _binary_cross_entropy(input, target)
    xp = namespace(losses, weight)
    return reduced(xp, losses if weight is None else xp.multiply(losses, weight), reduction)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """-(t log s(x) + (1-t) log(1 - s(x))), s the sigmoid, without overflow. input x and target t (...).

    weight: a factor that broadcasts to (...). pos_weight: likewise, for the part with t.
    """
    check_reduction(reduction)
    input, target = paired(input, target)
    weight = element_weights("weight", weight, input)
    pos_weight = element_weights("pos_weight", pos_weight, input)
    xp = namespace(input, target, weight, pos_weight)
    # log(1 + exp(-x)); at 0 the parts have the slopes 0 and -1/2, where clip would have -1
    soft = xp.log1p(xp.exp(-xp.abs(input))) + xp.maximum(-input, 0.0)
    scale = None if pos_weight is None else 1 + xp.multiply(pos_weight - 1, target)
    losses = xp.add((1 - target) * input, soft if scale is None else xp.multiply(scale, soft))
    return reduced(xp, losses if weight is None else xp.multiply(losses, weight), reduction)


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """target (log target - input): the Kullback-Leibler divergence, input being log-probabilities. input, target (...).

    log_target: target holds log-probabilities too. reduction: also "batchmean", the sum over the length of the first axis,
    which is the divergence of the definition; "mean" is over all elements.
    """
    check_reduction(reduction, "batchmean")
    input, target = paired(input, target)
    xp = namespace(input, target)
    losses = xp.exp(target) * (target - input) if log_target else xlogy(target, target) - target * input
    if reduction == "batchmean":
        return over(xp.sum(losses, dtype=losses.dtype), input.shape[0] if input.ndim else 1)
    return reduced(xp, losses, reduction)


def _forward(x: Any, t: Any) -> tuple[Any, Any]:
    xp = namespace(x, t)
    never, always = x == 0, x == 1
    least = xp.full_like(x, -100.0)
    # log(0) would warn
    yes = xp.where(never, least, xp.maximum(xp.log(xp.where(never, xp.ones_like(x), x)), -100.0))
    no = xp.where(always, least, xp.maximum(xp.log1p(-xp.where(always, xp.zeros_like(x), x)), -100.0))
    return -(t * yes + (1 - t) * no), (x, t, yes, no)


def _backward(residuals: Any, g: Any) -> tuple[Any, Any]:
    x, t, yes, no = residuals
    xp = namespace(x, t, g)
    return g * (x - t) / xp.maximum(x * (1 - x), 1e-12), g * (no - yes)


_binary_cross_entropy = custom_vjp(_forward, _backward)
