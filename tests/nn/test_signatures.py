"""Constructors: the names, the order and the defaults of torch's, for every layer that torch has too."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from xpnn import nn
from xpnn.nn import activation

torch = pytest.importorskip("torch", reason="the reference is torch")

# What torch has and xpnn leaves out or does its own way.
_LEFT_OUT: dict[str, set[str]] = {
    "Softmax": {"dim"},  # without a dim torch warns, and chooses one by the number of axes
    "Softmin": {"dim"},
    "LogSoftmax": {"dim"},
}
_DEPRECATED = {"size_average", "reduce", "min_value", "max_value"}
_SHARED = sorted(name for name in activation.__all__ if hasattr(torch.nn, name))


def parameters(kind: Any) -> dict[str, Any]:
    """Names and defaults of what a constructor takes, in order."""
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    given = inspect.signature(kind).parameters.values()
    return {p.name: p.default for p in given if p.kind not in kinds and not p.name.startswith("_")}


@pytest.mark.parametrize("name", _SHARED)
def test_the_constructor_is_that_of_torch(name: str) -> None:
    ours, theirs = parameters(getattr(nn, name)), parameters(getattr(torch.nn, name))
    wanted = [p for p in theirs if p not in _LEFT_OUT.get(name, set()) | _DEPRECATED]
    assert [p for p in ours if p in wanted] == wanted
    assert {p: ours[p] for p in wanted} == {p: theirs[p] for p in wanted}


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
