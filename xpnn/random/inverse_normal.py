"""Logarithm and inverse normal distribution whose results have the same bits on every library.

Libraries differ in the last bit of log, exp or cos. Here every rounded operation is one of + - * / and sqrt on float64,
which IEEE 754 fixes to the bit, and every operation is an array operation of its own, so that no compiler can contract
two of them into a fused multiply-add.
"""

from __future__ import annotations

import math
from typing import Any

# Algorithm AS 241 (PPND16), Wichura, Applied Statistics 37 (1988): numerators and denominators, highest power first.
_CENTRE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457, 13731.693765509461125,
     1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867, 5394.1960214247511077,
     687.1870074920579083, 42.313330701600911252, 1.0),
)  # fmt: skip
_TAIL = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
     3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
     0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0),
)  # fmt: skip
_FAR_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093,
     0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
     0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0),
)  # fmt: skip
_CENTRE_REACH = 0.425
FAR = math.exp(-25.0)  # below this tail probability, sqrt(-log p) passes 5 and the far tail's coefficients hold

# log(1 + f) = 2 s + 2/3 s**3 + 2/5 s**5 + ..., s = f / (2 + f), |s| < 0.1716: the terms left out are below 2**-55.
_LOG_SERIES = tuple(2.0 / (2 * k + 1) for k in range(10, -1, -1))
_LN2_HIGH = float.fromhex("0x1.62e42fefa0000p-1")  # 33 bits: times an exponent it is exact
_LN2_LOW = float.fromhex("0x1.cf79abc9e3b3ap-40")
_ROOT_HALF, _ROOT_TWO = math.sqrt(0.5), math.sqrt(2.0)
_POWERS = tuple(2.0**k for k in range(1023))


def ndtri(p: Any, least: float, xp: Any, device: Any = None) -> Any:
    """The x below which a normal variable lies with probability p. p -> x, any shape, float64

    `least` is a lower bound of p and of 1 - p, at least 2**-1022; what it rules out of the tails is not computed.
    """
    q = p - 0.5
    distance = xp.abs(q)
    x = q * _ratio(_CENTRE, 0.180625 - q * q)
    if least < 0.5 - _CENTRE_REACH:
        tail = _tail(xp.minimum(p, 1.0 - p), least, xp, device)
        x = xp.where(distance <= _CENTRE_REACH, x, xp.where(q < 0.0, -tail, tail))
    return x


def log(x: Any, xp: Any, device: Any = None) -> Any:
    """The natural logarithm of 2**-1022 <= x < 1. x -> y, any shape, float64"""
    m, exponent = _frexp(x, xp, device)
    s = (m - 1.0) / (m + 1.0)
    y = s * _polynomial(_LOG_SERIES, s * s)
    y += exponent * _LN2_LOW
    y += exponent * _LN2_HIGH
    return y


def _frexp(x: Any, xp: Any, device: Any) -> tuple[Any, Any]:
    """x = m * 2**exponent with sqrt(1/2) <= m < sqrt(2). -> m, exponent, both float64 and of x's shape"""
    down = xp.floor(0.5 - xp.log2(x))
    powers = xp.asarray(_POWERS, dtype=xp.float64, device=device)
    scale = xp.take(powers, xp.reshape(xp.astype(down, xp.int64), (-1,)))
    m = x * xp.reshape(scale, x.shape)
    # log2 is not exact, so `down` may be off by one; m is exact, tells, and makes the pair unique.
    m, down = _shift(m < _ROOT_HALF, m, 2.0, down, 1.0, xp)
    m, down = _shift(m >= _ROOT_TWO, m, 0.5, down, -1.0, xp)
    return m, -down


def _shift(where: Any, m: Any, factor: float, down: Any, step: float, xp: Any) -> tuple[Any, Any]:
    return xp.where(where, m * factor, m), xp.where(where, down + step, down)


def normal_cdf(x: float) -> float:
    """The probability that a normal variable lies below `x`; for x < 0 with all its digits, however small."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def _tail(p: Any, least: float, xp: Any, device: Any) -> Any:
    """-ndtri(p) for p < 0.075; elements of the centre get any finite value."""
    r = xp.sqrt(-log(xp.minimum(p, 0.5 - _CENTRE_REACH), xp, device))
    x = _ratio(_TAIL, r - 1.6)
    if least < FAR:
        x = xp.where(r <= 5.0, x, _ratio(_FAR_TAIL, r - 5.0))
    return x


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Any) -> Any:
    top, bottom = (_polynomial(c, x) for c in coefficients)
    return top / bottom


def _polynomial(coefficients: tuple[float, ...], x: Any) -> Any:
    """Horner's rule, in place: the coefficient of the highest power comes first."""
    y = x * coefficients[0]
    for c in coefficients[1:-1]:
        y += c
        y *= x
    y += coefficients[-1]
    return y
