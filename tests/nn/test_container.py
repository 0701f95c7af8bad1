"""Containers: a list's and a dict's methods, names as in torch's state dicts, what cannot be held."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import nn

torch = pytest.importorskip("torch", reason="the reference is torch")


def layers(package: Any, *sizes: int) -> list[Any]:
    return [package.Linear(a, b) for a, b in pairwise(sizes)]


def shapes(state: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(x.shape) for name, x in state.items()}


def named(package: Any) -> Any:
    first, second, third = layers(package, 2, 3, 4, 5)
    return package.Sequential(OrderedDict(a=first, b=package.ReLU(), c=second, d=third))


def inserted(x: Any, *args: Any) -> Any:
    x.insert(*args)
    return x


def removed(x: Any, *keys: Any) -> Any:
    for key in keys:
        del x[key]
    return x


def popped(x: Any, key: Any) -> Any:
    x.pop(key)
    return x


def put(x: Any, key: Any, item: Any) -> Any:
    x[key] = item
    return x


def times(x: Any, n: int) -> Any:
    x *= n
    return x


def joined(x: Any, y: Any) -> Any:
    x += y
    return x


# What is done, on both sides, with a package; the result has the names and the shapes of torch's.
EDITS: dict[str, Callable[[Any], Any]] = {
    "append": lambda p: p.Sequential(*layers(p, 2, 3)).append(p.Linear(3, 4)),
    "extend": lambda p: p.Sequential(*layers(p, 2, 3)).extend(p.Sequential(*layers(p, 3, 4, 5))),
    "insert": lambda p: inserted(p.Sequential(*layers(p, 2, 3, 4)), 1, p.Linear(3, 3)),
    "insert from the end": lambda p: inserted(p.Sequential(*layers(p, 2, 3, 4)), -1, p.Linear(3, 3)),
    "del": lambda p: removed(p.Sequential(*layers(p, 2, 3, 4, 5)), 1),
    "del of a slice": lambda p: removed(p.Sequential(*layers(p, 2, 3, 4, 5)), slice(0, 2)),
    "pop": lambda p: popped(p.Sequential(*layers(p, 2, 3, 4, 5)), 0),
    "slice": lambda p: p.Sequential(*layers(p, 2, 3, 4, 5))[1:],
    "slice by steps": lambda p: p.Sequential(*layers(p, 2, 3, 4, 5))[::-2],
    "set": lambda p: put(p.Sequential(*layers(p, 2, 3, 4)), -1, p.Linear(3, 7)),
    "+": lambda p: p.Sequential(*layers(p, 2, 3)) + p.Sequential(*layers(p, 3, 4, 5)),
    "+=": lambda p: joined(p.Sequential(*layers(p, 2, 3)), p.Sequential(*layers(p, 3, 4, 5))),
    "*": lambda p: p.Sequential(*layers(p, 3, 3)) * 3,
    "* from the left": lambda p: 2 * p.Sequential(*layers(p, 3, 3), p.ReLU()),
    "*=": lambda p: times(p.Sequential(*layers(p, 3, 3)), 2),
    "named": named,
    "named, set": lambda p: put(named(p), 0, p.Linear(1, 1)),
    "named, slice": lambda p: named(p)[1:3],
    "named, append": lambda p: named(p).append(p.Linear(1, 1)),
    "named, del": lambda p: removed(named(p), -1),
    "list, append": lambda p: p.ModuleList(layers(p, 2, 3)).append(p.Linear(3, 4)),
    "list, extend": lambda p: p.ModuleList(layers(p, 2, 3)).extend(layers(p, 3, 4, 5)),
    "list, insert": lambda p: inserted(p.ModuleList(layers(p, 2, 3, 4)), 0, p.Linear(1, 1)),
    "list, del": lambda p: removed(p.ModuleList(layers(p, 2, 3, 4, 5)), 0, -1),
    "list, pop": lambda p: popped(p.ModuleList(layers(p, 2, 3, 4, 5)), -1),
    "list, slice": lambda p: p.ModuleList(layers(p, 2, 3, 4, 5))[1:],
    "list, +": lambda p: p.ModuleList(layers(p, 2, 3)) + layers(p, 3, 4),
    "list, +=": lambda p: joined(p.ModuleList(layers(p, 2, 3)), layers(p, 3, 4)),
    "list, set": lambda p: put(p.ModuleList(layers(p, 2, 3, 4)), 0, p.Linear(5, 3)),
    "dict": lambda p: p.ModuleDict({"b": p.Linear(1, 2), "a": p.Linear(3, 4)}),
    "dict of pairs": lambda p: p.ModuleDict([("1x1", p.Linear(1, 2)), ("0", p.Linear(3, 4))]),
    "dict, set": lambda p: put(p.ModuleDict({"b": p.Linear(1, 2), "a": p.Linear(3, 4)}), "b", p.Linear(5, 6)),
    "dict, del": lambda p: removed(p.ModuleDict({"b": p.Linear(1, 2), "a": p.Linear(3, 4)}), "b"),
    "dict, pop": lambda p: popped(p.ModuleDict({"b": p.Linear(1, 2), "a": p.Linear(3, 4)}), "a"),
}


@pytest.mark.parametrize("name", EDITS)
def test_names_and_parameters_are_those_of_torch(name: str) -> None:
    ours, theirs = EDITS[name](nn), EDITS[name](torch.nn)
    assert shapes(ours.state_dict()) == shapes(theirs.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    kinds = [[type(x).__name__ for x in getattr(held, "values", held.__iter__)()] for held in (ours, theirs)]
    assert kinds[0] == kinds[1] and len(ours) == len(theirs)


def test_a_dict_of_modules_is_a_dict() -> None:
    a, b = nn.ReLU(), nn.Linear(1, 1)
    both = nn.ModuleDict({"a": a, "b": b})
    assert list(both) == ["a", "b"] and list(reversed(both)) == ["b", "a"]
    assert both["b"] is b and both.get("c") is None and "a" in both and "c" not in both and "training" not in both
    assert dict(both.items()) == {"a": a, "b": b} and list(both.values()) == [a, b]
    both.update(c=nn.Tanh(), a=nn.Sigmoid())
    assert list(both) == ["a", "b", "c"] and type(both["a"]) is nn.Sigmoid
    assert both.pop("b") is b and len(both) == 2
    both.clear()
    assert len(both) == 0 and both.training
    with pytest.raises(KeyError):
        both["a"]
    assert both == both and both != nn.ModuleDict() and hash(both) is not None
    same = pickle.loads(pickle.dumps(nn.ModuleDict({"a": nn.Linear(2, 2)})))
    assert list(copy.deepcopy(same)) == ["a"]


def test_items_are_found_and_taken_out() -> None:
    a, b, c = nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 3)
    model = nn.Sequential(a, b, c)
    assert b in model and list(reversed(model)) == [c, b, a] and model[-1] is c
    assert model.pop() is c and model.pop(0) is a and list(model) == [b]
    model.append(len)
    assert model[1] is len and isinstance(model, nn.Sequential)
    with pytest.raises(IndexError):
        model[2]


def test_a_repeated_layer_is_tied_and_trained_once() -> None:
    model = nn.Sequential(nn.Linear(3, 3, bias=False, dtype="float64")) * 2
    x = np.random.default_rng(0).normal(size=(4, 3))
    np.testing.assert_allclose(model(x), x @ model[0].weight.T @ model[0].weight.T)
    assert model.parameter_count == 9 and model[0] is model[1]
    grads = xpnn.grad(lambda m: xpnn.namespace(m[0].weight).sum(m(x)))(model)
    ones, w = np.ones((4, 3)), model[0].weight.copy()
    wanted = ones.T @ (x @ w.T) + (ones @ w).T @ x
    xpnn.optim.SGD(model, lr=0.5).step(grads)
    np.testing.assert_allclose(model[1].weight, w - 0.5 * wanted, rtol=1e-12)


def test_a_module_added_to_a_sequential_by_name_runs_too() -> None:
    class Block(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Linear(2, 2, dtype="float64"))
            self.act = nn.Tanh()

    block = Block()
    x = np.ones((1, 2))
    np.testing.assert_array_equal(block(x), np.tanh(block[0](x)))
    assert type(block[:1]) is Block and len(block[:1]) == 1 and len(block) == 2


def test_a_slice_is_evaluated_as_the_whole_is() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.ReLU()).eval()
    assert not model[:1].training and not (model + model).training


class Scaled(nn.Module):
    """Parameters in a list and in a dict, one of them in both."""

    def __init__(self) -> None:
        shared = np.array([3.0, 4.0])
        self.steps = nn.ParameterList([np.array([1.0, 2.0]), shared])
        self.named = nn.ParameterDict({"b": shared, "a": np.array([5.0, 6.0])})

    def forward(self, x: Any) -> Any:
        for step in self.steps:
            x = x * step
        return x + self.named["a"] * self.named["b"]


def test_parameters_in_containers_are_trained() -> None:
    model = Scaled()
    assert [name for name, _ in model.named_parameters()] == ["steps.0", "steps.1", "named.a"]
    assert list(model.state_dict()) == ["steps.0", "steps.1", "named.b", "named.a"]
    x = np.array([[0.5, -1.0]])
    np.testing.assert_allclose(model(x), x * [3, 8] + [15, 24])
    grads = xpnn.grad(lambda m, x: xpnn.namespace(m.steps[0]).sum(m(x)))(model, x)
    np.testing.assert_allclose(grads.steps[0], x[0] * [3, 4])
    np.testing.assert_allclose(grads.named["a"], [3, 4])
    xpnn.optim.SGD(model, lr=0.1).step(grads)
    np.testing.assert_allclose(model.steps[1], np.array([3.0, 4.0]) - 0.1 * (x[0] * [1, 2] + [5, 6]))
    assert model.steps[1] is model.named["b"]
    same = copy.deepcopy(model)
    assert same.steps[1] is same.named["b"] and same.astype("float32").steps[0].dtype == np.float32
    model.load_state_dict({name: x * 2 for name, x in model.state_dict().items()})


def test_a_list_of_parameters_is_a_list() -> None:
    a, b, c = (np.full(2, float(i)) for i in range(3))
    held = nn.ParameterList([a, b])
    assert held.append(c) is held and len(held) == 3 and held[-1] is c and held.pop(1) is b
    held += [b]
    held[0] = b
    assert list(held) == [b, c, b] and list(held[1:].state_dict()) == ["0", "1"]
    assert list((held + held).state_dict()) == [str(i) for i in range(6)]
    assert repr(nn.ParameterList([a])) == "ParameterList(0: float64 (2,))"
    assert len(nn.ParameterList()) == 0


def test_a_dict_of_parameters_is_a_dict() -> None:
    a, b = np.ones(2), np.zeros(3)
    held = nn.ParameterDict({"a": a})
    held["b"] = b
    assert list(held.items())[1][1] is b and held.get("c") is None and held.setdefault("c", a) is a
    assert list(held.copy()) == ["a", "b", "c"] and held.pop("c") is a and held.popitem()[0] == "b"
    assert list(held | {"z": b}) == ["a", "z"] and list({"z": b} | held) == ["z", "a"]
    held |= {"y": b}
    assert list(held) == ["a", "y"] and list(held.fromkeys(["p", "q"], b).values()) == [b, b]
    assert repr(nn.ParameterDict({"w": b})) == "ParameterDict(w: float64 (3,))"
    with pytest.raises(NotImplementedError, match="ParameterDict has no forward"):
        held(a)


def test_torch_s_containers_of_parameters_become_ours_and_back() -> None:
    from xpnn.io import from_torch, to_torch

    theirs = torch.nn.ModuleDict(
        {
            "a": torch.nn.ParameterList([torch.rand(2, 3), torch.rand(1)]),
            "b": torch.nn.ParameterDict({"x": torch.rand(2)}),
        }
    )
    ours = from_torch(theirs)
    assert shapes(ours.state_dict()) == shapes(theirs.state_dict()) == shapes(to_torch(ours).state_dict())
    assert all(torch.equal(x, to_torch(ours).state_dict()[name]) for name, x in theirs.state_dict().items())
    state = {name: x.detach().numpy() for name, x in theirs.state_dict().items()}
    ours.load_state_dict({name: x + 1 for name, x in state.items()})
    np.testing.assert_array_equal(ours["a"][0], state["a.0"] + 1)
    np.testing.assert_array_equal(theirs["a"][0].detach().numpy(), state["a.0"])


def test_names_of_parameters_are_those_of_torch() -> None:
    class Theirs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            shared = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
            self.steps = torch.nn.ParameterList([torch.tensor([1.0, 2.0]), shared])
            self.named = torch.nn.ParameterDict({"b": shared, "a": torch.tensor([5.0, 6.0])})

    assert set(Scaled().state_dict()) == set(Theirs().state_dict())  # torch sorts the names of a plain dict
