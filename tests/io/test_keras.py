"""Recurrent weights of Keras: our layers give what the equations in Keras' documentation give, written here in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnn import nn
from xpnn.io import keras_recurrent

GATES = {"lstm": 4, "gru": 3, "rnn": 1}
LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
INPUTS, H = 3, 5


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def step(kind: str, x: Any, h: Any, c: Any, weights: Any) -> tuple[Any, Any]:
    """One step of keras.layers.LSTM, GRU or SimpleRNN with the default activations."""
    kernel, recurrent, *rest = weights
    bias = rest[0] if rest else np.zeros(kernel.shape[1])
    if kind == "rnn":
        return np.tanh(x @ kernel + bias + h @ recurrent), c
    if kind == "lstm":
        i, f, candidate, o = np.split(x @ kernel + h @ recurrent + bias, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(candidate)
        return sigmoid(o) * np.tanh(c), c
    reset_after = bias.ndim == 2
    x_z, x_r, x_h = np.split(x @ kernel + (bias[0] if reset_after else bias), 3, axis=-1)
    u_z, u_r, u_h = np.split(recurrent, 3, axis=1)
    b_z, b_r, b_h = np.split(bias[1], 3) if reset_after else (0, 0, 0)
    z, r = sigmoid(x_z + h @ u_z + b_z), sigmoid(x_r + h @ u_r + b_r)
    candidate = np.tanh(x_h + (r * (h @ u_h + b_h) if reset_after else (r * h) @ u_h))
    return z * h + (1 - z) * candidate, c


def run(kind: str, x: Any, weights: Any) -> Any:
    """x (N, T, I) -> y (N, T, H)."""
    h = c = np.zeros((x.shape[0], H))
    outputs = []
    for t in range(x.shape[1]):
        h, c = step(kind, x[:, t], h, c, weights)
        outputs.append(h)
    return np.stack(outputs, axis=1)


def weights_of(kind: str, bias: str, seed: int = 0, inputs: int = INPUTS) -> list[Any]:
    rng, rows = np.random.default_rng(seed), GATES[kind] * H
    found = [rng.normal(size=(inputs, rows)), rng.normal(size=(H, rows))]
    return found if bias == "none" else [*found, rng.normal(size=(2, rows) if bias == "two" else (rows,))]


CASES = [("lstm", "one"), ("lstm", "none"), ("gru", "two"), ("gru", "one"), ("rnn", "one"), ("rnn", "none")]


def layer_of(kind: str, bias: str, *args: int, **options: Any) -> Any:
    if kind == "gru":
        options["reset_after"] = bias == "two"
    return LAYERS[kind](*args, bias=bias != "none", batch_first=True, dtype="float64", **options)


@pytest.mark.parametrize(("kind", "bias"), [*CASES, ("gru", "none")])
def test_one_layer(kind: str, bias: str) -> None:
    weights, x = weights_of(kind, bias), np.random.default_rng(1).normal(size=(2, 6, INPUTS))
    layer = layer_of(kind, bias, INPUTS, H)
    layer.load_state_dict(keras_recurrent(kind, weights))
    np.testing.assert_allclose(layer(x)[0], run(kind, x, weights), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("kind", "bias"), CASES)
def test_two_layers_in_both_directions(kind: str, bias: str) -> None:
    """Keras' Bidirectional joins the two outputs, forward first, and stands for one layer of a stack."""
    x = np.random.default_rng(1).normal(size=(2, 6, INPUTS))
    found, y = {}, x
    for level, inputs in enumerate((INPUTS, 2 * H)):
        ways = [weights_of(kind, bias, 2 * level + way, inputs) for way in (0, 1)]
        found |= keras_recurrent(kind, [*ways[0], *ways[1]], layer=level)
        y = np.concatenate((run(kind, y, ways[0]), run(kind, y[:, ::-1], ways[1])[:, ::-1]), axis=-1)
    layer = layer_of(kind, bias, INPUTS, H, num_layers=2, bidirectional=True)
    layer.load_state_dict(found)
    np.testing.assert_allclose(layer(x)[0], y, rtol=1e-11, atol=1e-13)


def test_errors_name_the_argument() -> None:
    kernel, recurrent, bias = weights_of("lstm", "one")
    for args, message in [
        (("LSTM", [kernel]), "kind: expected one of lstm, gru, rnn, got 'LSTM'"),
        (("lstm", [kernel]), "weights: expected 2 or 3 arrays, or twice that of Bidirectional, got 1"),
        (("gru", [kernel, recurrent]), r"weights: expected a recurrent_kernel \(H, 3 H\) of gru, got \(5, 20\)"),
        (("lstm", [kernel.T, recurrent]), r"weights: expected a kernel \(I, 20\), got \(20, 3\)"),
        (("lstm", [kernel, recurrent, bias[:5]]), r"weights: expected a bias \(20,\), got \(5,\)"),
        (("gru", [np.ones((3, 15)), np.ones((5, 15)), np.ones(5)]), r"a bias \(15,\) or \(2, 15\), got \(5,\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            keras_recurrent(*args)
