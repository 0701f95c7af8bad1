"""embedding: values and gradients of torch, repeated rows, the padding row, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnn import ops

from ..conftest import Library
from .against_torch import check_against_torch

WEIGHT = np.random.default_rng(0).normal(size=(7, 3))


@pytest.mark.parametrize("padding_idx", [None, 2, -1])
@pytest.mark.parametrize("indices", [[[0, 2, 6], [2, 2, 1]], 4, [], [[6], [6]]])
def test_values_and_gradients_of_torch(lib: Library, indices: Any, padding_idx: int | None) -> None:
    def theirs(indices: Any, weight: Any) -> Any:
        import torch

        return torch.nn.functional.embedding(indices, weight, padding_idx)

    ours = lambda i, w: ops.embedding(i, w, padding_idx=padding_idx)  # noqa: E731
    check_against_torch(lib, ours, theirs, (np.asarray(indices, np.int64), WEIGHT))


@pytest.mark.parametrize(
    ("indices", "weight", "padding_idx", "error", "message"),
    [
        ([0, 7], WEIGHT, None, ValueError, r"indices: expected integers in 0\.\.6, got 0 to 7"),
        ([-1, 2], WEIGHT, None, ValueError, r"indices: expected integers in 0\.\.6, got -1 to 2"),
        ([0.5], WEIGHT, None, TypeError, "indices: expected integers, got dtype float64"),
        ([0], WEIGHT[0], None, ValueError, r"weight: expected shape \(V, D\), got \(3,\)"),
        ([0], WEIGHT, 7, ValueError, "padding_idx: expected one of the 7 rows, got 7"),
    ],
)
def test_errors_name_the_argument(indices: Any, weight: Any, padding_idx: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        ops.embedding(np.asarray(indices), weight, padding_idx=padding_idx)


@pytest.mark.parametrize(
    "options", [(None, 1.5, 2.0, False), (2, 1.0, 1.0, False), (1, None, 2.0, True), (None, 0.7, np.inf, True)]
)
def test_options_of_torch(lib: Library, options: tuple[Any, ...]) -> None:
    """Of torch the weight that it scales is a copy, or the gradient could not be asked for."""
    rng = np.random.default_rng(0)
    indices, weight = rng.integers(0, 5, (3, 4)), rng.normal(size=(6, 3))

    def theirs(indices: Any, weight: Any) -> Any:
        import torch

        return torch.nn.functional.embedding(indices, weight * 1.0, *options)

    check_against_torch(lib, lambda indices, w: ops.embedding_rows(indices, w, *options), theirs, (indices, weight))


def test_a_norm_below_zero() -> None:
    with pytest.raises(ValueError, match="max_norm, norm_type: expected 0 or more, and more than 0, got -1.0 and 2.0"):
        ops.embedding_rows(np.zeros(1, int), np.ones((2, 2)), max_norm=-1.0)
