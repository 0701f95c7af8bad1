"""Special functions of raw arrays, which the standard has not: written in functions of the standard, for every library.

They are accurate to a few units in the last place in float64, also far out in the tails. The polynomials are Chebyshev
series of the functions named with them, turned into powers (highest first), all of them well conditioned.
"""

from __future__ import annotations

import math
from typing import Any

from .array import Array
from .lean import lean
from .libraries import array_device, raw_namespace
from .lift import lift
from .rule import Rule

__all__ = ["erf", "erfc", "expit", "gammaln", "log_expit", "logsumexp", "ndtr", "polygamma", "xlogy"]

# erf(x) / x on 0 <= x <= 1, in 2 x**2 - 1
_ERF = (
    -3.8078827395263415e-13, 9.211251258348265e-12, -2.035228404899467e-10, 4.115751497588646e-09, -7.51156928660089e-08,
    1.2233827638116999e-06, -1.7537169441124826e-05, 0.00021751715603563404, -0.0022854855611441132, 0.019852496688984218,
    -0.1405360890227171, 0.9654687386698673,
)  # fmt: skip
# (1 + 2 x) exp(x**2) erfc(x) on 1/2 <= x, in 1 - 8.5 / (x + 3.75), which goes from -1 to 1
_ERFC = (
    7.587356859387078e-11, -4.582251643960748e-11, -1.0041355268089822e-09, 8.64920940965038e-10, 8.334626749816433e-09,
    -1.2099169741372735e-08, -5.761202307373951e-08, 1.5600394613744387e-07, 2.908223438093476e-07, -1.812874438427619e-06,
    7.161304806907899e-07, 1.5886613597836945e-05, -5.046255817855475e-05, -7.550854457519601e-06, 0.0006163684452854351,
    -0.002857358019748799, 0.008370971289459364, -0.01834027361854601, 0.031165502863171043, -0.03952116335240577,
    0.028932667379783894, 0.0194136294152093, -0.12053676481185699, 1.2211784257075968,
)  # fmt: skip
# log(gamma(x)) / ((x - 1) (x - 2)) on 3/2 <= x <= 5/2, in 2 (x - 2)
_LOG_GAMMA = (
    -1.927209520143327e-12, 7.992083559273627e-12, -2.50500703795846e-11, 1.0674693605190995e-10, -4.707445038570993e-10,
    2.011113823139402e-09, -8.623138738014243e-09, 3.7272066709849786e-08, -1.6229545709362817e-07, 7.130970293621273e-07,
    -3.169588975938308e-06, 1.4302764256832122e-05, -6.587908856955386e-05, 0.0003124150728086002, -0.0015480240241709283,
    0.00824125015528839, -0.050158650837176966, 0.42278433509846713,
)  # fmt: skip
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)  # numbers 2, 4, ..., 16
_STIRLING = tuple(b / (2 * k * (2 * k - 1)) for k, b in reversed(list(enumerate(_BERNOULLI, 1))))
_FAR = 8.0  # from here on Stirling's series with these terms is exact to rounding


def erf(x: Any, /) -> Any:
    """The error function 2 / sqrt(pi) * integral of exp(-t**2) from 0 to x. x (...) -> (...)"""
    xp = _real_namespace(x, "erf")
    y = _size(xp, x)
    outside = 1 - _erfcx(xp, y) * _gauss(xp, y, 1.0)
    return xp.where(y < 1, _erf_centre(xp, x), xp.where(x < 0, -outside, outside))


def erfc(x: Any, /) -> Any:
    """1 - erf(x), accurate where erf(x) is close to 1. x (...) -> (...)"""
    xp = _real_namespace(x, "erfc")
    y = _size(xp, x)
    tail = _erfcx(xp, y) * _gauss(xp, y, 1.0)
    return xp.where(y < 0.5, 1 - _erf_centre(xp, x), xp.where(x < 0, 2 - tail, tail))


def ndtr(x: Any, /) -> Any:
    """The distribution function of the normal distribution. x (...) -> (...)"""
    xp = _real_namespace(x, "ndtr")
    y = _size(xp, x)
    tail = _erfcx(xp, y * math.sqrt(0.5)) * _gauss(xp, y, 0.5) / 2
    return xp.where(y < 0.75, 0.5 + _erf_centre(xp, x * math.sqrt(0.5)) / 2, xp.where(x < 0, tail, 1 - tail))


def _size(xp: Any, x: Any) -> Any:
    """abs(x), no larger than where erfc is 0."""
    return xp.minimum(xp.abs(x), xp.full_like(x, 64))


def _erf_centre(xp: Any, x: Any) -> Any:
    x = xp.minimum(xp.maximum(x, xp.full_like(x, -1)), xp.full_like(x, 1))
    return x * _polynomial(_ERF, 2 * x * x - 1)


def _erfcx(xp: Any, y: Any) -> Any:
    """exp(y**2) erfc(y), for y >= 1/2."""
    return _polynomial(_ERFC, 1 - 8.5 / (y + 3.75)) / (1 + 2 * y)


def _gauss(xp: Any, y: Any, scale: float) -> Any:
    """exp(-scale * y**2) for y >= 0; the square is split, as its rounding error would be one of the result's exponent."""
    near = xp.round(y * 16) / 16  # its square is exact
    return xp.exp(near * near * -scale) * xp.exp((y - near) * (y + near) * -scale)


def expit(x: Any, /) -> Any:
    """The logistic sigmoid 1 / (1 + exp(-x)). x (...) -> (...)"""
    xp = _real_namespace(x, "expit")
    small = xp.exp(-xp.abs(x))
    return xp.where(x < 0, small, xp.ones_like(x)) / (1 + small)


def log_expit(x: Any, /) -> Any:
    """log(expit(x)). x (...) -> (...)"""
    xp = _real_namespace(x, "log_expit")
    return xp.minimum(x, xp.zeros_like(x)) - xp.log1p(xp.exp(-xp.abs(x)))


def xlogy(x1: Any, x2: Any, /) -> Any:
    """x1 * log(x2), and 0 where x1 is 0 unless x2 is nan. x1, x2 (...) -> (...), broadcast"""
    array = x1 if hasattr(x1, "dtype") else x2
    xp = _real_namespace(array, "xlogy")
    x1, x2 = (
        x if hasattr(x, "dtype") else xp.asarray(x, dtype=array.dtype, device=array_device(array)) for x in (x1, x2)
    )
    zero = (x1 == 0) & ~xp.isnan(x2)
    return xp.where(zero, xp.zeros_like(x1), x1 * xp.log(xp.where(zero, xp.ones_like(x2), x2)))


def logsumexp(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) over axes, without overflow. x (...) -> (...) without the axes"""
    xp = _real_namespace(x, "logsumexp")
    if 0 in x.shape:
        total = xp.sum(x, axis=axis, keepdims=keepdims)
        return xp.full_like(total, -math.inf)
    top = xp.max(x, axis=axis, keepdims=True)
    shift = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    total = xp.sum(xp.exp(x - shift), axis=axis, keepdims=True)
    empty = total == 0
    result = xp.where(empty, top, xp.log(xp.where(empty, xp.ones_like(total), total)) + shift)
    return result if keepdims else xp.squeeze(result, axis=tuple(range(x.ndim)) if axis is None else axis)


def gammaln(x: Any, /) -> Any:
    """The logarithm of the absolute value of the gamma function. x (...) -> (...)"""
    xp = _real_namespace(x, "gammaln")
    y = xp.abs(x)
    value = xp.where(y < _FAR, _log_gamma_near(xp, y), _log_gamma_far(xp, y))
    # left of 0: gamma(x) gamma(-x) = -pi / (x sin(pi x))
    negative = xp.logical_and(x < 0, xp.isfinite(x))
    left = xp.where(negative, y, xp.full_like(y, 0.5))
    turn = xp.abs(xp.sin(math.pi * (left - xp.round(left))))
    pole = (turn == 0) | (x == 0)
    reflected = math.log(math.pi) - xp.log(left) - xp.log(xp.where(pole, xp.ones_like(turn), turn)) - value
    return xp.where(pole | xp.isinf(x), xp.full_like(x, math.inf), xp.where(negative, reflected, value))


def _log_gamma_near(xp: Any, y: Any) -> Any:
    """For 0 < y < 8: from 3/2 ... 5/2, where the zeros at 1 and 2 can be split off, by the recurrence of gamma."""
    one = xp.ones_like(y)
    y = xp.minimum(xp.where(y == 0, one, y), one * _FAR)
    factor = one
    for _ in range(6):
        high = y > 2.5
        y = xp.where(high, y - 1, y)
        factor = xp.where(high, factor * y, factor)
    log_factor = xp.log(factor)
    tiny, low = y < 0.5, y < 1.5
    # below 3/2: log gamma(y) = log gamma(y + 1) - log(y), and once more below 1/2
    log_factor = xp.where(low, -xp.log1p(xp.where(low, xp.where(tiny, y, y - 1), one)), log_factor)
    log_factor = log_factor - xp.where(tiny, xp.log(xp.where(tiny, y, one)), 0 * one)
    above = xp.where(tiny, y, xp.where(low, y - 1, y - 2))  # the argument that is left, less 2
    return log_factor + above * (above + 1) * _polynomial(_LOG_GAMMA, 2 * above)


def _log_gamma_far(xp: Any, y: Any) -> Any:
    y = xp.maximum(y, xp.full_like(y, _FAR))
    r = 1 / y
    return (y - 0.5) * (xp.log(y) - 1) + (0.5 * math.log(2 * math.pi) - 0.5) + r * _polynomial(_STIRLING, r * r)


def polygamma(x: Any, n: int, /) -> Any:
    """The derivative number n + 1 of gammaln, for x > 0; n = 0 is digamma. x (...) -> (...), raw or traced"""
    return (_traced_polygamma if type(x) is Array else _polygamma)(x, n)


def _polygamma(x: Any, n: int, /) -> Any:
    """By recurrence up to an x from which on the asymptotic series holds."""
    xp = _real_namespace(x, "polygamma")
    sign, factorial = (-1) ** (n + 1), math.factorial(n)
    total = xp.zeros_like(x)
    far = _FAR + 2 + n
    for _ in range(int(far)):
        near = x < far
        total = xp.where(near, total + xp.where(near, x, xp.ones_like(x)) ** -(n + 1), total)
        x = xp.where(near, x + 1, x)
    total = factorial * total + factorial / 2 * x ** -(n + 1)
    total = total - xp.log(x) if n == 0 else total + math.factorial(n - 1) * x**-n
    for k, b in enumerate(_BERNOULLI, 1):
        total = total + (b * math.factorial(2 * k + n - 1) / math.factorial(2 * k)) * x ** -(2 * k + n)
    return sign * total


_traced_polygamma = lift("polygamma", _polygamma, Rule("x, n, /", x=lambda xp, g, _out, x, n: g * polygamma(x, n + 1)))


def _polynomial(coefficients: tuple[float, ...], x: Any) -> Any:
    """By Horner's rule, in place: what it writes to is its own."""
    value = x * coefficients[0]
    for c in coefficients[1:-1]:
        value += c
        value *= x
    value += coefficients[-1]
    return value


def _real_namespace(x: Any, name: str) -> Any:
    xp = raw_namespace(x)
    if not xp.isdtype(x.dtype, "real floating"):
        raise TypeError(f"{name}: expected a real floating-point array, got dtype {x.dtype}")
    return lean(xp)
