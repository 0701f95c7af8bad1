"""Layers of several inputs, and those whose training is random: parameters and results of torch, masks of their functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import nn


def test_bilinear_loads_the_parameters_of_torch() -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    theirs = torch.nn.Bilinear(3, 4, 5).double()
    ours = nn.Bilinear(3, 4, 5, dtype="float64")
    assert abs(ours.weight).max() <= 1 / 3**0.5
    ours.load_state_dict({name: x.numpy() for name, x in theirs.state_dict().items()})
    x1, x2 = np.random.default_rng(0).normal(size=(2, 4))[:, :3], np.random.default_rng(1).normal(size=(2, 4))
    np.testing.assert_allclose(ours(x1, x2), theirs(torch.tensor(x1), torch.tensor(x2)).detach().numpy(), rtol=1e-12)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize(
    ("kind", "args"), [("CosineSimilarity", ()), ("CosineSimilarity", (0, 0.1)), ("PairwiseDistance", (3.0, 0.1, True))]
)
def test_comparisons_of_torch(kind: str, args: Any) -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    x1, x2 = np.random.default_rng(0).normal(size=(2, 4, 5))
    y = getattr(torch.nn, kind)(*args)(torch.tensor(x1), torch.tensor(x2))
    np.testing.assert_allclose(getattr(nn, kind)(*args)(x1, x2), y.numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "shape", "mask"),
    [
        ("Dropout", (2, 3, 4), (2, 3, 4)),
        ("Dropout1d", (2, 3, 4), (2, 3, 1)),
        ("Dropout1d", (30, 4), (30, 1)),
        ("Dropout2d", (2, 30, 4, 5), (2, 30, 1, 1)),
        ("Dropout2d", (2, 30, 4), (2, 30, 1)),
        ("Dropout3d", (2, 30, 4, 5, 3), (2, 30, 1, 1, 1)),
        ("Dropout3d", (30, 4, 5, 3), (30, 1, 1, 1)),
        ("AlphaDropout", (30, 4), (30, 4)),
        ("FeatureAlphaDropout", (2, 30, 4), (2, 30, 1)),
    ],
)
def test_what_is_dropped_together(kind: str, shape: Any, mask: Any) -> None:
    xpnn.seed(3)
    layer = getattr(nn, kind)(0.5)
    y = layer(np.ones(shape))
    least = y == y.min()
    assert least.any() and not least.all()
    np.testing.assert_array_equal(least, np.broadcast_to(least[tuple(slice(0, n) for n in mask)], shape))
    x = np.ones(shape)
    assert layer.eval()(x) is x or np.array_equal(layer(x), x)


def test_dropout_of_channels_names_the_shapes() -> None:
    with pytest.raises(
        ValueError, match=r"Dropout3d: x has shape \(2, 3\), expected \(N, C, D, H, W\) or \(C, D, H, W\)"
    ):
        nn.Dropout3d()(np.ones((2, 3)))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_pooling_and_back(dims: int) -> None:
    """Of windows without overlap: each largest element is in its place again."""
    torch = pytest.importorskip("torch", reason="the reference is torch")
    x = np.random.default_rng(0).normal(size=(2, 3, *(6, 4, 8)[:dims]))
    y, places = getattr(nn, f"MaxPool{dims}d")(2, return_indices=True)(x)
    expected, _ = getattr(torch.nn, f"MaxPool{dims}d")(2, return_indices=True)(torch.tensor(x))
    np.testing.assert_array_equal(y, expected.numpy())
    back = getattr(nn, f"MaxUnpool{dims}d")(2)(y, places)
    np.testing.assert_array_equal(back, np.where(np.isin(x, y), x, 0))
    _, adaptive = getattr(nn, f"AdaptiveMaxPool{dims}d")(2, True)(x)
    assert adaptive.shape == (2, 3, *(2,) * dims)
