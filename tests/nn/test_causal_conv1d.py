"""CausalConv1d: against torch's depthwise convolution, pieces against the whole, through the kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import nn, ops
from xpnn.gradients import value_and_grad
from xpnn.testing import check_gradient

from ..conftest import Library
from ..cuda.emulated import kernels_for_numpy


def drawn(*shape: int) -> Any:
    return np.random.default_rng(shape).normal(size=shape)


def total(y: Any) -> Any:
    return xpnn.namespace(y).sum(y)


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_values_and_gradients_of_torch(data_format: str) -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    layer = nn.CausalConv1d(5, 4, activation="silu", dtype="float64", data_format=data_format)
    theirs = torch.nn.Conv1d(5, 5, 4, groups=5, padding=3).double()
    theirs.load_state_dict({name: torch.from_numpy(np.array(p)) for name, p in layer.state_dict().items()})
    x, g = drawn(2, 5, 9), drawn(3, 2, 5, 9)[0]
    given = torch.from_numpy(x.copy()).requires_grad_()
    wanted = torch.nn.functional.silu(theirs(given)[..., :9])
    wanted.backward(torch.from_numpy(g))

    def order(a: Any) -> Any:
        return np.moveaxis(a, 1, -1) if data_format == "channels_last" else a

    np.testing.assert_allclose(layer(order(x))[0], order(wanted.detach().numpy()), rtol=1e-10)
    _, found = value_and_grad(lambda m, x: total(m(x)[0] * order(g)))(layer, order(x))
    np.testing.assert_allclose(found.weight, theirs.weight.grad.numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.bias, theirs.bias.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_in_pieces_it_is_the_same(data_format: str) -> None:
    layer = nn.CausalConv1d(6, 4, activation="silu", data_format=data_format)
    x = drawn(2, 6, 11).astype(np.float32)
    x = np.moveaxis(x, 1, -1) if data_format == "channels_last" else x
    y, last = layer(x)
    axis, state, pieces = 1 if data_format == "channels_last" else 2, None, []
    for piece in np.split(x, range(1, 11), axis=axis):
        part, state = layer(piece, state)
        pieces.append(part)
    assert np.array_equal(np.concatenate(pieces, axis=axis), y) and np.array_equal(state, last)
    alone, state = layer(x[0])
    assert np.array_equal(alone, y[0]) and np.array_equal(state, last[0])
    assert np.array_equal(layer(x[1], state)[0], layer(x[1:], state[None])[0][0])


def test_gradients_pass_through_the_state(lib: Library) -> None:
    weight, bias, x = (lib.asarray(drawn(*shape)) for shape in [(3, 1, 3), (3,), (2, 3, 5)])

    def run(x: Any, weight: Any, bias: Any) -> Any:
        layer = nn.CausalConv1d(3, 3, activation="silu", dtype="float64")
        layer.weight, layer.bias = weight, bias
        _, state = layer(x)
        return layer(x, state)

    check_gradient(run, x, weight, bias)


def test_through_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a model with a scan, as it is used."""
    xpnn.seed(1)
    conv, gru = nn.CausalConv1d(8, 4, activation="silu", data_format="channels_last"), nn.MinGRU(8, 8, batch_first=True)
    x = drawn(2, 9, 8).astype(np.float32)

    def loss(model: Any, x: Any) -> Any:
        return total(model[1](model[0](x)[0])[0] ** 2)

    wanted, gradients = value_and_grad(loss)([conv, gru], x)
    with kernels_for_numpy(monkeypatch) as emulator:
        found, ours = value_and_grad(loss)([conv, gru], x)
    assert {"causal_conv1d.cu", "linear_scan.cu"} <= {plan.file for plan in emulator.launched}
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    np.testing.assert_allclose(ours[0].weight, gradients[0].weight, rtol=1e-4, atol=1e-5)


def test_parameters_and_repr() -> None:
    layer = nn.CausalConv1d(6, 4, activation="silu")
    assert {name: p.shape for name, p in layer.state_dict().items()} == {"weight": (6, 1, 4), "bias": (6,)}
    assert repr(layer) == "CausalConv1d(6, kernel_size=4, activation='silu', bias=True)"
    assert list(nn.CausalConv1d(6, 4, False).state_dict()) == ["weight"]
    assert ops.causal_conv1d(np.ones((1, 6, 3), np.float32), layer.weight)[1].shape == (1, 6, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.CausalConv1d(4, 3, activation="gelu"), 'activation: expected None, "silu" or "relu", got \'gelu\''),
        (lambda: nn.CausalConv1d(4, 3, data_format="NLC"), "data_format: expected"),
        (lambda: nn.CausalConv1d(4, 3)(np.ones((2, 3, 9))), "CausalConv1d: x has shape .* channels = 4 on axis -2"),
        (lambda: nn.CausalConv1d(4, 3)(np.ones((2, 4, 9)), np.ones((2, 4, 3))), r"state: expected shape \(2, 4, 2\)"),
    ],
)
def test_errors_name_the_argument(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
