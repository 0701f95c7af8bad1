"""Batches: every row once per pass, order from the seed, trees of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn.data import batches

from ..conftest import Library


def test_every_row_comes_once_and_pairs_stay_together(lib: Library) -> None:
    x = np.arange(20).reshape(10, 2)
    data = lib.asarray(x), lib.asarray(np.arange(10))
    xpnn.seed(0)
    loader = batches(*data, batch_size=4, shuffle=True)
    assert len(loader) == 3
    passes = []
    for _ in range(2):
        rows = []
        for a, b in loader:
            np.testing.assert_array_equal(lib.to_numpy(a)[:, 0], 2 * lib.to_numpy(b))
            rows += lib.to_numpy(b).tolist()
        assert sorted(rows) == list(range(10))
        passes.append(rows)
    assert passes[0] != passes[1] != list(range(10))


def test_the_seed_gives_the_order(lib: Library) -> None:
    def order() -> list[Any]:
        xpnn.seed(7)
        return [lib.to_numpy(b).tolist() for b in batches(lib.asarray(np.arange(9)), batch_size=4, shuffle=True)]

    assert order() == order()
    assert [len(b) for b in order()] == [4, 4, 1]


def test_in_order_and_drop_last() -> None:
    found = [b.tolist() for b in batches(np.arange(5), batch_size=2, drop_last=True)]
    assert found == [[0, 1], [2, 3]] and len(batches(np.arange(5), batch_size=2, drop_last=True)) == 2


def test_trees() -> None:
    inputs = (np.zeros((3, 2)), np.array([5, 6, 7]))
    (x, lengths), y = next(iter(batches(inputs, np.arange(3), batch_size=2)))
    assert x.shape == (2, 2) and lengths.tolist() == [5, 6] and y.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("data", "size", "words"),
    [
        ((np.zeros(3), np.zeros(4)), 2, "same first dimension"),
        ((np.array(1.0),), 2, "same first dimension"),
        ((np.zeros(3),), 0, "batch_size"),
        ((np.zeros(3),), True, "batch_size"),
        ((np.zeros(3),), 2.0, "batch_size"),
    ],
)
def test_bad_arguments(data: Any, size: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        batches(*data, batch_size=size)
