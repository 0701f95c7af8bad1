"""RNN, LSTM, GRU and their minimal kin: lengths in every form, reset, dropout between layers, proj_size, reset_after, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import nn, ops, tree
from xpnn.namespace.libraries import is_array
from xpnn.random import next_key

from ..conftest import Library

LAYERS = ("LSTM", "GRU", "RNN")
every = pytest.mark.parametrize("kind", LAYERS)
DEEP = {"num_layers": 2, "bidirectional": True}


def build(kind: str, **options: Any) -> Any:
    xpnn.seed(1)
    return getattr(nn, kind)(4, 3, **options).astype("float64")


def on(lib: Library, layer: Any) -> Any:
    return tree.map(lambda a: lib.asarray(a) if is_array(a) else a, layer)


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def numpy_leaves(lib: Library, out: Any) -> list[Any]:
    return [lib.to_numpy(y) for y in tree.leaves(out)]


@every
@pytest.mark.parametrize("lengths", [(5, 2, 0, 3), (0, 5, 5, 1), (0, 0, 0, 0), (5, 5, 5, 5)])
def test_each_row_is_as_it_is_alone(lib: Library, kind: str, lengths: tuple[int, ...]) -> None:
    """In any order, of length 0, all padding: outputs, last states, and the gradient of x, in both directions."""
    layer, x = on(lib, build(kind, **DEEP)), numbers(5, 4, 4)
    given = lib.asarray(np.array(lengths))
    (y, last), pullback = xpnn.vjp(lambda x: layer(x, lengths=given), lib.asarray(x))
    xp = xpnn.namespace(y)
    (dx,) = pullback((xp.ones_like(y), tree.map(xp.ones_like, last)))
    y, dx, states = lib.to_numpy(y), lib.to_numpy(dx), numpy_leaves(lib, last)
    for n, length in enumerate(lengths):
        assert not y[length:, n].any() and not dx[length:, n].any()
        if not length:
            assert not any(s[:, n].any() for s in states)
            continue
        (alone, own), pull = xpnn.vjp(layer, lib.asarray(x[:length, n]))
        np.testing.assert_allclose(y[:length, n], lib.to_numpy(alone), rtol=1e-12, atol=1e-14)
        for s, t in zip(states, numpy_leaves(lib, own), strict=True):
            np.testing.assert_allclose(s[:, n], t, rtol=1e-12, atol=1e-14)
        (d,) = pull((xp.ones_like(alone), tree.map(xp.ones_like, own)))
        np.testing.assert_allclose(dx[:length, n], lib.to_numpy(d), rtol=1e-11, atol=1e-14)


@every
def test_lengths_of_the_whole_batch_change_nothing(lib: Library, kind: str) -> None:
    layer, x = on(lib, build(kind, **DEEP)), lib.asarray(numbers(5, 2, 4))
    for a, b in zip(numpy_leaves(lib, layer(x)), numpy_leaves(lib, layer(x, lengths=[5, 5])), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


@every
def test_lengths_may_be_a_list_or_an_array_of_any_library(lib: Library, kind: str) -> None:
    layer, x = on(lib, build(kind)), lib.asarray(numbers(5, 3, 4))
    found = [
        numpy_leaves(lib, layer(x, lengths=form))
        for form in ([2, 5, 0], (2, 5, 0), np.array([2, 5, 0], np.int32), lib.asarray(np.array([2, 5, 0])))
    ]
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@every
def test_a_row_of_length_0_keeps_its_initial_state(lib: Library, kind: str) -> None:
    layer, h = on(lib, build(kind, **DEEP)), numbers(4, 2, 3, seed=1)
    state = lib.asarray(h)
    y, last = layer(lib.asarray(numbers(5, 2, 4)), (state, state) if kind == "LSTM" else state, lengths=[0, 3])
    assert not lib.to_numpy(y)[:, 0].any()
    for s in numpy_leaves(lib, last):
        np.testing.assert_array_equal(s[:, 0], h[:, 0])


@pytest.mark.parametrize("kind", [*LAYERS, "MinGRU", "MinLSTM"])
@pytest.mark.parametrize("lengths", [None, (7, 4)])
def test_parts_of_a_row_are_as_they_are_alone(lib: Library, kind: str, lengths: Any) -> None:
    """reset is true at the first step of a part; no direction passes from one part to the next."""
    layer, x = on(lib, build(kind, **DEEP)), numbers(7, 2, 4)
    reset = np.zeros((7, 2), bool)
    reset[[0, 3], 0] = reset[[2, 4], 1] = True
    y, _ = layer(lib.asarray(x), lengths=lengths, reset=lib.asarray(reset))
    y = lib.to_numpy(y)
    ends = lengths or (7, 7)
    for n, begins in enumerate([(0, 3), (0, 2, 4)]):
        begins = [t for t in begins if t < ends[n]]
        for start, stop in zip(begins, (*begins[1:], ends[n]), strict=True):
            alone = lib.to_numpy(layer(lib.asarray(x[start:stop, n]))[0])
            np.testing.assert_allclose(y[start:stop, n], alone, rtol=1e-12, atol=1e-14)


@every
def test_reset_at_the_first_step_drops_the_initial_state(lib: Library, kind: str) -> None:
    layer, state = on(lib, build(kind)), lib.asarray(numbers(1, 2, 3, seed=1))
    x, reset = lib.asarray(numbers(5, 2, 4)), [[True, False], *[[False, False]] * 4]
    y = lib.to_numpy(layer(x, (state, state) if kind == "LSTM" else state, reset=reset)[0])
    without, given = (lib.to_numpy(layer(x, s)[0]) for s in (None, (state, state) if kind == "LSTM" else state))
    np.testing.assert_allclose(y[:, 0], without[:, 0], rtol=1e-12)
    np.testing.assert_allclose(y[:, 1], given[:, 1], rtol=1e-12)


@every
def test_reset_goes_with_the_batch_first_and_without_a_batch(kind: str) -> None:
    layer, other = build(kind), build(kind, batch_first=True)
    x, reset = numbers(5, 2, 4), np.random.default_rng(0).random((5, 2)) < 0.4
    y, _ = layer(x, reset=reset)
    np.testing.assert_allclose(other(x.swapaxes(0, 1), reset=reset.T)[0], y.swapaxes(0, 1), rtol=1e-13)
    np.testing.assert_allclose(layer(x[:, 1], reset=reset[:, 1])[0], y[:, 1], rtol=1e-12)


@every
def test_dropout_between_layers_is_philox_of_the_next_key(lib: Library, kind: str) -> None:
    """The same mask on every library, between the layers only, in training only."""
    both, x = build(kind, num_layers=2, dropout=0.5), lib.asarray(numbers(5, 3, 4))
    parts = [getattr(nn, kind)(inputs, 3, dtype="float64") for inputs in (4, 3)]
    for level, part in enumerate(parts):
        own = {k.replace(f"_l{level}", "_l0"): v for k, v in both.state_dict().items() if k.endswith(f"_l{level}")}
        part.load_state_dict(own)
    layer, lower, upper = (on(lib, part) for part in (both, *parts))
    xpnn.seed(7)
    found = numpy_leaves(lib, layer(x))
    xpnn.seed(7)
    for a, b in zip(found, numpy_leaves(lib, layer(x)), strict=True):
        np.testing.assert_array_equal(a, b)
    xpnn.seed(7)
    mask = lib.asarray(ops.dropout(np.ones((5, 3, 3)), 0.5, key=next_key()))
    y, _ = upper(lower(x)[0] * mask)
    np.testing.assert_allclose(found[0], lib.to_numpy(y), rtol=1e-12, atol=1e-14)
    layer.eval()
    np.testing.assert_allclose(lib.to_numpy(layer(x)[0]), lib.to_numpy(upper(lower(x)[0])[0]), rtol=1e-12)


def test_a_gru_with_the_reset_gate_before(lib: Library) -> None:
    layer, x = on(lib, build("GRU", reset_after=False, **DEEP)), numbers(5, 2, 4)
    y, _ = layer(lib.asarray(x), lengths=[3, 5])
    weights = [getattr(layer, f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    one = nn.GRU(4, 3, reset_after=False, dtype="float64")
    one.load_state_dict({k: lib.to_numpy(v) for k, v in layer.state_dict().items() if k.endswith("_l0")})
    cell = nn.GRUCell(4, 3, reset_after=False, dtype="float64")
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in one.state_dict().items()})
    outputs, _ = ops.gru(lib.asarray(x), None, *weights, reset_after=False)
    np.testing.assert_allclose(lib.to_numpy(outputs), one(x)[0], rtol=1e-12)
    np.testing.assert_allclose(cell(x[1], cell(x[0])), one(x)[0][1], rtol=1e-12)
    assert lib.to_numpy(y).shape == (5, 2, 6)
    assert repr(cell) == "GRUCell(4, 3, reset_after=False)" and repr(one) == "GRU(4, 3, reset_after=False)"


def test_errors_name_the_argument() -> None:
    with pytest.raises(ValueError, match="proj_size: expected 0, or less than hidden_size = 3, got 3"):
        nn.LSTM(4, 3, proj_size=3)
    with pytest.raises(ValueError, match="proj_size: expected 0, or less than hidden_size = 3, got -1"):
        nn.LSTM(4, 3, proj_size=-1)
    with pytest.raises(TypeError, match="proj_size: expected an integer, got float"):
        nn.LSTM(4, 3, proj_size=1.0)
    layer, x = nn.LSTM(4, 3, proj_size=2), numbers(5, 2, 4).astype("float32")
    assert repr(layer) == "LSTM(4, 3, proj_size=2)"
    with pytest.raises(ValueError, match=r"LSTM: the initial state h0 has shape \(1, 2, 3\), expected \(1, 2, 2\)"):
        layer(x, (np.zeros((1, 2, 3)), np.zeros((1, 2, 3))))
    with pytest.raises(
        ValueError, match=r"LSTM: reset: expected booleans of shape \(5, 2\), got bool of shape \(2, 5\)"
    ):
        layer(x, reset=np.zeros((2, 5), bool))
    with pytest.raises(ValueError, match=r"LSTM: reset: expected booleans of shape \(5, 2\), got int64 of shape"):
        layer(x, reset=np.zeros((5, 2), np.int64))
