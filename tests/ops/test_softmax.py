"""softmax and log_softmax: values and gradients of torch along every axis, rows with infinities and nan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import nn, ops
from xpnn.primitive import explain

from ..conftest import Library
from .against_torch import check_against_torch

RNG = np.random.default_rng(0)
X = np.array([[-800.0, -30.0, -2.5, -1e-3], [0.0, 1e-3, 1.5, 25.0], [-0.7, 0.3, 19.0, 900.0]])
MAP = RNG.normal(size=(2, 3, 4, 2)) * 4

both = pytest.mark.parametrize("name", ["softmax", "log_softmax"])


def function(name: str, axis: int) -> Callable[[Any], Any]:
    return lambda x: getattr(ops, name)(x, axis=axis)


@both
@pytest.mark.parametrize(("x", "axis"), [(X, -1), (X, 0), (X, 1), (X[0], 0), (MAP, 1), (MAP, -2), (MAP[:, :0], 2)])
def test_values_and_gradients_of_torch(name: str, x: Any, axis: int, lib: Library) -> None:
    def theirs(x: Any) -> Any:
        import torch

        return getattr(torch, name)(x, axis)

    check_against_torch(lib, function(name, axis), theirs, (x,))


@both
@pytest.mark.parametrize("axis", [0, 1])
def test_second_derivatives_by_central_differences(name: str, axis: int) -> None:
    x = np.array([[-1.7, -0.4, 0.2], [0.9, 2.3, -3.1]])
    w, v = np.random.default_rng(0).normal(size=(2, *x.shape))

    def total(x: Any) -> Any:
        return xpnn.namespace(x).sum(x)

    def slope(x: Any) -> Any:
        return total(xpnn.grad(lambda x: total(w * function(name, axis)(x)))(x) * v)

    h = 1e-5
    steps = [np.where(np.arange(x.size).reshape(x.shape) == i, h, 0) for i in range(x.size)]
    expected = np.reshape([(slope(x + s) - slope(x - s)) / (2 * h) for s in steps], x.shape)
    np.testing.assert_allclose(xpnn.grad(slope)(x), expected, rtol=1e-5, atol=1e-8)


@both
def test_dtype_is_kept(name: str, lib: Library) -> None:
    x = lib.asarray(X[1:2] / 10, np.float32)
    y = function(name, -1)(x)
    assert y.dtype == x.dtype
    np.testing.assert_allclose(lib.to_numpy(y), function(name, -1)(X[1:2] / 10), rtol=1e-5, atol=1e-6)


def test_rows_with_infinities_and_nan() -> None:
    inf, nan = np.inf, np.nan
    x = np.array([[-inf, 0.0, 0.0], [-inf, -inf, -inf], [inf, 0.0, -inf], [nan, 0.0, 0.0], [1e4, 0.0, -1e4]])
    with np.errstate(invalid="ignore", divide="ignore"):
        p, logp = ops.softmax(x), ops.log_softmax(x)
    np.testing.assert_allclose(p, [[0, 0.5, 0.5], [nan] * 3, [nan] * 3, [nan] * 3, [1, 0, 0]])
    np.testing.assert_allclose(logp[0], [-inf, -np.log(2), -np.log(2)])
    np.testing.assert_array_equal(logp[1:], [[nan] * 3, [nan] * 3, [nan] * 3, [0, -1e4, -2e4]])


@both
def test_the_layers_are_the_primitives(name: str) -> None:
    layer = {"softmax": nn.Softmax, "log_softmax": nn.LogSoftmax}[name](dim=1)
    (line,) = explain(layer, MAP)
    assert line.startswith(f"{name}: reference")
    assert np.array_equal(layer(MAP), function(name, 1)(MAP))


@both
def test_an_axis_that_is_not_there(name: str) -> None:
    for x, axis in [(X, 2), (X, -3)]:
        with pytest.raises(ValueError, match="axis"):
            function(name, axis)(x)
