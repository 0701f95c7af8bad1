"""RNNCell, LSTMCell and GRUCell: values and all gradients of torch in float64, on every library, and the errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import nn, tree
from xpnn.namespace.libraries import is_array
from xpnn.primitive import explain

from ..conftest import Library

STATES = {"LSTMCell": 2, "GRUCell": 1, "RNNCell": 1}
CASES: list[tuple[str, dict[str, Any]]] = [
    *((kind, options) for kind in STATES for options in ({}, {"bias": False})),
    ("RNNCell", {"nonlinearity": "relu"}),
]


def build(kind: str, **options: Any) -> Any:
    xpnn.seed(1)
    return getattr(nn, kind)(4, 5, **options).astype("float64")


@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize("batch", [(3,), (0,), ()])
@pytest.mark.parametrize(("kind", "options"), CASES)
def test_values_and_gradients_of_torch(
    lib: Library, kind: str, options: dict[str, Any], batch: tuple[int, ...], with_state: bool
) -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    ours, theirs = build(kind, **options), getattr(torch.nn, kind)(4, 5, **options).double()
    theirs.load_state_dict({name: torch.tensor(x) for name, x in ours.state_dict().items()}, strict=True)
    rng = np.random.default_rng(0)
    x, *states = rng.normal(size=(*batch, 4)), *(rng.normal(size=(*batch, 5)) for _ in range(STATES[kind]))
    given = [x, *states] if with_state else [x]

    def call(cell: Any, x: Any, *s: Any) -> list[Any]:
        out = cell(x, None if not s else s if kind == "LSTMCell" else s[0])
        return list(out) if kind == "LSTMCell" else [out]

    model = tree.map(lambda a: lib.asarray(a) if is_array(a) else a, ours)
    out, pullback = xpnn.vjp(lambda m, *a: call(m, *a), model, *map(lib.asarray, given))
    tensors = [torch.tensor(a, requires_grad=True) for a in given]
    expected = call(theirs, *tensors)
    gs = [rng.normal(size=tuple(y.shape)) for y in expected]
    wanted = torch.autograd.grad(expected, [*theirs.parameters(), *tensors], [torch.tensor(g) for g in gs])
    found = [lib.to_numpy(g) for g in tree.leaves(pullback([lib.asarray(g) for g in gs])) if is_array(g)]
    for a, b in zip([*map(lib.to_numpy, out), *found], [*(y.detach() for y in expected), *wanted], strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-10, atol=1e-12, strict=True)


@pytest.mark.parametrize("kind", STATES)
def test_a_cell_is_a_layer_of_one_step(kind: str) -> None:
    cell, layer = build(kind), getattr(nn, kind.removesuffix("Cell"))(4, 5, dtype="float64")
    layer.load_state_dict({f"{name}_l0": x for name, x in cell.state_dict().items()})
    x, state = np.random.default_rng(0).normal(size=(6, 3, 4)), None
    for step in x:
        state = cell(step, state)
    last = layer(x)[1]
    for a, b in zip(tree.leaves(state), tree.leaves(last), strict=True):
        np.testing.assert_allclose(a, b[0], rtol=1e-12)


def test_it_runs_the_fused_form() -> None:
    assert explain(build("LSTMCell"), np.ones((2, 4)))[0].startswith("lstm: cpu.lstm")


def test_it_says_what_it_is() -> None:
    assert repr(nn.RNNCell(2, 3, bias=False, nonlinearity="relu")) == 'RNNCell(2, 3, bias=False, nonlinearity="relu")'
    assert repr(nn.GRUCell(2, 3)) == "GRUCell(2, 3)"


def test_errors_name_the_argument() -> None:
    cell = build("GRUCell")
    with pytest.raises(ValueError, match=r"GRUCell: x has shape \(1, 2, 4\), expected \(N, I\), or \(I,\)"):
        cell(np.ones((1, 2, 4)))
    with pytest.raises(ValueError, match=r"GRUCell: x has shape \(2, 3\), expected input_size = 4"):
        cell(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"GRUCell: the state has shape \(2, 4\), expected \(2, 5\)"):
        cell(np.ones((2, 4)), np.ones((2, 4)))
    with pytest.raises(ValueError, match='nonlinearity: expected "tanh" or "relu", got'):
        nn.RNNCell(4, 5, nonlinearity="gelu")
    with pytest.raises(ValueError, match="hidden_size: expected 1 or more, got 0"):
        nn.LSTMCell(4, 0)
