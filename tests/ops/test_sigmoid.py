"""sigmoid: the reference against torch, the fused form against the reference, both tails."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import ops
from xpnn.testing import check_primitive

from ..conftest import Library
from .against_torch import check_against_torch

X = np.array([[-800.0, -30.0, -2.5, 0.0], [-0.0, 1.5, 25.0, 900.0]])


def test_reference_agrees_with_torch(lib: Library) -> None:
    def theirs(x: Any) -> Any:
        import torch

        return torch.sigmoid(x)

    check_against_torch(lib, ops.sigmoid, theirs, (X,))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_form_agrees_with_the_reference(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    shapes = [(), (1,), (0, 3), (7, 11), (2, 3, 5)]
    cases = [((np.asarray(rng.normal(size=shape) * 5, dtype),), {}) for shape in shapes]
    cases.append(((rng.normal(size=(6, 8)).astype(dtype).T[::2],), {}))
    assert check_primitive(ops.sigmoid, cases) == 6


@pytest.mark.parametrize(("dtype", "lowest"), [(np.float32, -87), (np.float64, -700)])
def test_relative_accuracy_in_the_lower_tail(dtype: Any, lowest: int) -> None:
    x = np.linspace(lowest, 0, 101)
    exact = np.exp(x) / (1 + np.exp(x))
    np.testing.assert_allclose(ops.sigmoid(x.astype(dtype)), exact, rtol=4e-6 if dtype == np.float32 else 1e-14)


def test_nan_stays_nan_and_infinities_saturate() -> None:
    np.testing.assert_allclose(ops.sigmoid(np.array([np.nan, np.inf, -np.inf])), [np.nan, 1, 0], atol=1e-300)


def test_second_derivative() -> None:
    def total(x: Any) -> Any:
        return xpnn.namespace(x).sum(x)

    s = 1 / (1 + np.exp(-X[1]))
    second = xpnn.grad(lambda x: total(xpnn.grad(lambda x: total(ops.sigmoid(x)))(x)))(X[1])
    np.testing.assert_allclose(second, s * (1 - s) * (1 - 2 * s), rtol=1e-9, atol=1e-12)
