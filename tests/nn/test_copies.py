"""copy, deepcopy, pickle and joblib of models: everything comes along, tied arrays stay tied, nothing is shared by accident."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from xpnn import nn


def network() -> nn.Sequential:
    shared = nn.Tanh()
    model = nn.Sequential(nn.Linear(3, 3), shared, nn.Linear(3, 3), shared, nn.BatchNorm1d(3), nn.GRU(3, 2))
    model[2].weight = model[0].weight
    model[4].eval()
    return model


def by_joblib(model: Any) -> Any:
    joblib = pytest.importorskip("joblib")
    import io

    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "joblib": by_joblib,
    **{f"pickle{n}": lambda model, n=n: pickle.loads(pickle.dumps(model, n)) for n in range(2, 6)},
}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_is_the_same_and_apart(how: str) -> None:
    model = network()
    model[4].running_mean.value[...] = 3.0
    again = COPIES[how](model)
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    np.testing.assert_array_equal(again[:5](x), model[:5](x))
    np.testing.assert_array_equal(again(x)[0], model(x)[0])
    assert list(again.state_dict()) == list(model.state_dict())
    assert again[2].weight is again[0].weight and again[3] is again[1] and not again[4].training
    before = model.state_dict()["0.weight"].copy(), float(model[4].running_mean.value[0])
    again[0].weight[...] = 0
    again[4].running_mean.update(np.zeros(3))
    np.testing.assert_array_equal(model[0].weight, before[0])
    assert model[4].running_mean.value[0] == before[1]


def test_deepcopy_takes_part_in_that_of_what_holds_the_model() -> None:
    model = network()
    holder = copy.deepcopy({"a": model, "b": [model, model[0].weight]})
    assert holder["b"][0] is holder["a"] and holder["b"][1] is holder["a"][0].weight


def test_copy_shares_the_arrays() -> None:
    model = network()
    shallow = copy.copy(model)
    assert shallow is not model and shallow[0] is model[0]
    shallow.append(nn.ReLU())
    assert len(shallow) == len(model) + 1
    buffer = nn.Buffer(np.zeros(2))
    other = copy.copy(buffer)
    assert other.value is buffer.value
    other.update(np.ones(2))
    assert buffer.value[0] == 0
