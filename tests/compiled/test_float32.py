"""The functions of single numbers against float64: how far they are off, and what they make of nan and inf."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

numba = pytest.importorskip("numba")

from xpnn.compiled import float32  # noqa: E402

EVERYWHERE = np.concatenate(
    (np.linspace(-30, 30, 40001), np.geomspace(1e-30, 30, 2001), -np.geomspace(1e-30, 30, 2001))
)
BELOW = np.concatenate((np.linspace(-30, 0, 20001), -np.geomspace(1e-30, 1, 2001)))
UNIT = np.concatenate((np.linspace(0, 1, 20001), np.geomspace(1e-30, 1, 2001)))


def phi(x: Any) -> Any:
    return np.array([math.erfc(-v / math.sqrt(2)) / 2 for v in x])


CASES: dict[str, tuple[Callable[[Any], Any], Any, float]] = {
    "exp": (np.exp, EVERYWHERE, 2e-7),
    "expm1": (np.expm1, BELOW, 2e-7),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), EVERYWHERE, 4e-7),
    "tanh": (np.tanh, EVERYWHERE, 3e-7),
    "log1p": (np.log1p, UNIT, 2e-7),
}


def applied(name: str, x: Any) -> Any:
    function = getattr(float32, name)

    @numba.njit  # type: ignore[untyped-decorator]
    def each(x: Any, y: Any) -> None:
        for i in range(len(x)):
            y[i] = function(x[i])

    y = np.empty(len(x), np.float32)
    each(x.astype(np.float32), y)
    return y


@pytest.mark.parametrize("name", CASES)
def test_the_relative_error_is_that_of_a_few_roundings(name: str) -> None:
    exact, x, bound = CASES[name]
    x = x.astype(np.float32)
    expected = exact(x.astype(np.float64))
    error = np.abs(applied(name, x) - expected) / np.maximum(np.abs(expected), np.finfo(np.float32).tiny)
    assert error.max() < bound


def test_the_distribution_function_is_accurate_in_its_tail_too() -> None:
    @numba.njit  # type: ignore[untyped-decorator]
    def each(x: Any, y: Any) -> None:
        for i in range(len(x)):
            y[i] = float32.cdf(x[i])[0]

    x = np.linspace(-12, 12, 20001).astype(np.float32)
    y = np.empty_like(x)
    each(x, y)
    # exp(-x²/2) multiplies the rounding of x²/2 by its size.
    assert (np.abs(y / phi(x.astype(np.float64)) - 1) < 1e-6 * np.maximum(1, x.astype(np.float64) ** 2 / 4)).all()


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("exp", 0, math.inf), ("sigmoid", 0, 1), ("tanh", -1, 1), ("expm1", -1, None), ("log1p", None, None)],
)
def test_nan_stays_and_infinities_are_the_limits(name: str, low: float | None, high: float | None) -> None:
    nan, bottom, top = applied(name, np.array([np.nan, -np.inf, np.inf]))
    assert np.isnan(nan)
    assert low is None or bottom == low
    assert high is None or top == high


def test_exp_goes_through_the_smallest_numbers_to_zero() -> None:
    x = np.array([-86.0, -87.0, -88.0, -95.0, -103.0, -104.5, -200.0])
    assert np.allclose(applied("exp", x), np.exp(x).astype(np.float32), rtol=1e-6, atol=1.5e-45)
