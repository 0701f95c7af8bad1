"""Special functions of raw and traced arrays of every library; no SciPy is needed.

Floating-point arrays in, the same shape and dtype out. Inside a differentiated function they are recorded, and have
gradients of every order.
"""

from __future__ import annotations

from typing import Any

from .namespace import special as _raw
from .namespace.array import Array

__all__ = ["erf", "erfc", "expit", "gammaln", "log_expit", "logsumexp", "ndtr", "xlogy"]


def erf(x: Any, /) -> Any:
    """The error function 2 / sqrt(pi) * integral of exp(-t**2) from 0 to x. x (...) -> (...)"""
    return _of(x).erf(x)


def erfc(x: Any, /) -> Any:
    """1 - erf(x), accurate where erf(x) is close to 1. x (...) -> (...)"""
    return _of(x).erfc(x)


def expit(x: Any, /) -> Any:
    """The logistic sigmoid 1 / (1 + exp(-x)). x (...) -> (...)"""
    return _of(x).expit(x)


def gammaln(x: Any, /) -> Any:
    """The logarithm of the absolute value of the gamma function. x (...) -> (...)"""
    return _of(x).gammaln(x)


def log_expit(x: Any, /) -> Any:
    """log(expit(x)), accurate in both tails. x (...) -> (...)"""
    return _of(x).log_expit(x)


def logsumexp(x: Any, /, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) over one, several or all axes, without overflow. x (...) -> (...) without the axes"""
    return _of(x).logsumexp(x, axis=axis, keepdims=keepdims)


def ndtr(x: Any, /) -> Any:
    """The distribution function of the normal distribution. x (...) -> (...)"""
    return _of(x).ndtr(x)


def xlogy(x1: Any, x2: Any, /) -> Any:
    """x1 * log(x2), and 0 where x1 is 0 unless x2 is nan. x1, x2 (...) -> (...), broadcast; one may be a number"""
    return _of(x1, x2).xlogy(x1, x2)


def _of(*arrays: Any) -> Any:
    """The functions for raw arrays, or those that record."""
    box = next((x for x in arrays if type(x) is Array), None)
    return _raw if box is None else box.__array_namespace__().special
