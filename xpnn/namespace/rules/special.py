"""Special functions: their raw forms are in namespace/special.py."""

from __future__ import annotations

import math
from typing import Any

from ..rule import Rule
from ..special import expit, polygamma
from .helpers import keep_axes, one_where


def _gauss(xp: Any, g: Any, x: Any, scale: float, factor: float) -> Any:
    return g * (factor * xp.exp(x * x * -scale))


def _digamma(xp: Any, x: Any) -> Any:
    """The derivative of gammaln; left of 1/2 by reflection."""
    left = x < 0.5
    right = polygamma(xp.where(left, 1 - x, x), 0)
    turn = xp.where(left, x - xp.round(x), xp.full_like(x, 0.25))
    return xp.where(left, right - math.pi / xp.tan(math.pi * turn), right)


def _xlogy_x1(xp: Any, g: Any, _out: Any, x: Any, y: Any) -> Any:
    """Where 0 log(0) was taken as 0, the gradient is 0, too."""
    y = xp.zeros_like(x) + y  # it may be a number
    nothing = xp.logical_and(x == 0, y <= 0)
    return g * xp.where(nothing, xp.zeros_like(y), xp.log(one_where(xp, nothing, y)))


def _xlogy_x2(xp: Any, g: Any, _out: Any, x: Any, y: Any) -> Any:
    nothing = xp.logical_and(xp.zeros_like(y) == x, y == 0)
    return g * x / one_where(xp, nothing, y)


def _logsumexp(xp: Any, g: Any, out: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Where all elements are -inf, the gradient is 0."""
    out = keep_axes(xp, out, x, axis, keepdims)
    return keep_axes(xp, g, x, axis, keepdims) * xp.exp(x - xp.where(xp.isfinite(out), out, xp.zeros_like(out)))


def _opposite_expit(xp: Any, x: Any) -> Any:
    """expit(-x) = 1 - expit(x), without cancellation."""
    return xp.special.expit(-x) if hasattr(xp, "special") else expit(-x)


_ROOT_PI = math.sqrt(math.pi)

RULES: dict[str, Any] = {
    "special.erf": Rule("x, /", x=lambda xp, g, _out, x: _gauss(xp, g, x, 1.0, 2 / _ROOT_PI)),
    "special.erfc": Rule("x, /", x=lambda xp, g, _out, x: _gauss(xp, g, x, 1.0, -2 / _ROOT_PI)),
    "special.expit": Rule("x, /", x=lambda xp, g, out, _x: g * (out * (1 - out))),
    "special.gammaln": Rule("x, /", x=lambda xp, g, _out, x: g * _digamma(xp, x)),
    "special.log_expit": Rule("x, /", x=lambda xp, g, _out, x: g * _opposite_expit(xp, x)),
    "special.logsumexp": Rule("x, /, *, axis=None, keepdims=False", x=_logsumexp),
    "special.ndtr": Rule("x, /", x=lambda xp, g, _out, x: _gauss(xp, g, x, 0.5, 1 / (math.sqrt(2) * _ROOT_PI))),
    "special.xlogy": Rule("x1, x2, /", x1=_xlogy_x1, x2=_xlogy_x2),
}
