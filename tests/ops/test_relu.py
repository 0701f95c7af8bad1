"""relu: values, the slope at the corner, nan, integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import ops
from xpnn.testing import check_primitive

from ..conftest import Library
from .against_torch import check_against_torch

X = np.array([[-2.0, -0.0, 0.0], [0.5, 3.0, -1e-300]])


def test_reference_agrees_with_torch(lib: Library) -> None:
    def theirs(x: Any) -> Any:
        import torch

        return torch.relu(x)

    check_against_torch(lib, ops.relu, theirs, (X,))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_form_agrees_with_the_reference(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    shapes = [(), (1,), (0, 3), (7, 11), (2, 3, 5)]
    cases = [((np.asarray(rng.normal(size=shape), dtype),), {}) for shape in shapes]
    cases.append(((rng.normal(size=(6, 8)).astype(dtype).T[::2],), {}))
    assert check_primitive(ops.relu, cases) == 6


def test_nan_and_infinities() -> None:
    np.testing.assert_array_equal(ops.relu(np.array([np.nan, np.inf, -np.inf])), [np.nan, np.inf, 0])


def test_the_slope_at_zero_is_zero() -> None:
    gradient = xpnn.grad(lambda x: xpnn.namespace(x).sum(ops.relu(x)))(X)
    np.testing.assert_array_equal(gradient, [[0, 0, 0], [1, 1, 0]])


def test_integers(lib: Library) -> None:
    np.testing.assert_array_equal(lib.to_numpy(ops.relu(lib.asarray([-3, 0, 4]))), [0, 0, 4])
