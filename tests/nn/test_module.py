"""Module: the tree, state, buffers, tied weights, conversion, repr."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import nn
from xpnn.nn import Buffer, Module


class Branching(Module):
    """Arrays and modules in every kind of attribute."""

    def __init__(self) -> None:
        self.weight = np.array([1.0, 2.0])
        self.blocks = [nn.Linear(2, 2, dtype="float64"), (nn.Linear(2, 1, dtype="float64"), "text")]
        self.table = {"scale": np.array(3.0), "name": "x"}
        self.count = Buffer(np.array(0))
        self.sizes = (1, 2, 3)
        self.factor = np.float64(2.0)

    def forward(self, x: Any) -> Any:
        self.count.update(self.count.value + 1)
        return self.blocks[1][0](self.blocks[0](x * self.weight)) * self.table["scale"] * self.factor


def test_names_of_parameters_and_buffers() -> None:
    model = Branching()
    names = [name for name, _ in model.named_parameters()]
    assert names == [
        "weight",
        "blocks.0.weight",
        "blocks.0.bias",
        "blocks.1.0.weight",
        "blocks.1.0.bias",
        "table.scale",
    ]
    assert [name for name, _ in model.named_buffers()] == ["count"]
    assert [name for name, _ in model.named_modules()] == ["", "blocks.0", "blocks.1.0"]
    assert model.parameter_count == 2 + 4 + 2 + 2 + 1 + 1
    assert list(model.state_dict()) == [*names, "count"]


def test_gradient_is_a_module_of_gradients_and_the_model_is_untouched() -> None:
    model = Branching()
    before = {name: np.array(x) for name, x in model.state_dict().items()}
    x = np.array([[1.0, -1.0]])
    value, grads = xpnn.value_and_grad(lambda m, x: xpnn.namespace(x).sum(m(x)))(model, x)
    assert isinstance(grads, Branching) and grads is not model
    step = 1e-6
    for (name, p), (_, g) in zip(model.named_parameters(), grads.named_parameters(), strict=True):
        for index in np.ndindex(p.shape):
            kept = p[index]
            p[index] = kept + step
            up = model(x).sum()
            p[index] = kept - step
            down = model(x).sum()
            p[index] = kept
            assert abs((up - down) / (2 * step) - g[index]) < 1e-7, name
    for name, value in before.items():
        if name != "count":
            np.testing.assert_array_equal(model.state_dict()[name], value)
    assert all(type(x) is np.ndarray for x in model.parameters())


def test_a_buffer_updated_inside_a_trace_reaches_the_model_detached() -> None:
    model = Branching()
    xpnn.value_and_grad(lambda m: xpnn.namespace(m.weight).sum(m(np.ones((1, 2)))))(model)
    assert model.count.value == 1
    model.mean = Buffer(np.zeros(2))

    def loss(m: Any) -> Any:
        m.mean.update(m.weight * 2)
        return xpnn.namespace(m.weight).sum(m.weight)

    xpnn.grad(loss)(model)
    assert type(model.mean.value) is np.ndarray
    np.testing.assert_array_equal(model.mean.value, [2.0, 4.0])


def test_tied_weights_are_one_parameter() -> None:
    model = nn.Sequential(nn.Linear(3, 3, bias=False, dtype="float64"), nn.Linear(3, 3, bias=False, dtype="float64"))
    model[1].weight = model[0].weight
    assert model.parameter_count == 9
    before = model[0].weight.copy()
    grads = xpnn.grad(lambda m: xpnn.namespace(m[0].weight).sum(m(np.ones((1, 3)))))(model)
    xpnn.optim.SGD(model, lr=0.5).step(grads)
    np.testing.assert_allclose(model[0].weight, before - 0.5 * grads[0].weight)
    assert model[1].weight is model[0].weight
    assert model.astype("float32")[1].weight is model[0].weight


def test_train_and_eval_reach_all_modules() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.5)))
    x = np.ones((4, 100), np.float32)
    assert (model(x) == 0).any()
    assert model.eval() is model and not model[1][0].training
    np.testing.assert_array_equal(model(x), x)
    assert model.train()[1][0].training


def test_state_dict_round_trip_is_in_place_and_copies() -> None:
    a, b = nn.Linear(3, 2), nn.Linear(3, 2)
    held = b.weight
    b.load_state_dict(a.state_dict())
    np.testing.assert_array_equal(b.weight, a.weight)
    assert b.weight is held and b.weight is not a.weight


def test_all_misfits_are_named_and_nothing_is_changed() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    before = model[0].bias.copy()
    state = {
        "0.weight": np.zeros((2, 4)),
        "0.bias": np.zeros(2),
        "1.weight": np.zeros((2, 2)),
        "head.weight": np.zeros(1),
    }
    with pytest.raises(ValueError, match="state_dict does not fit") as caught:
        model.load_state_dict(state)
    text = str(caught.value)
    assert "missing: 1.bias" in text and "unexpected: head.weight" in text
    assert "0.weight (2, 4), expected (2, 3)" in text and "\n" not in text
    np.testing.assert_array_equal(model[0].bias, before)
    model.load_state_dict({"0.bias": np.ones(2), "other": np.ones(1)}, strict=False)
    np.testing.assert_array_equal(model[0].bias, 1.0)


def test_astype_converts_in_place_and_keeps_integers() -> None:
    model = Branching()
    block = model.blocks[0]
    assert model.astype("float32") is model
    assert model.weight.dtype == np.float32 and model.blocks[0] is block and block.weight.dtype == np.float32
    assert model.table["scale"].dtype == np.float32 and model.count.value.dtype.kind == "i"
    assert model.device == "cpu" and model.to("cpu") is model


def test_pickle_and_repr() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Sequential(nn.Dropout(0.1)))
    again = pickle.loads(pickle.dumps(model))
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(again.eval()(x), model.eval()(x))
    assert repr(model).splitlines()[1] == "  (0): Linear(in_features=3, out_features=2, bias=True)"
    assert "    (0): Dropout(p=0.1)" in repr(model)


def test_subclass_without_forward_says_so() -> None:
    class Nothing(Module):
        pass

    with pytest.raises(NotImplementedError, match="Nothing has no forward"):
        Nothing()(1)


def test_plain_functions_in_a_sequential() -> None:
    model = nn.Sequential(nn.Linear(3, 2), lambda x: x * 2)
    x = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(model(x), model[0](x) * 2)
    with pytest.raises(TypeError, match="module 0 is int"):
        nn.Sequential(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid])
def test_sequential_computes_a_linear_and_its_activation_in_one_step(activation: type[Module]) -> None:
    model = nn.Sequential(nn.Linear(3, 4), activation(), activation(), nn.Linear(4, 2))
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    a, b, c, d = model
    np.testing.assert_array_equal(model(x), d(c(b(a(x)))))
    ours = xpnn.grad(lambda m: xpnn.namespace(m(x)).sum(m(x) ** 2))(model)
    step_by_step = xpnn.grad(lambda m: xpnn.namespace(m[0](x)).sum(m[3](m[2](m[1](m[0](x)))) ** 2))(model)
    for one, other in zip(ours.parameters(), step_by_step.parameters(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    joined, separate = (len(xpnn.explain(f, x)) for f in (model[:2], lambda x: b(a(x))))
    assert (joined, separate) == (1, 2)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "norm",
    [lambda: nn.BatchNorm1d(4), lambda: nn.LayerNorm(4), lambda: nn.GroupNorm(2, 4)],
    ids=["batch", "layer", "group"],
)
def test_sequential_computes_a_normalisation_and_its_activation_in_one_step(norm: Any, training: bool) -> None:
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    model = nn.Sequential(norm(), nn.ReLU()).train(training)
    together, apart = model(x), model[1](model[0](x))
    np.testing.assert_allclose(together, apart, rtol=1e-6)
    assert len(xpnn.explain(model, x)) == 1 and np.all(together >= 0)


@pytest.mark.parametrize(("dims", "shape"), [(1, (2, 3, 7)), (2, (2, 3, 5, 6)), (3, (2, 3, 4, 3, 5))])
def test_sequential_computes_a_convolution_and_its_activation_in_one_step(dims: int, shape: tuple[int, ...]) -> None:
    layer = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1](3, 4, 3, padding=1)
    model = nn.Sequential(layer, nn.ReLU())
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.testing.assert_array_equal(model(x), model[1](layer(x)))
    assert len(xpnn.explain(model, x)) == 1 and len(xpnn.explain(lambda x: model[1](layer(x)), x)) == 2


def test_what_derives_from_an_activation_or_a_linear_is_called_itself() -> None:
    class Twice(nn.ReLU):
        def forward(self, x: Any) -> Any:
            return 2 * super().forward(x)

    class Shifted(nn.Linear):
        def forward(self, x: Any) -> Any:  # type: ignore[override]
            return super().forward(x) - 1

    x = np.ones((2, 3), np.float32)
    for model in (nn.Sequential(nn.Linear(3, 4), Twice()), nn.Sequential(Shifted(3, 4), nn.ReLU())):
        np.testing.assert_array_equal(model(x), model[1](model[0](x)))


def test_containers() -> None:
    layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 3)]).append(nn.ReLU())
    assert len(layers) == 3 and isinstance(layers[-1], nn.ReLU) and len(layers[:2]) == 2
    assert [name for name, _ in layers.named_parameters()] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    named = nn.ModuleDict({"a": nn.Linear(2, 2)})
    named["b"] = nn.ReLU()
    assert list(named) == ["a", "b"] and len(named) == 2 and isinstance(named["b"], nn.ReLU)
    with pytest.raises(ValueError, match="'forward' cannot be used"):
        named["forward"] = nn.ReLU()


def test_loaded_buffers_are_copies() -> None:
    a, b = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    b.load_state_dict(a.state_dict())
    a.running_mean.value[...] = 7.0
    np.testing.assert_array_equal(b.running_mean.value, 0.0)
