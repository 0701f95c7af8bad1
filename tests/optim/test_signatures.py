"""Optimisers, schedules and initialisers take what torch's take: names, order, defaults. What differs has its reason here."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from xpnn import init, optim

torch = pytest.importorskip("torch", reason="the reference is torch")

# Arguments of torch that make no sense here.
_LEFT_OUT = {
    "foreach": "how the arrays are stepped: here in one launch wherever there is a kernel",
    "fused": "likewise",
    "capturable": "of CUDA graphs",
    "differentiable": "steps are never traced",
    "last_epoch": "a schedule goes on by load_state_dict",
    "generator": "random numbers come from a key",
}
_EXTRAS = {"maximize": {"Muon"}}  # what xpnn has for all optimisers
_NOT_TORCH = {"EMA", "Grouped", "LAMB", "Lion", "LossScaler", "Optimizer", "Schedule"}
Parameters = dict[str, inspect.Parameter]


def peer(name: str) -> Any:
    return getattr(torch.optim, name, None) or getattr(torch.optim.lr_scheduler, name)


def kinds() -> list[str]:
    return sorted(name for name, x in vars(optim).items() if isinstance(x, type) and name not in _NOT_TORCH)


def parameters(f: Any) -> Parameters:
    given = inspect.signature(f).parameters
    return {name: p for name, p in given.items() if name != "self" and p.kind is not inspect.Parameter.VAR_KEYWORD}


def by_place(given: Parameters) -> list[str]:
    return [name for name, p in given.items() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]


@pytest.mark.parametrize("name", kinds())
def test_optimisers_and_schedules(name: str) -> None:
    ours, theirs = parameters(getattr(optim, name)), parameters(peer(name))
    wanted = {p: x.default for p, x in theirs.items() if p not in _LEFT_OUT}
    assert set(ours) - set(wanted) <= {option for option, of in _EXTRAS.items() if name in of}
    assert {p: ours[p].default for p in wanted} == wanted
    places = by_place(ours)  # by place an argument means what it means in torch
    assert places == by_place(theirs)[: len(places)]
    assert [p for p in by_place(theirs)[len(places) :] if p in wanted] in ([], ["maximize"])


def test_what_is_left_out_is_there_in_torch() -> None:
    found = {p for name in kinds() for p in parameters(peer(name))}
    found |= {p for name in vars(torch.nn.init) if name.endswith("_") for p in _of_init(name)}
    assert found >= set(_LEFT_OUT)
    assert [name for name in _NOT_TORCH - {"Optimizer"} if hasattr(torch.optim, name)] == []


def _of_init(name: str) -> Parameters:
    return parameters(getattr(torch.nn.init, name)) if not name.startswith("_") else {}


@pytest.mark.parametrize("name", [name for name in vars(torch.nn.init) if name[-1] == "_" and name[0] != "_"])
def test_initialisers(name: str) -> None:
    """A key and a shape in place of the tensor, which is made and not written to; no generator."""
    ours, theirs = parameters(getattr(init, name[:-1])), parameters(getattr(torch.nn.init, name))
    assert list(ours)[:2] == ["key", "shape"] and next(iter(theirs)) == "tensor"
    wanted = {p: x.default for p, x in list(theirs.items())[1:] if p not in _LEFT_OUT}
    assert {p: x.default for p, x in list(ours.items())[2:]} == wanted


def test_the_gain() -> None:
    ours, theirs = parameters(init.calculate_gain), parameters(torch.nn.init.calculate_gain)
    assert {p: x.default for p, x in ours.items()} == {p: x.default for p, x in theirs.items()}
