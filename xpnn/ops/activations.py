"""Activation functions, element by element.

x of any shape and floating-point dtype -> y of the same shape and dtype. relu, sigmoid and softmax have files of their own. Where
a function has a corner, its slope there is torch's. The first six are fused primitives, with one kernel for CuPy; the others are
written with those and with functions of the standard.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import random
from ..compiled import activation as compiled
from ..cuda import activation as cuda
from ..namespace import namespace
from ..namespace.array import unbox
from ..namespace.libraries import array_device, raw_namespace
from ..primitive import Primitive
from ..special import erf, log_expit
from ._checks import check_array, floating
from .sigmoid import sigmoid
from .softmax import softmax

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "prelu",
    "relu6",
    "rrelu",
    "selu",
    "silu",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
]

# Klambauer et al. 2017: with them mean 0 and variance 1 is a fixed point of selu.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


def _fused(reference: Callable[..., Any]) -> Primitive:
    """The primitive of a reference, with the implementations of its name."""
    own = Primitive(floating(reference), name=reference.__name__)
    own.add("numpy", getattr(compiled, own.name))
    own.add("cupy", getattr(cuda, own.name))
    return own


@_fused
def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    return namespace(x).tanh(x)


@_fused
def silu(x: Any) -> Any:
    """x * sigmoid(x), also known as swish (Elfwing et al. 2018)."""
    return x * sigmoid(x)


@_fused
def gelu(x: Any, *, approximate: str = "none") -> Any:
    """x Φ(x), Φ the normal distribution function (Hendrycks and Gimpel 2016).

    approximate: "none", or "tanh" for x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))).
    """
    if approximate == "tanh":
        return 0.5 * x * (1 + namespace(x).tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    if approximate != "none":
        raise ValueError(f'approximate: expected "none" or "tanh", got {approximate!r}')
    return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))


@_fused
def softplus(x: Any, *, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta x)) / beta; x itself where beta x > threshold."""
    xp = namespace(x)
    scaled = x * beta
    return xp.where(scaled > threshold, x, xp.logaddexp(scaled, xp.zeros_like(x)) / beta)


@_fused
def elu(x: Any, *, alpha: float = 1.0) -> Any:
    """x where x > 0, alpha (exp(x) - 1) elsewhere (Clevert et al. 2016)."""
    xp = namespace(x)
    positive = x > 0
    return xp.where(positive, x, alpha * xp.expm1(xp.where(positive, xp.zeros_like(x), x)))


@_fused
def leaky_relu(x: Any, *, negative_slope: float = 0.01) -> Any:
    """x where x > 0, negative_slope * x elsewhere."""
    return namespace(x).where(x > 0, x, negative_slope * x)


# ---- of the elu family


@floating
def celu(x: Any, *, alpha: float = 1.0) -> Any:
    """x where x > 0, alpha (exp(x / alpha) - 1) elsewhere: elu with slope 1 on both sides of 0 (Barron 2017)."""
    if alpha == 0:
        raise ValueError("alpha: expected a number other than 0, got 0")
    xp = namespace(x)
    positive = x > 0
    return xp.where(positive, x, alpha * xp.expm1(xp.where(positive, xp.zeros_like(x), x) / alpha))


def selu(x: Any) -> Any:
    """scale * elu(x, alpha=alpha), with the two constants that keep mean 0 and variance 1 (Klambauer et al. 2017)."""
    return _SELU_SCALE * elu(x, alpha=_SELU_ALPHA)


@floating
def prelu(x: Any, weight: Any) -> Any:
    """x where x > 0, weight * x elsewhere (He et al. 2015).

    x (N, C, *S), or of one axis or none -> y of the same shape; weight (1,), or (C,) for one slope per channel.
    """
    check_array("weight", weight)
    channels = x.shape[1] if x.ndim > 1 else 1
    if tuple(weight.shape) not in ((), (1,), (channels,)):
        raise ValueError(f"weight: expected shape (1,) or ({channels},), got {tuple(weight.shape)}")
    xp = namespace(x, weight)
    shape = (-1,) + (1,) * (x.ndim - 2) if x.ndim > 1 else (1,) * x.ndim
    return xp.where(x > 0, x, xp.reshape(weight, shape) * x)


@floating
def rrelu(x: Any, lower: float = 1 / 8, upper: float = 1 / 3, *, key: random.Key | None = None) -> Any:
    """x where x > 0, elsewhere x times a slope drawn uniformly from lower to upper (Xu et al. 2015).

    Without a key, as in evaluation, the slope is the mean of the two. The slopes depend on the key, the shape and the dtype alone.
    """
    if not lower <= upper:
        raise ValueError(f"lower, upper: expected lower <= upper, got {lower} and {upper}")
    if key is None:
        return leaky_relu(x, negative_slope=(lower + upper) / 2)
    raw = unbox(x)
    options = {"dtype": raw.dtype, "xp": raw_namespace(raw), "device": array_device(raw)}
    return namespace(x).where(x > 0, x, x * random.uniform(key, raw.shape, low=lower, high=upper, **options))


# ---- of straight pieces


def threshold(x: Any, threshold: float, value: float) -> Any:
    """x where x > threshold, value elsewhere; integers may be x, too."""
    check_array("x", x)
    xp = namespace(x)
    return xp.where(x <= threshold, xp.full_like(x, value), x)


def hardtanh(x: Any, *, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """x, at least min_val and at most max_val; integers may be x, too."""
    check_array("x", x)
    if not min_val <= max_val:
        raise ValueError(f"min_val, max_val: expected min_val <= max_val, got {min_val} and {max_val}")
    xp = namespace(x)
    return xp.where(x <= min_val, xp.full_like(x, min_val), xp.where(x >= max_val, xp.full_like(x, max_val), x))


def relu6(x: Any) -> Any:
    """x, at least 0 and at most 6."""
    return hardtanh(x, min_val=0.0, max_val=6.0)


@floating
def hardsigmoid(x: Any) -> Any:
    """x / 6 + 1/2, at least 0 and at most 1."""
    return relu6(x + 3) / 6


@floating
def hardswish(x: Any) -> Any:
    """x * hardsigmoid(x) (Howard et al. 2019)."""
    xp = namespace(x)
    return xp.where(x <= -3, xp.zeros_like(x), xp.where(x >= 3, x, x * (x + 3) / 6))


@floating
def hardshrink(x: Any, *, lambd: float = 0.5) -> Any:
    """x where |x| > lambd, 0 elsewhere."""
    xp = namespace(x)
    return xp.where(xp.abs(x) <= lambd, xp.zeros_like(x), x)


@floating
def softshrink(x: Any, *, lambd: float = 0.5) -> Any:
    """x, brought nearer to 0 by lambd, and 0 where it is as near."""
    if lambd < 0:
        raise ValueError(f"lambd: expected 0 or more, got {lambd}")
    xp = namespace(x)
    return xp.where(xp.abs(x) <= lambd, xp.zeros_like(x), xp.where(x > 0, x - lambd, x + lambd))


# ---- of exponentials


def mish(x: Any) -> Any:
    """x * tanh(softplus(x)) (Misra 2019)."""
    return x * tanh(softplus(x))


@floating
def logsigmoid(x: Any) -> Any:
    """log(sigmoid(x)), accurate in both tails."""
    return log_expit(x)


def tanhshrink(x: Any) -> Any:
    """x - tanh(x)."""
    return x - tanh(x)


@floating
def softsign(x: Any) -> Any:
    """x / (1 + |x|)."""
    return x / (1 + namespace(x).abs(x))


@floating
def softmin(x: Any, *, axis: int = -1) -> Any:
    """softmax(-x) along an axis."""
    return softmax(-x, axis=axis)


@floating
def glu(x: Any, *, axis: int = -1) -> Any:
    """The first half of an axis times the sigmoid of the second half (Dauphin et al. 2017): x (..., 2 H) -> y (..., H)."""
    if not -x.ndim <= axis < x.ndim or x.shape[axis] % 2:
        raise ValueError(f"x: expected an axis {axis} of even size, got shape {tuple(x.shape)}")
    axis %= x.ndim
    half = x.shape[axis] // 2
    before = (slice(None),) * axis
    return x[(*before, slice(0, half), ...)] * sigmoid(x[(*before, slice(half, None), ...)])
