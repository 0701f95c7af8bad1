"""Convolution layers: what torch's take beyond the matrix of layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import nn


@pytest.mark.parametrize("size", [(9, 14), (10, 13), (2, 3, 9, 13)])
def test_the_size_of_a_transposed_convolution_can_be_chosen(size: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    ours = nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, dtype="float64")
    theirs = torch.nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1).double()
    theirs.load_state_dict({name: torch.tensor(x) for name, x in ours.state_dict().items()})
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 7))
    wanted = theirs(torch.tensor(x), output_size=list(size)).detach().numpy()
    np.testing.assert_allclose(ours(x, output_size=size), wanted, rtol=1e-12, atol=1e-13)
    last = nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, dtype="float64", data_format="channels_last")
    last.load_state_dict(ours.state_dict())
    moved = size if len(size) == 2 else (2, 9, 13, 3)
    np.testing.assert_allclose(np.moveaxis(last(np.moveaxis(x, 1, -1), moved), -1, 1), wanted, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: nn.ConvTranspose2d(4, 3, 3, groups=2),
            "groups: expected a divisor of in_channels 4 and out_channels 3, got 2",
        ),
        (lambda: nn.ConvTranspose2d(4, 3, 3, padding_mode="reflect"), 'padding_mode: expected "zeros"'),
        (lambda: nn.ConvTranspose2d(4, 3, 3)(np.ones((1, 4, 5, 5), np.float32), (5,)), "output_size: expected 2 sizes"),
        (
            lambda: nn.ConvTranspose1d(1, 1, 3)(np.ones((1, 1, 5), np.float32), (8,)),
            r"output_size: expected sizes from",
        ),
        (lambda: nn.ConvTranspose1d(1, 1, 3)(np.ones((1, 2, 5), np.float32)), "expected in_channels = 1"),
    ],
)
def test_errors_name_the_argument(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_sequential_computes_a_transposed_convolution_and_its_activation_in_one_step() -> None:
    model = nn.Sequential(nn.ConvTranspose2d(3, 4, 3, stride=2), nn.ReLU())
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 6)).astype(np.float32)
    np.testing.assert_array_equal(model(x), model[1](model[0](x)))
    assert len(xpnn.explain(model, x)) == 1
