"""Shuffles, unfold and fold: values and gradients of torch; errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from xpnn import ops

from ..conftest import Library
from .against_torch import check_against_torch

Call = Callable[[Any, Any], Any]
CASES: dict[str, tuple[tuple[int, ...], Call]] = {
    "pixel_shuffle": ((2, 12, 3, 2), lambda f, x: f.pixel_shuffle(x, 2)),
    "pixel_shuffle of one": ((9, 1, 2), lambda f, x: f.pixel_shuffle(x, 3)),
    "pixel_unshuffle": ((2, 2, 4, 6), lambda f, x: f.pixel_unshuffle(x, 2)),
    "pixel_unshuffle of many": ((1, 2, 2, 4, 6), lambda f, x: f.pixel_unshuffle(x, 2)),
    "unfold": ((2, 3, 5, 6), lambda f, x: f.unfold(x, 3)),
    "unfold with all": ((2, 3, 5, 6), lambda f, x: f.unfold(x, (3, 2), (1, 2), (1, 0), (2, 1))),
    "unfold of one": ((3, 5, 6), lambda f, x: f.unfold(x, 2, stride=2)),
    "fold": ((2, 3 * 9, 3 * 4), lambda f, x: f.fold(x, (5, 6), 3)),
    "fold with all": ((2, 3 * 6, 3 * 4), lambda f, x: f.fold(x, (5, 6), (3, 2), (1, 2), (1, 0), (2, 1))),
    "fold of one": ((3 * 4, 6), lambda f, x: f.fold(x, (5, 6), 2, stride=2)),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_of_torch(name: str, lib: Library) -> None:
    shape, call = CASES[name]

    def theirs(x: Any) -> Any:
        import torch

        return call(torch.nn.functional, x)

    check_against_torch(lib, lambda x: call(ops, x), theirs, (np.random.default_rng(0).normal(size=shape),))


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_channels_are_dealt_out_by_turns(lib: Library, groups: int) -> None:
    x = np.arange(2.0 * 6 * 4).reshape(2, 6, 4)
    order = [g * (6 // groups) + i for i in range(6 // groups) for g in range(groups)]
    np.testing.assert_array_equal(lib.to_numpy(ops.channel_shuffle(lib.asarray(x), groups)), x[:, order])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: ops.pixel_shuffle(x, 2), r"x: expected a multiple of 4 channels, got shape \(1, 3, 4, 5\)"),
        (lambda x: ops.pixel_shuffle(x, 0), "upscale_factor: expected an integer"),
        (lambda x: ops.pixel_unshuffle(x, 2), "x: expected a height and a width that are multiples of 2"),
        (lambda x: ops.channel_shuffle(x, 2), "C a multiple of 2"),
        (lambda x: ops.unfold(x, 7), "are smaller than the window"),
        (lambda x: ops.fold(x, (4, 5), 2), r"x: expected shape \(N, C \* 4, 12\) or without N, got"),
    ],
)
def test_errors_name_the_argument(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(np.ones((1, 3, 4, 5)))
