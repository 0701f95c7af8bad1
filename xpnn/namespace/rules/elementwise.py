"""Element-wise functions of the standard. Ties are split evenly, as central differences see them.

Where a function has a kink, as abs and hypot in the origin, the gradient is a subgradient: 0 there.
"""

from __future__ import annotations

import cmath
import math
from typing import Any

from ...tape import sum_to
from ..rule import Rule
from .helpers import conj, is_complex, one_where


def _unary(gradient: Any) -> Rule:
    return Rule("x, /", x=gradient)


def _binary(x1: Any, x2: Any) -> Rule:
    return Rule("x1, x2, /", x1=x1, x2=x2)


def _where_true(xp: Any, g: Any, condition: Any) -> Any:
    return g * xp.astype(condition, g.dtype)


def _is_number(x: Any) -> bool:
    return isinstance(x, int | float | complex)


def _divide_x2(xp: Any, g: Any, out: Any, _x: Any, y: Any) -> Any:
    """-g * out / y, summed to the shape of a broadcast y before the division: rows of a softmax have one sum each."""
    product = g * out
    if product.shape != y.shape:
        product = sum_to(xp, product, y.shape)
    return product / -y


def _pow_x1(xp: Any, g: Any, _out: Any, x: Any, y: Any) -> Any:
    if _is_number(y):
        return g * (2 * x) if y == 2 else g * (y * x ** (y - 1)) if y else xp.zeros_like(g)
    # y = 0 has slope 0 everywhere, also where x ** (y - 1) is infinite
    zero = xp.astype(y == 0, y.dtype)
    return g * y * x ** (y - 1 + zero)


def _pow_x2(xp: Any, g: Any, out: Any, x: Any, _y: Any) -> Any:
    """Base 0 gives 0; so does a negative real base, whose powers are defined for integer exponents only."""
    if _is_number(x):
        if is_complex(xp, out):
            return g * out * cmath.log(x) if x else xp.zeros_like(g)
        return g * out * math.log(x) if x > 0 else xp.zeros_like(g)
    return g * out * xp.log(one_where(xp, x == 0 if is_complex(xp, x) else x <= 0, x))


def _ordered(xp: Any, g: Any, won: Any, tied: Any) -> Any:
    """g where the argument won, half of it at a tie."""
    return g * (xp.astype(won, g.dtype) + 0.5 * xp.astype(tied, g.dtype))


def _abs(xp: Any, g: Any, _out: Any, x: Any) -> Any:
    if not is_complex(xp, x):
        return g * xp.sign(x)
    size = xp.abs(x)
    return g * xp.conj(x) / one_where(xp, size == 0, size)


def _sign(xp: Any, g: Any, out: Any, x: Any) -> Any:
    """Of a complex number the sign is x / abs(x), which turns with x."""
    if not is_complex(xp, x):
        return xp.zeros_like(g)
    size = xp.abs(x)
    turn = g - xp.astype(xp.real(g * out), g.dtype) * xp.conj(out)
    return turn / one_where(xp, size == 0, size)


def _logaddexp(xp: Any, g: Any, out: Any, x: Any) -> Any:
    """Where both arguments, and so the result, are -inf, the gradient is 0."""
    return g * xp.exp(x - xp.where(out == -math.inf, xp.zeros_like(out), out))


RULES: dict[str, Any] = {
    # ---- arithmetic
    "add": _binary("g", "g"),
    "subtract": _binary("g", "-g"),
    "multiply": _binary("g * x2", "g * x1"),
    "divide": _binary("g / x2", _divide_x2),
    "pow": _binary(_pow_x1, _pow_x2),
    "remainder": _binary("g", "-g * xp.floor(x1 / x2)"),
    "negative": _unary("-g"),
    "positive": _unary("g"),
    "reciprocal": _unary("-g * out * out"),
    "square": _unary("g * (2 * x)"),
    "sqrt": _unary("g / (2 * out)"),
    "hypot": _binary(
        lambda xp, g, out, x, _y: g * x / one_where(xp, out == 0, out),
        lambda xp, g, out, _x, y: g * y / one_where(xp, out == 0, out),
    ),
    # ---- absolute value, sign, order
    "abs": _unary(_abs),
    "sign": _unary(_sign),
    "copysign": Rule(
        "x1, x2, /", constant="x2", x1=lambda xp, g, out, x, _y: xp.where(xp.signbit(x) == xp.signbit(out), g, -g)
    ),
    "nextafter": Rule("x1, x2, /", constant="x2", x1="g"),
    "maximum": _binary(
        lambda xp, g, _out, x, y: _ordered(xp, g, x > y, x == y),
        lambda xp, g, _out, x, y: _ordered(xp, g, x < y, x == y),
    ),
    "minimum": _binary(
        lambda xp, g, _out, x, y: _ordered(xp, g, x < y, x == y),
        lambda xp, g, _out, x, y: _ordered(xp, g, x > y, x == y),
    ),
    # At a bound the gradient goes to x alone, as it does in torch.
    "clip": Rule(
        "x, /, min=None, max=None",
        x=lambda xp, g, out, x, _min, _max: _where_true(xp, g, x == out),
        min=lambda xp, g, out, x, _min, _max: _where_true(xp, g, x < out),
        max=lambda xp, g, out, x, _min, _max: _where_true(xp, g, x > out),
    ),
    # ---- exponential and logarithm
    "exp": _unary("g * out"),
    "expm1": _unary("g * (out + 1)"),
    "log": _unary("g / x"),
    "log1p": _unary("g / (1 + x)"),
    "log2": _unary("g / (x * math.log(2))"),
    "log10": _unary("g / (x * math.log(10))"),
    "logaddexp": _binary(
        lambda xp, g, out, x, _y: _logaddexp(xp, g, out, x),
        lambda xp, g, out, _x, y: _logaddexp(xp, g, out, y),
    ),
    # ---- trigonometric and hyperbolic
    "sin": _unary("g * xp.cos(x)"),
    "cos": _unary("-g * xp.sin(x)"),
    "tan": _unary("g * (1 + out * out)"),
    "asin": _unary("g / xp.sqrt(1 - x * x)"),
    "acos": _unary("-g / xp.sqrt(1 - x * x)"),
    "atan": _unary("g / (1 + x * x)"),
    "atan2": _binary("g * x2 / (x2 * x2 + x1 * x1)", "-g * x1 / (x2 * x2 + x1 * x1)"),
    "sinh": _unary("g * xp.cosh(x)"),
    "cosh": _unary("g * xp.sinh(x)"),
    "tanh": _unary("g * (1 - out * out)"),
    "asinh": _unary("g / xp.sqrt(x * x + 1)"),
    # two roots, not the root of the product: the branch cut of complex x then lies where acosh has it
    "acosh": _unary("g / (xp.sqrt(x - 1) * xp.sqrt(x + 1))"),
    "atanh": _unary("g / (1 - x * x)"),
    # ---- parts of complex numbers
    "real": _unary(lambda xp, g, _out, _x: xp.astype(g, _x.dtype)),
    "imag": _unary(lambda xp, g, _out, _x: xp.astype(g, _x.dtype) * -1j),
    "conj": _unary(lambda xp, g, _out, _x: conj(xp, g)),
}
