"""layer_norm: the reference against torch, the fused form against the reference, accuracy far from zero, errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.primitive import explain, use_reference
from xpnn.testing import check_gradient, check_primitive

from ..conftest import Library
from .against_torch import check_against_torch
from .normalisation import draw, exact, far, short


@pytest.mark.parametrize(
    ("shape", "axes", "eps"),
    [
        ((4, 6), 1, 1e-5),
        ((2, 3, 5), 2, 1e-5),
        ((3, 4, 2), 1, 0.1),
        ((7,), 1, 1e-5),
        ((2, 1), 1, 1e-3),
        ((0, 3), 1, 1e-5),
    ],
)
@pytest.mark.parametrize("given", ["both", "weight", "bias", "none"])
def test_reference_agrees_with_torch(lib: Library, shape: tuple[int, ...], axes: int, eps: float, given: str) -> None:
    normalized = shape[-axes:]
    weight = draw(normalized, seed=1) if given in ("both", "weight") else None
    bias = draw(normalized, seed=2) if given in ("both", "bias") else None

    def theirs(x: Any, weight: Any, bias: Any) -> Any:
        import torch

        return torch.nn.functional.layer_norm(x, normalized, weight, bias, eps)

    ours = lambda x, w, b: ops.layer_norm(x, w, b, normalized_shape=normalized, eps=eps)  # noqa: E731
    check_against_torch(lib, ours, theirs, (draw(shape), weight, bias))


def cases(dtype: Any) -> Iterator[tuple[Any, Any]]:
    for shape, axes in [
        ((1, 1), 1),
        ((1, 7), 1),
        ((5, 1), 1),
        ((13, 17), 1),
        ((2, 3, 5), 2),
        ((11,), 1),
        ((0, 3), 1),
        ((3, 0), 1),
        ((2, 3, 4099), 1),  # rows of several blocks
        ((7, 2, 20011), 2),  # a row longer than a block
    ]:
        static = {"normalized_shape": shape[-axes:], "eps": 0.01}
        weight, bias = (draw(shape[-axes:], dtype, seed) for seed in (1, 2))
        x = draw(shape, dtype)
        yield (x, weight, bias), static
        yield (x, weight, None), static
        yield (x, None, bias), static
        yield (x, None, None), static
    weight, bias = (draw((50,), dtype, seed) for seed in (1, 2))
    yield (far((7, 50), dtype), weight, bias), {"normalized_shape": (50,)}
    for activation in ("relu", "tanh", "sigmoid"):
        yield (draw((7, 50), dtype), weight, bias), {"normalized_shape": (50,), "activation": activation}
    yield (draw((6, 4), dtype).T, draw((6,), dtype), None), {"normalized_shape": (6,)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_form_agrees_with_the_reference(dtype: Any) -> None:
    assert check_primitive(ops.layer_norm, cases(dtype)) == 45


@pytest.mark.parametrize("reference", [False, True])
def test_a_small_spread_about_a_large_mean_is_kept(reference: bool) -> None:
    """The mean of 4096 numbers about 10000 is rounded in float32 by a tenth of their spread or more."""
    x = (1e4 + 0.01 * np.random.default_rng(0).normal(size=(8, 4096))).astype(np.float32)
    options: dict[str, Any] = {"normalized_shape": (4096,), "eps": 1e-12}
    if reference:
        with use_reference():
            y = ops.layer_norm(x, **options)
    else:
        y = ops.layer_norm(x, **options)
    np.testing.assert_allclose(y, exact(x, (1,), 1e-12), rtol=2e-5, atol=2e-5)


def test_equal_elements_give_the_bias() -> None:
    y = ops.layer_norm(
        np.full((2, 1000), 0.1, np.float32), None, np.full(1000, 3.0, np.float32), normalized_shape=(1000,)
    )
    np.testing.assert_allclose(y, 3.0, atol=1e-5)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_short_floats_are_computed_in_float32(name: str) -> None:
    dtype = short(name)
    x = (draw((3, 50)) * 1000).astype(dtype)
    y = ops.layer_norm(x, normalized_shape=(50,))
    assert y.dtype == dtype
    np.testing.assert_allclose(y.astype(np.float64), exact(x.astype(np.float64), (1,), 1e-5), rtol=5e-3, atol=5e-3)


def test_first_and_second_derivatives(lib: Library) -> None:
    arrays = [lib.asarray(draw(shape, seed=3)) for shape in [(3, 2, 4), (2, 4), (2, 4)]]
    check_gradient(lambda x, w, b: ops.layer_norm(x, w, b, normalized_shape=(2, 4)), *arrays, order=2)


def test_who_computes() -> None:
    call = lambda x: ops.layer_norm(x, normalized_shape=(4,))  # noqa: E731
    assert explain(call, draw((3, 4))) == ["layer_norm: cpu.layer_norm"]
    assert explain(call, draw((3, 4), np.float16)) == ["layer_norm: reference (cpu.layer_norm refused: dtype float16)"]


@pytest.mark.parametrize(
    ("arrays", "static", "error", "message"),
    [
        ((np.ones((2, 3)),), {"normalized_shape": (4,)}, ValueError, r"x: expected shape \(\.\.\., 4\), got \(2, 3\)"),
        ((np.ones(3),), {"normalized_shape": (2, 3)}, ValueError, r"x: expected shape \(\.\.\., 2, 3\), got \(3,\)"),
        ((np.ones(3),), {"normalized_shape": ()}, ValueError, "normalized_shape: expected one size or more"),
        (
            (np.ones((2, 3)), np.ones(2)),
            {"normalized_shape": (3,)},
            ValueError,
            r"weight: expected shape \(3,\), got \(2,\)",
        ),
        (
            (np.ones(3), None, np.ones(2)),
            {"normalized_shape": (3,)},
            ValueError,
            r"bias: expected shape \(3,\), got \(2,\)",
        ),
        ((np.ones(3),), {"normalized_shape": (3,), "eps": -1.0}, ValueError, "eps: expected 0 or more, got -1.0"),
        ((np.arange(3),), {"normalized_shape": (3,)}, TypeError, "x: expected a real floating-point dtype, got int64"),
    ],
)
def test_errors_name_the_argument(arrays: Any, static: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        ops.layer_norm(*arrays, **static)
