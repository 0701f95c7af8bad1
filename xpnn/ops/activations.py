"""Activation functions, element by element.

x of any shape and floating-point dtype -> y of the same shape and dtype. relu, sigmoid and softmax have files of their own. Where
a function has a corner, its slope there is torch's. All are fused primitives, with one kernel for CuPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..cuda import activation as cuda
from ..namespace import namespace
from ..primitive import Primitive
from ..special import erf
from ._checks import floating
from .sigmoid import sigmoid

__all__ = ["elu", "gelu", "leaky_relu", "silu", "softplus", "tanh"]


def _fused(implementation: cuda.Activation) -> Callable[[Callable[..., Any]], Primitive]:
    """Makes a primitive of the reference below it."""

    def primitive(reference: Callable[..., Any]) -> Primitive:
        own = Primitive(floating(reference), name=reference.__name__)
        own.add("cupy", implementation)
        return own

    return primitive


@_fused(cuda.tanh)
def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    return namespace(x).tanh(x)


@_fused(cuda.silu)
def silu(x: Any) -> Any:
    """x * sigmoid(x), also known as swish (Elfwing et al. 2018)."""
    return x * sigmoid(x)


@_fused(cuda.gelu)
def gelu(x: Any, *, approximate: str = "none") -> Any:
    """x Φ(x), Φ the normal distribution function (Hendrycks and Gimpel 2016).

    approximate: "none", or "tanh" for x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))).
    """
    if approximate == "tanh":
        return 0.5 * x * (1 + namespace(x).tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    if approximate != "none":
        raise ValueError(f'approximate: expected "none" or "tanh", got {approximate!r}')
    return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))


@_fused(cuda.softplus)
def softplus(x: Any, *, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta x)) / beta; x itself where beta x > threshold."""
    xp = namespace(x)
    scaled = x * beta
    return xp.where(scaled > threshold, x, xp.logaddexp(scaled, xp.zeros_like(x)) / beta)


@_fused(cuda.elu)
def elu(x: Any, *, alpha: float = 1.0) -> Any:
    """x where x > 0, alpha (exp(x) - 1) elsewhere (Clevert et al. 2016)."""
    xp = namespace(x)
    positive = x > 0
    return xp.where(positive, x, alpha * xp.expm1(xp.where(positive, xp.zeros_like(x), x)))


@_fused(cuda.leaky_relu)
def leaky_relu(x: Any, *, negative_slope: float = 0.01) -> Any:
    """x where x > 0, negative_slope * x elsewhere."""
    return namespace(x).where(x > 0, x, negative_slope * x)
