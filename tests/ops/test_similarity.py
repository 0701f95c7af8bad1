"""Cosine similarity and pairwise distance: values and gradients of torch; vectors of length 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from xpnn import ops

from ..conftest import Library
from .against_torch import check_against_torch

CASES: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any, Any], Any]]] = {
    "cosine": (ops.cosine_similarity, lambda f, x, y: f.cosine_similarity(x, y)),
    "cosine of the last": (
        lambda x, y: ops.cosine_similarity(x, y, axis=-1, eps=1.0),
        lambda f, x, y: f.cosine_similarity(x, y, -1, 1.0),
    ),
    **{
        f"distance {p}": (
            lambda x, y, p=p: ops.pairwise_distance(x, y, p=p, keepdims=p == 2),
            lambda f, x, y, p=p: f.pairwise_distance(x, y, p, keepdim=p == 2),
        )
        for p in (1.0, 2.0, 3.0, float("inf"))
    },
}


@pytest.mark.parametrize("shapes", [((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (1, 3, 1)), ((5, 4), (5, 4))])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_of_torch(name: str, lib: Library, shapes: Any) -> None:
    ours, theirs = CASES[name]

    def peer(x: Any, y: Any) -> Any:
        import torch

        return theirs(torch.nn.functional, x, y)

    rng = np.random.default_rng(0)
    check_against_torch(lib, ours, peer, [rng.normal(size=shape) for shape in shapes])


def test_a_vector_of_length_0_is_like_none(lib: Library) -> None:
    y = ops.cosine_similarity(lib.asarray(np.zeros((2, 3))), lib.asarray(np.ones((2, 3))))
    np.testing.assert_array_equal(lib.to_numpy(y), [0, 0])


def test_the_order_of_the_norm_is_positive() -> None:
    with pytest.raises(ValueError, match="p: expected more than 0, got -1"):
        ops.pairwise_distance(np.ones((2, 3)), np.ones((2, 3)), p=-1)
