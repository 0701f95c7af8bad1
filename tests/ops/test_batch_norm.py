"""batch_norm and batch_norm_eval: references against torch, fused forms against references, accuracy, errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import ops
from xpnn.primitive import explain, use_reference
from xpnn.testing import check_gradient, check_primitive

from ..conftest import Library
from .against_torch import check_against_torch
from .normalisation import draw, exact, far, short

TORCH_SHAPES = [(4, 6), (2, 3, 5), (3, 1, 2, 3), (1, 3, 2), (2, 2, 3, 2, 2)]


@pytest.mark.parametrize("shape", TORCH_SHAPES)
@pytest.mark.parametrize("given", ["both", "weight", "bias", "none"])
def test_reference_agrees_with_torch(lib: Library, shape: tuple[int, ...], given: str) -> None:
    """The three outputs, and the gradients through all of them at once."""
    weight = draw(shape[1:2], seed=1) if given in ("both", "weight") else None
    bias = draw(shape[1:2], seed=2) if given in ("both", "bias") else None

    def theirs(x: Any, weight: Any, bias: Any) -> Any:
        import torch

        axes = (0, *range(2, x.ndim))
        y = torch.nn.functional.batch_norm(x, None, None, weight, bias, training=True, eps=0.01)
        return y, x.mean(axes), x.var(axes, correction=0)

    check_against_torch(
        lib, lambda x, w, b: ops.batch_norm(x, w, b, eps=0.01), theirs, (draw(shape), weight, bias)
    )  # fmt: skip


@pytest.mark.parametrize("shape", [*TORCH_SHAPES, (1, 4), (0, 3)])
@pytest.mark.parametrize("given", ["both", "weight", "bias", "none"])
def test_eval_reference_agrees_with_torch(lib: Library, shape: tuple[int, ...], given: str) -> None:
    channels = shape[1:2]
    weight = draw(channels, seed=1) if given in ("both", "weight") else None
    bias = draw(channels, seed=2) if given in ("both", "bias") else None
    mean, var = draw(channels, seed=3), draw(channels, seed=4) ** 2

    def theirs(x: Any, weight: Any, bias: Any) -> Any:
        import torch

        return torch.nn.functional.batch_norm(x, torch.tensor(mean), torch.tensor(var), weight, bias, eps=0.01)

    def ours(x: Any, weight: Any, bias: Any) -> Any:
        return ops.batch_norm_eval(x, lib.asarray(mean), lib.asarray(var), weight, bias, eps=0.01)

    check_against_torch(lib, ours, theirs, (draw(shape), weight, bias))


SHAPES = [
    (2, 1),
    (13, 17),
    (1, 5, 2),
    (2, 3, 1),
    (3, 7, 11),
    (2, 6, 5, 3),
    (2, 3, 2, 3, 2),
    (0, 3),
    (0, 3, 4),
    (2, 3, 0),
    (1013, 67),  # several blocks
    (5, 2, 101, 103),
    (2, 5, 61, 127),  # samples longer than a block
]


def with_parameters(shape: tuple[int, ...], dtype: Any) -> Iterator[tuple[Any, Any]]:
    weight, bias = (draw(shape[1:2], dtype, seed) for seed in (1, 2))
    yield from [(weight, bias), (weight, None), (None, bias), (None, None)]


def cases(dtype: Any) -> Iterator[tuple[Any, Any]]:
    for shape in SHAPES:
        for parameters in with_parameters(shape, dtype):
            yield (draw(shape, dtype), *parameters), {"eps": 0.01}
    for shape in [(70, 3), (7, 3, 50)]:
        for parameters in with_parameters(shape, dtype):
            yield (far(shape, dtype), *parameters), {}
    yield (np.moveaxis(draw((2, 5, 3, 6), dtype), -1, 1), draw((6,), dtype), None), {}
    for activation in ("relu", "tanh", "sigmoid"):
        for shape in [(13, 5), (3, 4, 9)]:
            yield (draw(shape, dtype), *next(with_parameters(shape, dtype))), {"eps": 0.01, "activation": activation}


def eval_cases(dtype: Any) -> Iterator[tuple[Any, Any]]:
    for shape in [*SHAPES, (1, 1), (1, 4)]:
        mean, var = draw(shape[1:2], dtype, 3), draw(shape[1:2], dtype, 4) ** 2
        for parameters in with_parameters(shape, dtype):
            yield (draw(shape, dtype), mean, var, *parameters), {"eps": 0.01}
    x, (weight, bias) = far((70, 3), dtype), (draw((3,), dtype, seed) for seed in (1, 2))
    yield (x, x.mean(axis=0), x.var(axis=0), weight, bias), {}
    for activation in ("relu", "tanh", "sigmoid"):
        mean, var = draw((4,), dtype, 3), draw((4,), dtype, 4) ** 2
        yield (
            (draw((3, 4, 9), dtype), mean, var, *next(with_parameters((3, 4), dtype))),
            {"eps": 0.01, "activation": activation},
        )
    mean, var = draw((6,), dtype, 3), draw((6,), dtype, 4) ** 2
    yield (np.moveaxis(draw((2, 5, 3, 6), dtype), -1, 1), mean, var, draw((6,), dtype), None), {"eps": 0.1}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_forms_agree_with_the_references(dtype: Any) -> None:
    assert check_primitive(ops.batch_norm, cases(dtype)) == 67
    assert check_primitive(ops.batch_norm_eval, eval_cases(dtype)) == 65


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("shape", [(4096, 3), (16, 3, 16, 16)])
def test_a_small_spread_about_a_large_mean_is_kept(shape: tuple[int, ...], reference: bool) -> None:
    """The mean of 4096 numbers about 10000 is rounded in float32 by a tenth of their spread or more."""
    x = (1e4 + 0.01 * np.random.default_rng(0).normal(size=shape)).astype(np.float32)
    if reference:
        with use_reference():
            y, mean, var = ops.batch_norm(x, eps=1e-12)
    else:
        y, mean, var = ops.batch_norm(x, eps=1e-12)
    axes = (0, *range(2, x.ndim))
    wide = x.astype(np.longdouble)
    np.testing.assert_allclose(y, exact(x, axes, 1e-12), rtol=5e-5, atol=5e-5)
    np.testing.assert_allclose(mean, wide.mean(axis=axes).astype(np.float64), rtol=1e-7)
    np.testing.assert_allclose(var, wide.var(axis=axes).astype(np.float64), rtol=1e-4)


def test_the_gradient_far_from_zero_is_that_of_float64() -> None:
    """One channel is near and one is far: the rounding of its mean must not reach the gradients."""
    rng = np.random.default_rng(0)
    x = (np.array([1.0, 1e4]) + np.array([1.0, 0.02]) * rng.normal(size=(4096, 2))).astype(np.float32)
    g = rng.normal(size=x.shape) * 0.01 + x - x.mean(axis=0, dtype=np.float64)
    weight = np.ones(2)

    def gradients(dtype: Any) -> Any:
        (_, mean, var), pullback = xpnn.vjp(
            lambda x, w: ops.batch_norm(x, w, eps=1e-12), x.astype(dtype), weight.astype(dtype)
        )
        return pullback((g.astype(dtype), np.zeros_like(mean), np.zeros_like(var)))

    for found, expected in zip(gradients(np.float32), gradients(np.float64), strict=True):
        scale = np.abs(expected).max(axis=0)
        assert np.all(np.abs(found - expected).max(axis=0) < 1e-3 * scale)


def test_equal_elements_have_no_negative_variance() -> None:
    for value in (0.1, 1e4 / 3, -7e6 / 9):
        y, _, var = ops.batch_norm(np.full((1001, 2), value, np.float32))
        assert np.all(var >= 0) and np.all(np.abs(y) < 1e-2)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_short_floats_are_computed_in_float32(name: str) -> None:
    dtype = short(name)
    x = (draw((50, 3)) * 1000).astype(dtype)
    y, mean, var = ops.batch_norm(x)
    assert (y.dtype, mean.dtype, var.dtype) == (dtype, np.float32, np.float32)
    np.testing.assert_allclose(y.astype(np.float64), exact(x.astype(np.float64), (0,), 1e-5), rtol=5e-3, atol=5e-3)
    same = ops.batch_norm_eval(x, mean, var)
    assert same.dtype == dtype
    np.testing.assert_allclose(same.astype(np.float64), y.astype(np.float64), rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("activation", [None, "relu", "tanh", "sigmoid"])
def test_an_activation_behind_it(lib: Library, activation: str | None) -> None:
    """The same as applying it to y, which has been compared with torch."""
    x, mean, var = lib.asarray(draw((4, 3, 5))), lib.asarray(draw((3,), seed=1)), lib.asarray(draw((3,), seed=2) ** 2)
    f = (lambda y: y) if activation is None else getattr(ops, activation)
    for found, y in [
        (ops.batch_norm(x, activation=activation)[0], ops.batch_norm(x)[0]),
        (ops.batch_norm_eval(x, mean, var, activation=activation), ops.batch_norm_eval(x, mean, var)),
    ]:
        np.testing.assert_allclose(lib.to_numpy(found), lib.to_numpy(f(y)), rtol=1e-12)


def test_first_and_second_derivatives(lib: Library) -> None:
    shapes = [(2, 3, 2), (3,), (3,)]
    check_gradient(ops.batch_norm, *[lib.asarray(draw(shape, seed=3)) for shape in shapes], order=2)
    x, *four = (draw(shape, seed=3 + i) for i, shape in enumerate([*shapes, (3,), (3,)]))
    four[1] = four[1] ** 2
    check_gradient(ops.batch_norm_eval, *map(lib.asarray, (x, *four)), order=2)


def test_who_computes() -> None:
    x, one = draw((3, 4)), np.ones(4)
    assert explain(ops.batch_norm, x) == ["batch_norm: cpu.batch_norm"]
    assert explain(ops.batch_norm_eval, x, one, one) == ["batch_norm_eval: cpu.batch_norm_eval"]


X, THREE, TWO = np.ones((2, 3)), np.ones(3), np.ones(2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.batch_norm(THREE), ValueError, r"x: expected shape \(N, C, \*S\), got \(3,\)"),
        (lambda: ops.batch_norm(X[:1]), ValueError, r"x: expected more than 1 value per channel, got shape \(1, 3\)"),
        (lambda: ops.batch_norm(X, TWO), ValueError, r"weight: expected shape \(3,\), got \(2,\)"),
        (lambda: ops.batch_norm(X, THREE, TWO), ValueError, r"bias: expected shape \(3,\), got \(2,\)"),
        (
            lambda: ops.batch_norm(X, activation="gelu"),
            ValueError,
            "activation: expected None, \"relu\", .*, got 'gelu'",
        ),
        (lambda: ops.batch_norm(X, eps=-1.0), ValueError, "eps: expected 0 or more, got -1.0"),
        (lambda: ops.batch_norm(X.astype(int)), TypeError, "x: expected a real floating-point dtype, got int64"),
        (lambda: ops.batch_norm_eval(X, TWO, THREE), ValueError, r"mean: expected shape \(3,\), got \(2,\)"),
        (lambda: ops.batch_norm_eval(X, THREE, TWO), ValueError, r"var: expected shape \(3,\), got \(2,\)"),
    ],
)
def test_errors_name_the_argument(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
