"""MinGRU and MinLSTM: against the formula row by row, gradients, step by step, lengths, float32 through the kernels, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import nn, tree
from xpnn.namespace.libraries import is_array
from xpnn.testing import check_gradient

from ..conftest import Library
from ..cuda.emulated import kernels_for_numpy

KINDS = {"MinGRU": 2, "MinLSTM": 3}
every = pytest.mark.parametrize("kind", KINDS)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def build(kind: str, *args: int, **options: Any) -> Any:
    xpnn.seed(1)
    return getattr(nn, kind)(*args, **options).astype("float64")


def one_direction(kind: str, x: Any, h: Any, w: Any, b: Any) -> tuple[Any, Any]:
    """y (T, H) and the last state of one row x (T, I), as the paper's sequential mode has it."""
    outputs = []
    for step in x:
        gates = np.split(w @ step + (0 if b is None else b), KINDS[kind])
        if kind == "MinGRU":
            z = sigmoid(gates[0])
            h = (1 - z) * h + z * gates[1]
        else:
            f, i = sigmoid(gates[0]), sigmoid(gates[1])
            h = f / (f + i) * h + i / (f + i) * gates[2]
        outputs.append(h)
    return np.array(outputs).reshape(len(x), h.shape[0]), h


def expected(layer: Any, kind: str, x: Any, state: Any, lengths: Any) -> tuple[Any, Any]:
    """y (T, N, H * directions) and the last states, row by row; after the end of a row 0."""
    ends = np.array(state)
    place = 0
    for level in range(layer.num_layers):
        outputs = []
        for suffix in [f"_l{level}", f"_l{level}_reverse"][: 2 if layer.bidirectional else 1]:
            w, b = getattr(layer, f"weight_ih{suffix}"), getattr(layer, f"bias_ih{suffix}", None)
            y = np.zeros((*x.shape[:2], layer.hidden_size))
            for n, length in enumerate(lengths):
                order = slice(None, None, -1 if suffix.endswith("reverse") else 1)
                found, ends[place, n] = one_direction(kind, x[:length, n][order], state[place, n], w, b)
                y[:length, n] = found[order]
            outputs.append(y)
            place += 1
        x = np.concatenate(outputs, axis=-1)
    return x, ends


@every
@pytest.mark.parametrize("lengths", [None, (5, 2, 0)])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False}])
def test_values_of_the_formula(lib: Library, kind: str, lengths: Any, options: dict[str, Any]) -> None:
    layer = build(kind, 4, 3, **options)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 3, 4))
    state = rng.normal(size=(layer.num_layers * (2 if layer.bidirectional else 1), 3, 3))
    model = tree.map(lambda a: lib.asarray(a) if is_array(a) else a, layer)
    given = None if lengths is None else lib.asarray(np.array(lengths))
    found = model(lib.asarray(x), lib.asarray(state), lengths=given)
    for ours, wanted in zip(found, expected(layer, kind, x, state, lengths or (5, 5, 5)), strict=True):
        np.testing.assert_allclose(lib.to_numpy(ours), wanted, rtol=1e-12, atol=1e-14, strict=True)


@every
def test_without_a_state_it_starts_at_0(kind: str) -> None:
    layer = build(kind, 4, 3, batch_first=True)
    x = np.random.default_rng(0).normal(size=(2, 6, 4))
    y, h = layer(x)
    wanted, ends = expected(layer, kind, x.swapaxes(0, 1), np.zeros((1, 2, 3)), (6, 6))
    np.testing.assert_allclose(y, wanted.swapaxes(0, 1), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(h, ends, rtol=1e-12, atol=1e-14)
    alone, h = layer(x[0])
    np.testing.assert_allclose(alone, y[0], rtol=1e-12, atol=1e-14)
    assert h.shape == (1, 3)


@every
def test_step_by_step_it_is_the_same(kind: str) -> None:
    layer = build(kind, 4, 3, num_layers=2)
    x = np.random.default_rng(0).normal(size=(6, 2, 4))
    y, last = layer(x)
    h = None
    for t in range(6):
        one, h = layer(x[t : t + 1], h)
        np.testing.assert_allclose(one[0], y[t], rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(h, last, rtol=1e-13, atol=1e-15)


@every
@pytest.mark.parametrize("lengths", [None, (3, 0)])
def test_gradients(lib: Library, kind: str, lengths: Any) -> None:
    layer = build(kind, 3, 2, bidirectional=True)
    given = None if lengths is None else lib.asarray(np.array(lengths))
    rng = np.random.default_rng(0)
    names = list(layer.state_dict())
    arrays = [lib.asarray(a) for a in (rng.normal(size=(4, 2, 3)), rng.normal(size=(2, 2, 2)))]
    arrays += [lib.asarray(a) for a in layer.state_dict().values()]

    def run(x: Any, h0: Any, *weights: Any) -> Any:
        model = build(kind, 3, 2, bidirectional=True)
        for name, weight in zip(names, weights, strict=True):
            setattr(model, name, weight)
        return model(x, h0, lengths=given)

    check_gradient(run, *arrays)


def test_gates_far_below_0_have_the_right_ratio() -> None:
    layer = nn.MinLSTM(1, 1, bias=False)
    layer.weight_ih_l0 = np.array([[-200.0], [-201.0], [1.0]], np.float32)
    y, _ = layer(np.ones((1, 1, 1), np.float32))
    assert y[0, 0, 0] == pytest.approx(1 / (1 + np.e), rel=1e-6)


def test_no_step_keeps_the_state() -> None:
    layer = build("MinGRU", 4, 3)
    h0 = np.ones((1, 2, 3))
    y, h = layer(np.ones((0, 2, 4)), h0)
    assert y.shape == (0, 2, 3) and np.array_equal(h, h0)
    assert np.array_equal(layer(np.ones((0, 2, 4)))[1], np.zeros((1, 2, 3)))


@every
def test_through_the_kernels(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    layer = build(kind, 4, 3, num_layers=2, bidirectional=True)
    x, state = np.random.default_rng(0).normal(size=(5, 3, 4)), np.zeros((4, 3, 3))
    wanted = expected(layer, kind, x, state, (5, 2, 0))
    layer.astype("float32")
    with kernels_for_numpy(monkeypatch) as emulator:
        found = layer(x.astype(np.float32), lengths=np.array([5, 2, 0]))
    assert "linear_scan.cu" in {plan.file for plan in emulator.launched}
    for ours, exact in zip(found, wanted, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, exact, rtol=1e-4, atol=1e-6)


@every
def test_parameters_and_repr(kind: str) -> None:
    layer = getattr(nn, kind)(4, 3, num_layers=2, bidirectional=True)
    rows = 3 * KINDS[kind]
    shapes = {name: p.shape for name, p in layer.state_dict().items()}
    assert shapes["weight_ih_l0"] == (rows, 4) and shapes["weight_ih_l1_reverse"] == (rows, 6)
    assert shapes["bias_ih_l1"] == (rows,) and len(shapes) == 8
    assert repr(layer) == f"{kind}(4, 3, num_layers=2, bidirectional=True)"
    assert list(getattr(nn, kind)(4, 3, bias=False).state_dict()) == ["weight_ih_l0"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, x: m(x[..., :2]), "MinGRU: x has shape .* input_size = 4 on axis -1"),
        (
            lambda m, x: m(x, np.ones((1, 3, 3))),
            r"MinGRU: the initial state h0 has shape \(1, 3, 3\), expected \(1, 2, 3\)",
        ),
        (lambda m, x: m(x, lengths=np.array([1, 2, 3])), r"lengths: expected 2 integers, got int64 of shape \(3,\)"),
        (lambda m, x: m(x, lengths=np.array([1.0, 2])), r"lengths: expected 2 integers, got float64 of shape \(2,\)"),
    ],
)
def test_errors_name_the_argument(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(build("MinGRU", 4, 3), np.ones((5, 2, 4)))
