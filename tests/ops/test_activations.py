"""Activations: values and gradients of torch, also at corners and far out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import ops, random

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
    "celu 0.5": (lambda x: ops.celu(x, alpha=0.5), lambda t, x: t.nn.functional.celu(x, alpha=0.5)),
    "rrelu": (ops.rrelu, lambda t, x: t.nn.functional.rrelu(x)),
    "prelu": (
        lambda x: ops.prelu(x, xpnn.namespace(x).full_like(x[0, :], 0.3)),
        lambda t, x: t.nn.functional.prelu(x, t.full((x.shape[1],), 0.3, dtype=x.dtype)),
    ),
    "threshold": (lambda x: ops.threshold(x, 1.5, -2.0), lambda t, x: t.nn.functional.threshold(x, 1.5, -2.0)),
    "hardtanh": (
        lambda x: ops.hardtanh(x, min_val=-0.7, max_val=1.5),
        lambda t, x: t.nn.functional.hardtanh(x, -0.7, 1.5),
    ),
    "hardshrink": (lambda x: ops.hardshrink(x, lambd=0.7), lambda t, x: t.nn.functional.hardshrink(x, 0.7)),
    "softshrink": (lambda x: ops.softshrink(x, lambd=0.7), lambda t, x: t.nn.functional.softshrink(x, 0.7)),
    # torch's own has a gradient of 1/6 in float32
    "hardsigmoid": (ops.hardsigmoid, lambda t, x: t.nn.functional.relu6(x + 3) / 6),
    "softmin": (lambda x: ops.softmin(x, axis=1), lambda t, x: t.nn.functional.softmin(x, 1)),
    "glu": (lambda x: ops.glu(x, axis=-1), lambda t, x: t.nn.functional.glu(x)),
    **{
        name: (getattr(ops, name), lambda t, x, name=name: getattr(t.nn.functional, name)(x))
        for name in (
            "selu", "relu6", "hardswish", "mish", "logsigmoid", "tanhshrink", "softsign",
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", list(CASES))
def test_values_and_gradients_of_torch(name: str, lib: Library) -> None:
    def theirs(x: Any) -> Any:
        import torch

        return CASES[name][1](torch, x)

    check_against_torch(lib, CASES[name][0], theirs, (X,))
    if name not in ("glu", "softmin"):
        corners = np.array([[-3.0, -1.0, -0.5, 0.0], [0.5, 1.0, 3.0, 6.0], [-0.7, 0.7, 1.5, 20.0]])
        check_against_torch(lib, CASES[name][0], theirs, (corners,))


@pytest.mark.parametrize("name", list(CASES))
def test_second_derivatives_by_central_differences(name: str) -> None:
    f = CASES[name][0]
    x = np.array([[-1.7, -0.4, 0.2, 0.3], [0.9, 2.3, -3.1, 6.4]])
    w, v = np.random.default_rng(0).normal(size=(2, *x.shape))

    def total(x: Any) -> Any:
        return xpnn.namespace(x).sum(x)

    def slope(x: Any) -> Any:
        return total(xpnn.grad(lambda x: total(w[:, : f(x).shape[1]] * f(x)))(x) * v)

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


def test_random_slopes_are_the_same_on_every_library_and_in_the_gradient(lib: Library) -> None:
    x = np.linspace(-3, 2, 35).reshape(5, 7)
    slopes = np.where(x > 0, 1.0, random.uniform(random.Key(4), (5, 7), low=0.2, high=0.6, dtype="float64"))
    assert len(set(slopes[x < 0])) == (x < 0).sum()
    y, pullback = xpnn.vjp(lambda x: ops.rrelu(x, 0.2, 0.6, key=random.Key(4)), lib.asarray(x))
    np.testing.assert_array_equal(lib.to_numpy(y), x * slopes)
    np.testing.assert_array_equal(lib.to_numpy(pullback(lib.asarray(np.ones((5, 7))))[0]), slopes)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4), (0, 3, 2)])
def test_prelu_of_every_number_of_axes(lib: Library, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    for channels in {1, shape[1] if len(shape) > 1 else 1}:

        def theirs(x: Any, weight: Any) -> Any:
            import torch

            return torch.nn.functional.prelu(x, weight)

        check_against_torch(lib, ops.prelu, theirs, (np.asarray(rng.normal(size=shape)), rng.normal(size=channels)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.celu(X, alpha=0.0), "alpha: expected a number other than 0"),
        (lambda: ops.prelu(X, np.ones(3)), r"weight: expected shape \(1,\) or \(4,\), got \(3,\)"),
        (lambda: ops.rrelu(X, 0.3, 0.2), "lower, upper: expected lower <= upper, got 0.3 and 0.2"),
        (lambda: ops.hardtanh(X, min_val=2.0), "min_val, max_val: expected min_val <= max_val, got 2.0 and 1.0"),
        (lambda: ops.softshrink(X, lambd=-1.0), "lambd: expected 0 or more, got -1.0"),
        (lambda: ops.glu(X, axis=0), r"x: expected an axis 0 of even size, got shape \(3, 4\)"),
        (lambda: ops.glu(X, axis=2), r"x: expected an axis 2 of even size, got shape \(3, 4\)"),
    ],
)
def test_bad_arguments_in_words(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "name", ["hardtanh", "hardswish", "hardsigmoid", "hardshrink", "softshrink", "relu6", "threshold"]
)
def test_nan_stays_nan(name: str) -> None:
    assert np.isnan(CASES[name][0](np.array([np.nan]))).all()
