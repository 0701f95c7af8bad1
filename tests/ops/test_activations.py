"""Activations: values and gradients of torch, also at corners and far out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import ops

from ..conftest import Library
from .against_torch import check_against_torch

X = np.array([[-800.0, -30.0, -2.5, -1e-3], [0.0, 1e-3, 1.5, 25.0], [-0.7, 0.3, 19.0, 900.0]])
CASES: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    "tanh": (ops.tanh, lambda t, x: t.tanh(x)),
    "silu": (ops.silu, lambda t, x: t.nn.functional.silu(x)),
    "gelu": (ops.gelu, lambda t, x: t.nn.functional.gelu(x)),
    "gelu tanh": (lambda x: ops.gelu(x, approximate="tanh"), lambda t, x: t.nn.functional.gelu(x, approximate="tanh")),
    "softplus": (ops.softplus, lambda t, x: t.nn.functional.softplus(x)),
    "softplus 0.5": (
        lambda x: ops.softplus(x, beta=0.5, threshold=10),
        lambda t, x: t.nn.functional.softplus(x, beta=0.5, threshold=10),
    ),
    "elu": (ops.elu, lambda t, x: t.nn.functional.elu(x)),
    "elu 0.3": (lambda x: ops.elu(x, alpha=0.3), lambda t, x: t.nn.functional.elu(x, alpha=0.3)),
    "leaky_relu": (ops.leaky_relu, lambda t, x: t.nn.functional.leaky_relu(x)),
}


@pytest.mark.parametrize("name", list(CASES))
def test_values_and_gradients_of_torch(name: str, lib: Library) -> None:
    def theirs(x: Any) -> Any:
        import torch

        return CASES[name][1](torch, x)

    check_against_torch(lib, CASES[name][0], theirs, (X,))


@pytest.mark.parametrize("name", list(CASES))
def test_second_derivatives_by_central_differences(name: str) -> None:
    f = CASES[name][0]
    x = np.array([[-1.7, -0.4, 0.2], [0.9, 2.3, -3.1]])
    w, v = np.random.default_rng(0).normal(size=(2, *x.shape))

    def total(x: Any) -> Any:
        return xpnn.namespace(x).sum(x)

    def slope(x: Any) -> Any:
        return total(xpnn.grad(lambda x: total(w * f(x)))(x) * v)

    h = 1e-5
    steps = [np.where(np.arange(x.size).reshape(x.shape) == i, h, 0) for i in range(x.size)]
    expected = np.reshape([(slope(x + s) - slope(x - s)) / (2 * h) for s in steps], x.shape)
    np.testing.assert_allclose(xpnn.grad(slope)(x), expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", list(CASES))
def test_dtype_is_kept(name: str, lib: Library) -> None:
    x = lib.asarray(X[1:2] / 10, np.float32)
    y = CASES[name][0](x)
    assert y.dtype == x.dtype
    np.testing.assert_allclose(lib.to_numpy(y), CASES[name][0](X[1:2] / 10), rtol=1e-5, atol=1e-6)


def test_gelu_names_what_it_takes() -> None:
    with pytest.raises(ValueError, match='approximate: expected "none" or "tanh", got \'erf\''):
        ops.gelu(X, approximate="erf")
