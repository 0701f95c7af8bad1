"""Constructors and calls: the names, the order and the defaults of torch's, for every layer and loss that torch has too.

What differs stands in the tables below with its reason, and nothing stands there that does not differ.
"""

from __future__ import annotations

import inspect
import typing
from typing import Any

import numpy as np
import pytest

from xpnn import nn

torch = pytest.importorskip("torch", reason="the reference is torch")

Parameters = dict[str, Any]  # inspect.Parameter by name

# Arguments of torch that make no sense here.
_DEPRECATED = {"size_average", "reduce", "min_value", "max_value"}
# Arguments that xpnn adds: for all layers by name alone, and behind those of torch.
_EXTRAS = {
    "data_format": "channels may come last",
    "reset_after": "the older form of the GRU",
}
# Defaults that say the same, or more.
_DEFAULTS: dict[tuple[str, str], tuple[Any, str]] = {
    ("Softmax", "dim"): (-1, "without a dim torch warns, and chooses one by the number of axes"),
    ("Softmin", "dim"): (-1, "as Softmax"),
    ("LogSoftmax", "dim"): (-1, "as Softmax"),
    ("Transformer", "activation"): ("relu", "a word for the function"),
    ("TransformerEncoderLayer", "activation"): ("relu", "a word for the function"),
    ("TransformerDecoderLayer", "activation"): ("relu", "a word for the function"),
    ("ModuleList", "modules"): ((), "no modules"),
}
# Arguments of torch's that are still missing.
_MISSING: set[tuple[str, str]] = set()
# What a call takes, under other words: "x" is the house's word for an input, and messages name it.
_WORDS = {"input": "x", "hx": "state", "input1": "x1", "input2": "x2"}  # of layers; losses keep torch's
_MORE_OF_CALLS = {"activation", "lengths", "reset"}
_CALLS = {  # kind: (theirs, ours, reason)
    "Embedding": (["input"], ["indices"], "which they are"),
    "EmbeddingBag": (
        ["input", "offsets", "per_sample_weights"],
        ["indices", "offsets", "per_sample_weights"],
        "likewise",
    ),
    "PoissonNLLLoss": (["log_input", "target"], ["input", "target"], "log_input is an option's name there, too"),
}


def kinds() -> list[str]:
    """Every layer and loss of xpnn.nn that torch.nn has, too."""
    found = {name: x for name, x in vars(nn).items() if isinstance(x, type) and issubclass(x, nn.Module)}
    return sorted(name for name in found if hasattr(torch.nn, name) and name != "Module")


def parameters(f: Any) -> Parameters:
    """Named parameters in order; of torch's overloads the first, as its recurrent layers have it."""
    theirs = typing.get_overloads(f.__init__) if isinstance(f, type) and "__init__" in vars(f) else []
    given = inspect.signature(theirs[0] if theirs else f).parameters.values()
    anything = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {p.name: p for p in given if p.kind not in anything and p.name != "self" and not p.name.startswith("_")}


def by_place(given: Parameters) -> list[str]:
    return [name for name, p in given.items() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]


@pytest.mark.parametrize("name", kinds())
def test_the_constructor_is_that_of_torch(name: str) -> None:
    ours, theirs = parameters(getattr(nn, name)), parameters(getattr(torch.nn, name))
    left_out = _DEPRECATED | {option for kind, option in _MISSING if kind == name}
    wanted = {p: x for p, x in theirs.items() if p not in left_out}
    assert [p for p in ours if p in wanted] == list(wanted)
    assert {p: ours[p].default for p in wanted} == {
        p: _DEFAULTS.get((name, p), (x.default,))[0] for p, x in wanted.items()
    }
    extra = set(ours) - set(wanted)
    assert extra <= set(_EXTRAS)
    # by place an argument means what it means in torch; ours are given by name
    assert by_place(ours) == by_place(wanted)[: len(by_place(ours))]
    assert by_place(wanted)[len(by_place(ours)) :] in ([], ["device", "dtype"])


def test_the_tables_hold_what_differs_and_no_more() -> None:
    for (kind, option), (default, _) in _DEFAULTS.items():
        assert parameters(getattr(torch.nn, kind))[option].default != default, (kind, option)
    for kind, option in _MISSING:
        assert option not in parameters(getattr(nn, kind)), (kind, option)
    for option in _EXTRAS:
        assert any(option in parameters(getattr(nn, kind)) for kind in kinds())
    given = {p for kind in kinds() for p in parameters(getattr(torch.nn, kind))}
    assert given >= _DEPRECATED


@pytest.mark.parametrize("name", [name for name in kinds() if "forward" in vars(getattr(torch.nn, name))])
def test_the_call_is_that_of_torch(name: str) -> None:
    ours, theirs = parameters(getattr(nn, name).forward), parameters(getattr(torch.nn, name).forward)
    known = _CALLS.get(name, (list(theirs), [p if name.endswith("Loss") else _WORDS.get(p, p) for p in theirs]))
    assert (list(theirs), [p for p in ours if p in known[1] or p not in _MORE_OF_CALLS]) == (known[0], known[1])
    assert [ours[p].default for p in known[1]] == [p.default for p in theirs.values()]
    assert list(ours)[: len(known[1])] == known[1]


@pytest.mark.parametrize("name", ["ReLU", "ReLU6", "LeakyReLU", "ELU", "CELU", "SELU", "SiLU", "Mish", "Hardtanh", "Hardsigmoid",
                                  "Hardswish", "RReLU"])  # fmt: skip
def test_inplace_is_taken_and_nothing_is_written(name: str) -> None:
    x = np.linspace(-2, 2, 5)
    plain, inplace = getattr(nn, name)().eval(), getattr(nn, name)(inplace=True).eval()
    np.testing.assert_array_equal(inplace(x), plain(x))
    np.testing.assert_array_equal(x, np.linspace(-2, 2, 5))
    assert repr(inplace) == repr(plain)


def test_options_show() -> None:
    assert repr(nn.Hardtanh(-2.0)) == "Hardtanh(min_val=-2.0, max_val=1.0)"
    assert repr(nn.ReLU()) == "ReLU()"
    assert repr(nn.GLU(1)) == "GLU(dim=1)"


def test_random_slopes_are_for_training_only() -> None:
    x = np.full(50, -1.0)
    layer = nn.RReLU(0.25, 0.5)
    assert len(np.unique(layer(x))) == 50
    assert np.all(layer(x) <= -0.25) and np.all(layer(x) >= -0.5)
    np.testing.assert_array_equal(layer.eval()(x), np.full(50, -0.375))
