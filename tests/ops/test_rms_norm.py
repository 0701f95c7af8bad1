"""rms_norm: the reference against torch, the fused form against the reference, errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.primitive import explain
from xpnn.testing import check_gradient, check_primitive

from ..conftest import Library
from .against_torch import check_against_torch
from .normalisation import draw, short


@pytest.mark.parametrize(
    ("shape", "axes", "eps"),
    [
        ((4, 6), 1, None),
        ((2, 3, 5), 2, 1e-5),
        ((3, 4, 2), 1, 0.1),
        ((7,), 1, None),
        ((2, 1), 1, 1e-3),
        ((0, 3), 1, None),
    ],
)
@pytest.mark.parametrize("weighted", [True, False])
def test_reference_agrees_with_torch(
    lib: Library, shape: tuple[int, ...], axes: int, eps: float | None, weighted: bool
) -> None:
    normalized = shape[-axes:]

    def theirs(x: Any, weight: Any) -> Any:
        import torch

        return torch.nn.functional.rms_norm(x, normalized, weight, eps)

    ours = lambda x, w: ops.rms_norm(x, w, normalized_shape=normalized, eps=eps)  # noqa: E731
    check_against_torch(lib, ours, theirs, (draw(shape), draw(normalized, seed=1) if weighted else None))


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
        ((2, 3, 4099), 1),
        ((7, 2, 20011), 2),
    ]:
        # One element divided by its size is ±1: with a small eps its gradient is nothing but rounding.
        for eps in (None if shape[-1] > 1 else 1.0, 0.01):
            static = {"normalized_shape": shape[-axes:], "eps": eps}
            x = draw(shape, dtype)
            yield (x, draw(shape[-axes:], dtype, 1)), static
            yield (x, None), static
    yield (draw((6, 4), dtype).T, draw((6,), dtype)), {"normalized_shape": (6,)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_form_agrees_with_the_reference(dtype: Any) -> None:
    assert check_primitive(ops.rms_norm, cases(dtype)) == 41


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_short_floats_are_computed_in_float32(name: str) -> None:
    dtype = short(name)
    x = (draw((3, 50)) * 1000).astype(dtype)
    y = ops.rms_norm(x, normalized_shape=(50,))
    assert y.dtype == dtype
    wide = x.astype(np.float64)
    np.testing.assert_allclose(
        y.astype(np.float64), wide / np.sqrt((wide**2).mean(axis=1, keepdims=True)), rtol=5e-3, atol=5e-3
    )


def test_first_and_second_derivatives(lib: Library) -> None:
    arrays = [lib.asarray(draw(shape, seed=3)) for shape in [(3, 2, 4), (2, 4)]]
    check_gradient(lambda x, w: ops.rms_norm(x, w, normalized_shape=(2, 4)), *arrays, order=2)


def test_who_computes() -> None:
    assert explain(ops.rms_norm, draw((3, 4)), normalized_shape=(4,)) == ["rms_norm: cpu.rms_norm"]


@pytest.mark.parametrize(
    ("arrays", "static", "error", "message"),
    [
        ((np.ones((2, 3)),), {"normalized_shape": (4,)}, ValueError, r"x: expected shape \(\.\.\., 4\), got \(2, 3\)"),
        ((np.ones(3),), {"normalized_shape": ()}, ValueError, "normalized_shape: expected one size or more"),
        (
            (np.ones((2, 3)), np.ones(2)),
            {"normalized_shape": (3,)},
            ValueError,
            r"weight: expected shape \(3,\), got \(2,\)",
        ),
        ((np.ones(3),), {"normalized_shape": (3,), "eps": -1.0}, ValueError, "eps: expected 0 or more, got -1.0"),
        ((np.arange(3),), {"normalized_shape": (3,)}, TypeError, "x: expected a real floating-point dtype, got int64"),
    ],
)
def test_errors_name_the_argument(arrays: Any, static: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        ops.rms_norm(*arrays, **static)
