"""state_dict and load_state_dict: torch's keys, every misfit in one error, nothing changed by a state that does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import nn


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.ModuleDict({"head": nn.Linear(2, 2)}))


def copies(model: nn.Module) -> dict[str, Any]:
    return {name: np.array(x) for name, x in model.state_dict().items()}


def unchanged(model: nn.Module, before: dict[str, Any]) -> None:
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(x, before[name])


def test_the_keys_and_shapes_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    theirs = torch.nn.Sequential(
        torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2), torch.nn.ModuleDict({"head": torch.nn.Linear(2, 2)})
    )
    ours = {name: tuple(x.shape) for name, x in network().state_dict().items()}
    assert ours == {name: tuple(x.shape) for name, x in theirs.state_dict().items()}


def test_everything_that_does_not_fit_is_in_one_line_and_nothing_is_changed() -> None:
    model = network()
    before = copies(model)
    state = {name: x + 1 for name, x in before.items()}
    del state["0.bias"]
    state["0.weight"] = np.zeros((2, 4))
    state["1.bias"] = "text"
    state["1.weight"] = np.zeros(2, complex)
    state["1.running_mean"] = np.array(["a", "b"])
    state["tail.weight"] = np.zeros(1)
    with pytest.raises(ValueError, match="state_dict does not fit") as caught:
        model.load_state_dict(state)
    assert str(caught.value) == (
        "state_dict does not fit the expected names and shapes: missing: 0.bias | unexpected: tail.weight | "
        "of another shape: 0.weight (2, 4), expected (2, 3) | "
        "of another kind: 1.weight complex128, expected float32; 1.bias str, expected float32; "
        "1.running_mean <U1, expected float32"
    )
    unchanged(model, before)


@pytest.mark.parametrize("strict", [True, False])
def test_a_misfit_found_last_leaves_what_comes_first(strict: bool) -> None:
    model = network()
    before = copies(model)
    state = {name: x + 1 for name, x in before.items()}
    state["2.head.bias"] = np.array([{}, {}])
    with pytest.raises(ValueError, match="of another kind: 2.head.bias object, expected float32"):
        model.load_state_dict(state, strict=strict)
    unchanged(model, before)


def test_strict_false_tells_what_it_passed_over() -> None:
    model = network()
    state = {"0.bias": np.ones(2), "other": np.zeros(1)}
    result = model.load_state_dict(state, strict=False)
    assert result.unexpected_keys == ["other"]
    assert "0.weight" in result.missing_keys and "0.bias" not in result.missing_keys
    np.testing.assert_array_equal(model[0].bias, 1.0)
    assert model.load_state_dict(model.state_dict()) == ([], [])


def test_what_is_no_dict_is_refused() -> None:
    with pytest.raises(TypeError, match="state: expected a dict of arrays by name, got Linear"):
        nn.Linear(2, 2).load_state_dict(nn.Linear(2, 2))  # type: ignore[arg-type]


def test_a_state_that_holds_the_model_s_own_arrays_crosswise() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    before = copies(model)
    own = model.state_dict()
    model.load_state_dict({name: own[("1" if name[0] == "0" else "0") + name[1:]] for name in own})
    np.testing.assert_array_equal(model[0].weight, before["1.weight"])
    np.testing.assert_array_equal(model[1].weight, before["0.weight"])


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_torch_s_parameters_load_as_they_are(dtype: str) -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    theirs = torch.nn.Linear(3, 2, dtype=getattr(torch, dtype))
    ours = nn.Linear(3, 2)
    ours.load_state_dict(dict(theirs.named_parameters()))
    assert ours.weight.dtype == np.float32
    np.testing.assert_array_equal(ours.weight, theirs.weight.detach().float().numpy())


def test_bfloat16_loads_and_is_loaded_into() -> None:
    kind = pytest.importorskip("ml_dtypes").bfloat16
    values = np.array([[1.0, -2.5], [3.0, 0.125]])
    ours = nn.Linear(2, 2, bias=False)
    ours.load_state_dict({"weight": values.astype(kind)})
    np.testing.assert_array_equal(ours.weight, values)
    short = nn.Linear(2, 2, bias=False)
    short.weight = np.zeros((2, 2), kind)
    short.load_state_dict({"weight": values})
    assert short.weight.dtype == kind
    np.testing.assert_array_equal(short.weight.astype(float), values)
    short.load_state_dict({"weight": np.full((2, 2), 7, kind)})
    np.testing.assert_array_equal(short.weight.astype(float), 7)


def test_bfloat16_is_converted_to_and_from() -> None:
    kind = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = model[0].weight.copy()
    assert {x.dtype for x in model.astype(kind).parameters()} == {kind} and model[1].running_mean.value.dtype == kind
    assert model[1].num_batches_tracked.value.dtype == np.int64
    assert {x.dtype.name for x in model.astype("float32").parameters()} == {"float32"}
    np.testing.assert_array_equal(model[0].weight, before.astype(kind).astype(np.float32))
    np.testing.assert_array_equal(xpnn.asarray(before.astype(kind), "float64"), model[0].weight)
