"""Losses of numbers: distances between prediction and target, and likelihoods of a normal and a Poisson distribution."""

from __future__ import annotations

import math
from typing import Any

from ..gradients import stop_gradient
from ..namespace import namespace
from ..namespace.array import unbox
from ..namespace.libraries import is_array
from ._checks import check_float, check_number, check_same_shape, element_weights, on_numpy, paired
from ._reduce import check_reduction, reduced

__all__ = ["gaussian_nll_loss", "huber_loss", "l1_loss", "mse_loss", "poisson_nll_loss", "smooth_l1_loss"]


def l1_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """|input - target|. input, target, weight (...); the mean is weighted."""
    check_reduction(reduction)
    input, target = paired(input, target, ("real floating", "complex floating"))
    return _weighted(namespace(input, target).abs(input - target), weight, reduction)


def mse_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """(input - target)². input, target, weight (...); the mean is weighted."""
    check_reduction(reduction)
    input, target = paired(input, target)
    difference = input - target
    return _weighted(difference * difference, weight, reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """d²/2 where |d| < delta, delta (|d| - delta/2) elsewhere, d = input - target.

    input, target, weight (...). As in torch the mean of weighted losses is over the number of elements.
    """
    check_reduction(reduction)
    check_number("delta", delta, above=0)
    input, target = paired(input, target)
    xp = namespace(input, target, weight)
    size = xp.abs(input - target)
    near = xp.minimum(size, delta)
    losses = near * (size - 0.5 * near)
    if weight is not None:
        losses = xp.multiply(losses, _same_weights(weight, losses))
    return reduced(xp, losses, reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """huber_loss / beta with delta = beta; l1_loss for beta = 0. input, target (...)."""
    check_number("beta", beta, least=0)
    if beta:
        return huber_loss(input, target, reduction, beta) / beta
    check_float("input", input)
    return l1_loss(input, target, reduction)


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """(log v + (input - target)²/v) / 2, v = max(var, eps): -log of a normal distribution's density.

    input, target (...); var of the same shape, or with one axis of size 1 or without the last one, or a number.
    full: with the constant log(2 pi) / 2. The gradient of var passes through the maximum as if it were not there.
    """
    check_reduction(reduction)
    check_number("eps", eps, least=0)
    input, target = paired(input, target)
    var = _variance(var, input)
    xp = namespace(input, target, var)
    var = xp.where(var < eps, eps + (var - stop_gradient(var)), var)
    difference = xp.asarray(input - target)
    losses = 0.5 * (xp.log(var) + difference * difference / var)
    return reduced(xp, losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
) -> Any:
    """exp(input) - target * input, or input - target * log(input + eps): -log of a Poisson distribution, but for log(target!).

    input, target (...). log_input: input is the logarithm of the expected number. full: with Stirling's approximation of
    log(target!), target log target - target + log(2 pi target) / 2, where target > 1.
    """
    check_reduction(reduction)
    check_number("eps", eps, least=0)
    input, target = paired(input, target)
    xp = namespace(input, target)
    losses = xp.exp(input) - target * input if log_input else input - target * xp.log(input + eps)
    return reduced(xp, losses + _stirling(xp, target) if full else losses, reduction)


def _stirling(xp: Any, target: Any) -> Any:
    few = target <= 1
    number = xp.where(few, xp.ones_like(target), target)
    term = number * xp.log(number) - number + 0.5 * xp.log(2 * math.pi * number)
    return xp.where(few, xp.zeros_like(term), term)


def _weighted(losses: Any, weight: Any, reduction: str) -> Any:
    """Reduces losses, their mean weighted."""
    xp = namespace(losses, weight)
    if weight is None:
        return reduced(xp, losses, reduction)
    weight = _same_weights(weight, losses)
    return reduced(xp, xp.multiply(losses, weight), reduction, weight)


def _same_weights(weight: Any, losses: Any) -> Any:
    """Factors of exactly the shape of the losses, as torch asks for here."""
    check_same_shape("weight", weight, losses)
    return element_weights("weight", weight, losses)


def _variance(var: Any, input: Any) -> Any:
    """var as an array that broadcasts against input, without negative elements as far as that can be seen."""
    if not is_array(unbox(var)):
        check_number("var", var, least=0)
        return namespace(input).full_like(input, float(var))
    check_float("var", var)
    if on_numpy(var) and (unbox(var) < 0).any():
        raise ValueError(f"var: expected no negative variance, got {unbox(var).min()}")
    own, shape = tuple(var.shape), tuple(input.shape)
    if own == shape:
        return var
    if own == shape[:-1]:
        return namespace(var).expand_dims(var, axis=-1)
    if len(own) == len(shape) and [a for a, b in zip(own, shape, strict=True) if a != b] == [1]:
        return var
    raise ValueError(f"var: expected shape {shape}, {shape[:-1]} or one axis of size 1, got {own}")
