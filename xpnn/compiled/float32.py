"""Functions of single float32 numbers that LLVM turns into vector instructions; imports Numba.

The polynomials are least squares at Chebyshev nodes, weighted until the largest relative error is level.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit

__all__ = ["cdf", "compiled", "exp", "expm1", "inline", "log1p", "pointwise", "search", "sigmoid", "tanh"]

# Sums may be taken in another order and products joined with sums, but nan and inf are honoured.
_FAST = {"contract", "reassoc", "arcp", "nsz"}

Function = TypeVar("Function", bound=Callable[..., Any])
_njit: Any = functools.partial(njit, nogil=True, error_model="numpy")


def compiled(function: Function) -> Function:
    """A loop, compiled at its first call; the machine code is kept on disk."""
    return _njit(cache=True, fastmath=_FAST)(function)  # type: ignore[no-any-return]


def pointwise(function: Function) -> Function:
    """A loop whose differences and sums of three are taken in the order in which they are written."""
    return _njit(cache=True, fastmath={"contract", "nsz"})(function)  # type: ignore[no-any-return]


def inline(function: Function) -> Function:
    """A part of loops."""
    return _njit(fastmath=_FAST, inline="always")(function)  # type: ignore[no-any-return]


def search(function: Function) -> Function:
    """A loop that may take nan for anything, so that looking for the largest becomes vector instructions."""
    return _njit(cache=True, fastmath={"nnan", "nsz"})(function)  # type: ignore[no-any-return]


_f = np.float32
_ONE, _HALF = _f(1), _f(0.5)
# ln 2 as a number of few bits and the rest, so that a multiple of the first is exact.
_LOG2_E, _LN2, _LN2_REST = _f(1.442695040888963), _f(0.693359375), _f(-2.12194440e-4)
_LOWEST, _HIGHEST = _f(-104.0), _f(89.0)
_EXP = tuple(_f(c) for c in (0.5, 0.16666573286, 0.04166686162, 0.00836373959, 0.00139015191))
_TANH = tuple(_f(c) for c in (-0.33333328366, 0.13332663476, -0.05383519083, 0.02092433535, -0.00599318789))
_ATANH = tuple(_f(c) for c in (0.33333340287, 0.19999346137, 0.14310359955, 0.10696629435, 0.12206519395))
_CDF = tuple(
    _f(c)
    for c in (
        1.4340739653562196e-05, 0.23897531628608704, 0.24384114146232605, 0.18936508893966675, 0.2850760519504547,
        -0.15302076935768127, 0.4573274552822113, -0.33833596110343933, 0.07675738632678986,
    )
)  # fmt: skip
_CDF_SLOPE, _ROOT_HALF = _f(0.3), _f(0.7071067811865476)


@inline
def _power(n: Any) -> Any:
    """2 ** n of a whole float n from -126 to 127."""
    return np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


@inline
def _reduced(x: Any) -> Any:
    """(n, r, exp(r) - 1) with x = n ln 2 + r; x between the limits."""
    n = np.floor(x * _LOG2_E + _HALF)
    r = x - n * _LN2 - n * _LN2_REST
    q = (((_EXP[4] * r + _EXP[3]) * r + _EXP[2]) * r + _EXP[1]) * r + _EXP[0]
    return n, r * r * q + r


@inline
def exp(x: Any) -> Any:
    """Relative error below 2e-7; 0 at -inf, inf from 89 on."""
    n, p = _reduced(min(max(x, _LOWEST), _HIGHEST))
    half = np.floor(n * _HALF)
    y = (p + _ONE) * _power(half) * _power(n - half)
    return y + (x - x) if x != x else (_f(0) if x < _LOWEST else y)


@inline
def expm1(x: Any) -> Any:
    """exp(x) - 1 for x <= 0, without cancellation near 0."""
    n, p = _reduced(min(max(x, _f(-30.0)), _f(0.0)))
    power = _power(n)
    y = power * p + (power - _ONE)
    return x if x != x else y


@inline
def sigmoid(x: Any) -> Any:
    return _ONE / (_ONE + exp(-x))


@inline
def tanh(x: Any) -> Any:
    """An odd polynomial near 0, by exp beyond it."""
    u = x * x
    near = x + x * u * ((((_TANH[4] * u + _TANH[3]) * u + _TANH[2]) * u + _TANH[1]) * u + _TANH[0])
    size = abs(x)
    far = _ONE - _f(2) / (exp(size + size) + _ONE)
    return near if size < _f(0.625) else (far if x > 0 else -far)


@inline
def log1p(e: Any) -> Any:
    """log(1 + e) for e from 0 to 1: twice the artanh of e / (2 + e)."""
    s = e / (_f(2) + e)
    u = s * s
    q = (((_ATANH[4] * u + _ATANH[3]) * u + _ATANH[2]) * u + _ATANH[1]) * u + _ATANH[0]
    return _f(2) * (s + s * u * q)


@inline
def cdf(x: Any) -> Any:
    """(Φ(x), exp(-x²/2)), Φ the normal distribution function: relative error small in the left tail, too."""
    size = abs(x)
    t = _ONE / (_ONE + _CDF_SLOPE * size)
    q = _CDF[8]
    q = (((q * t + _CDF[7]) * t + _CDF[6]) * t + _CDF[5]) * t + _CDF[4]
    q = (((q * t + _CDF[3]) * t + _CDF[2]) * t + _CDF[1]) * t + _CDF[0]
    e = exp(-_HALF * x * x)
    tail = _HALF * e * q
    return (tail if x < 0 else _ONE - tail), e
