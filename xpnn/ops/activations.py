"""Activation functions, element by element.

x of any shape and floating-point dtype -> y of the same shape and dtype. relu, sigmoid and softmax, fused primitives,
have files of their own. Where a function has a corner, its slope there is torch's.
"""

from __future__ import annotations

import math
from typing import Any

from ..namespace import namespace
from ..special import erf
from .sigmoid import sigmoid

__all__ = ["elu", "gelu", "leaky_relu", "silu", "softplus", "tanh"]


def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    return namespace(x).tanh(x)


def silu(x: Any) -> Any:
    """x * sigmoid(x), also known as swish (Elfwing et al. 2018)."""
    return x * sigmoid(x)


def gelu(x: Any, *, approximate: str = "none") -> Any:
    """x Φ(x), Φ the normal distribution function (Hendrycks and Gimpel 2016).

    approximate: "none", or "tanh" for x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))).
    """
    if approximate == "tanh":
        return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    if approximate != "none":
        raise ValueError(f'approximate: expected "none" or "tanh", got {approximate!r}')
    return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))


def softplus(x: Any, *, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta x)) / beta; x itself where beta x > threshold."""
    xp = namespace(x)
    scaled = x * beta
    return xp.where(scaled > threshold, x, xp.logaddexp(scaled, xp.zeros_like(x)) / beta)


def elu(x: Any, *, alpha: float = 1.0) -> Any:
    """x where x > 0, alpha (exp(x) - 1) elsewhere (Clevert et al. 2016)."""
    xp = namespace(x)
    positive = x > 0
    return xp.where(positive, x, alpha * xp.expm1(xp.where(positive, xp.zeros_like(x), x)))


def leaky_relu(x: Any, *, negative_slope: float = 0.01) -> Any:
    """x where x > 0, negative_slope * x elsewhere."""
    return namespace(x).where(x > 0, x, negative_slope * x)
