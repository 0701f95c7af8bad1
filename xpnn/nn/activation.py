"""Activations as modules; as functions they are in xpnn.ops."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..ops._checks import check_number, check_whole
from .module import Module

__all__ = ["ELU", "GELU", "LeakyReLU", "LogSoftmax", "ReLU", "SiLU", "Sigmoid", "Softmax", "Softplus", "Tanh"]


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Any) -> Any:
        return ops.relu(x)


class Tanh(Module):
    """tanh(x)."""

    def forward(self, x: Any) -> Any:
        return ops.tanh(x)


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x: Any) -> Any:
        return ops.sigmoid(x)


class SiLU(Module):
    """x * sigmoid(x)."""

    def forward(self, x: Any) -> Any:
        return ops.silu(x)


class GELU(Module):
    """x * Phi(x), Phi the normal distribution function; approximate="tanh" for the usual approximation."""

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f'approximate: expected "none" or "tanh", got {approximate!r}')
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        return ops.gelu(x, approximate=self.approximate)


class LeakyReLU(Module):
    """x where x > 0, negative_slope * x elsewhere."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        check_number("negative_slope", negative_slope)
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        return ops.leaky_relu(x, negative_slope=self.negative_slope)


class ELU(Module):
    """x where x > 0, alpha * (exp(x) - 1) elsewhere."""

    def __init__(self, alpha: float = 1.0) -> None:
        check_number("alpha", alpha)
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        return ops.elu(x, alpha=self.alpha)


class Softplus(Module):
    """log(1 + exp(beta * x)) / beta, linear beyond beta * x > threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        check_number("beta", beta)
        check_number("threshold", threshold)
        self.beta = beta
        self.threshold = threshold

    def forward(self, x: Any) -> Any:
        return ops.softplus(x, beta=self.beta, threshold=self.threshold)


class Softmax(Module):
    """exp(x) / sum(exp(x)) along dim."""

    def __init__(self, dim: int = -1) -> None:
        check_whole("dim", dim)
        self.dim = dim

    def forward(self, x: Any) -> Any:
        return ops.softmax(x, axis=self.dim)


class LogSoftmax(Module):
    """log(softmax(x)) along dim."""

    def __init__(self, dim: int = -1) -> None:
        check_whole("dim", dim)
        self.dim = dim

    def forward(self, x: Any) -> Any:
        return ops.log_softmax(x, axis=self.dim)
