"""Losses: values and gradients of torch, every reduction, and clear errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import losses, metrics

from .conftest import Library

RNG = np.random.default_rng(0)
X, T = RNG.normal(size=(6, 4)) * 3, RNG.normal(size=(6, 4)) * 3
X[0, 0] = T[0, 0] + 1.0  # exactly at delta
LABELS = np.array([0, 3, 1, -100, 2, 2])
MAP, MAP_LABELS = RNG.normal(size=(2, 4, 3, 2)), RNG.integers(0, 4, size=(2, 3, 2))
PROBABILITIES = RNG.dirichlet(np.ones(4), size=6)
WEIGHT = np.array([0.5, 2.0, 1.0, 0.1])
HITS = (RNG.random((6, 4)) > 0.5) * 1.0

CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("mse_loss", (X, T), {}),
    ("l1_loss", (X, T), {}),
    ("huber_loss", (X, T), {"delta": 1.7}),
    ("smooth_l1_loss", (X, T), {"beta": 0.8}),
    ("smooth_l1_loss", (X, T), {"beta": 0.0}),
    ("binary_cross_entropy_with_logits", (X * 20, HITS), {}),
    ("binary_cross_entropy_with_logits", (X, HITS), {"pos_weight": WEIGHT}),
    ("binary_cross_entropy_with_logits", (X, HITS), {"weight": WEIGHT}),
    ("nll_loss", (X, LABELS), {}),
    ("nll_loss", (X, LABELS), {"weight": WEIGHT}),
    ("nll_loss", (MAP, MAP_LABELS), {"ignore_index": 1}),
    ("cross_entropy", (X, LABELS), {}),
    ("cross_entropy", (X * 300, LABELS), {}),
    ("cross_entropy", (X, LABELS), {"weight": WEIGHT, "label_smoothing": 0.1}),
    ("cross_entropy", (MAP, MAP_LABELS), {"ignore_index": 2}),
    ("cross_entropy", (X, PROBABILITIES), {"label_smoothing": 0.2}),
    ("cross_entropy", (X, PROBABILITIES), {"weight": WEIGHT}),
]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("number", range(len(CASES)))
def test_values_and_gradients_of_torch(number: int, reduction: str, lib: Library) -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    name, (x, target), options = CASES[number]
    tx = torch.tensor(x, requires_grad=True)
    theirs_options = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    theirs = getattr(torch.nn.functional, name)(tx, torch.tensor(target), reduction=reduction, **theirs_options)
    g = np.random.default_rng(1).normal(size=theirs.shape)
    theirs.backward(torch.tensor(g))
    ours_options = {k: lib.asarray(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    value, pullback = xpnn.vjp(
        lambda x: getattr(losses, name)(x, lib.asarray(target), reduction=reduction, **ours_options), lib.asarray(x)
    )
    np.testing.assert_allclose(lib.to_numpy(value), theirs.detach().numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(lib.to_numpy(pullback(lib.asarray(g))[0]), tx.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss", "binary_cross_entropy_with_logits"])
def test_shapes_do_not_broadcast(name: str) -> None:
    with pytest.raises(ValueError, match=r"target: expected the shape of input, \(6, 1\), got \(6,\)"):
        getattr(losses, name)(np.ones((6, 1)), np.ones(6))


@pytest.mark.parametrize("name", ["mse_loss", "cross_entropy", "nll_loss"])
def test_unknown_reduction(name: str) -> None:
    target = X if name == "mse_loss" else LABELS
    with pytest.raises(ValueError, match="reduction"):
        getattr(losses, name)(X, target, reduction="average")


def test_the_slope_of_binary_cross_entropy_at_logits_of_zero(lib: Library) -> None:
    """sigmoid(0) - t: what a network with a last layer of zeros starts with."""
    target = lib.asarray([0.0, 1.0, 0.3])

    def loss(x: Any) -> Any:
        return losses.binary_cross_entropy_with_logits(x, target, reduction="sum")

    np.testing.assert_allclose(lib.to_numpy(xpnn.grad(loss)(lib.asarray(np.zeros(3)))), [0.5, -0.5, 0.2], rtol=1e-15)


def test_metrics(lib: Library) -> None:
    x = lib.asarray([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    assert float(metrics.accuracy(x, lib.asarray([1, 0, 0, 0]))) == 0.75
    assert float(metrics.mean_absolute_error(x, x + 0.5)) == pytest.approx(0.5)
