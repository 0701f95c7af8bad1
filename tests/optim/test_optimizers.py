"""Optimisers and schedules: the trajectories of torch over 50 steps, in place, and state that goes on bit for bit."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import nn, optim

from ..conftest import Library

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"lr": 0.1}),
    "momentum": ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.01}),
    "nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "adam": ("Adam", {"lr": 0.05}),
    "adam-decay": ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1}),
    "adamw": ("AdamW", {"lr": 0.05, "weight_decay": 0.2}),
}


def objective(xp: Any, w: Any, b: Any, x: Any) -> Any:
    """Smooth, not quadratic, with gradients of both signs."""
    return xp.sum((xp.sin(x @ w) + b) ** 2)


def data() -> tuple[np.ndarray[Any, Any], ...]:
    rng = np.random.default_rng(3)
    return rng.normal(size=(4, 3)), rng.normal(size=3), rng.normal(size=(5, 4))


@pytest.mark.parametrize("name", CASES)
def test_same_trajectory_as_torch(name: str, lib: Library) -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    kind, options = CASES[name]
    w0, b0, x0 = data()
    tw, tb, tx = (torch.tensor(a, requires_grad=i < 2) for i, a in enumerate((w0, b0, x0)))
    params = {"w": lib.asarray(w0), "b": lib.asarray(b0)}
    x = lib.asarray(x0)
    theirs = getattr(torch.optim, kind)([tw, tb], **options)
    ours = getattr(optim, kind)(params, **options)
    gradient = xpnn.grad(lambda p, x: objective(xpnn.namespace(x), p["w"], p["b"], x))
    for _ in range(50):
        theirs.zero_grad()
        objective(torch, tw, tb, tx).backward()
        theirs.step()
        ours.step(gradient(params, x))
    np.testing.assert_allclose(lib.to_numpy(params["w"]), tw.detach().numpy(), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(lib.to_numpy(params["b"]), tb.detach().numpy(), rtol=1e-12, atol=1e-13)


SCHEDULES: dict[str, tuple[Callable[..., Any], str, dict[str, Any]]] = {
    "step": (optim.StepLR, "StepLR", {"step_size": 7, "gamma": 0.3}),
    "cosine": (optim.CosineAnnealingLR, "CosineAnnealingLR", {"T_max": 30, "eta_min": 1e-3}),
    "one-cycle": (optim.OneCycleLR, "OneCycleLR", {"max_lr": 0.5, "total_steps": 31}),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_same_rates_as_torch(name: str) -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    ours, theirs, options = SCHEDULES[name]
    optimizer = optim.SGD([np.ones(1)], lr=0.1)
    peer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=0.1)
    schedule = ours(optimizer, **options)
    reference = getattr(torch.optim.lr_scheduler, theirs)(peer, **options)
    for _ in range(30):
        assert optimizer.lr == pytest.approx(peer.param_groups[0]["lr"], rel=1e-9, abs=1e-15)
        peer.step()
        reference.step()
        schedule.step()


@pytest.mark.parametrize("name", CASES)
def test_a_resumed_run_goes_on_bit_for_bit(name: str) -> None:
    kind, options = CASES[name]

    def run(stop: int | None) -> np.ndarray[Any, Any]:
        w, b, x = data()
        params = {"w": w, "b": b}
        optimizer = getattr(optim, kind)(params, **options)
        gradient = xpnn.grad(lambda p: objective(xpnn.namespace(p["w"]), p["w"], p["b"], x))
        for i in range(10):
            if i == stop:
                state, params = optimizer.state_dict(), {key: value.copy() for key, value in params.items()}
                optimizer.step(gradient({"w": w, "b": b}))  # what happens to the old one must not matter
                optimizer = getattr(optim, kind)(params, **options)
                optimizer.load_state_dict(state)
            optimizer.step(gradient(params))
        return params["w"]

    np.testing.assert_array_equal(run(5), run(None))


def test_updates_are_in_place_and_gradients_are_left_alone() -> None:
    layer = nn.Linear(3, 2)
    weight = layer.weight
    grads = xpnn.grad(lambda m: xpnn.namespace(m.weight).sum(m(np.ones((1, 3), np.float32))))(layer)
    kept = grads.weight.copy()
    optim.AdamW(layer, lr=0.1).step(grads)
    assert layer.weight is weight and weight.dtype == np.float32
    np.testing.assert_array_equal(grads.weight, kept)


def test_clip_grad_norm(lib: Library) -> None:
    grads = {"a": lib.asarray([3.0, 0.0]), "b": [lib.asarray([[4.0]]), None]}
    clipped, norm = optim.clip_grad_norm(grads, 1.0)
    assert lib.to_numpy(norm) == pytest.approx(5.0)
    np.testing.assert_allclose(lib.to_numpy(clipped["a"]), [0.6, 0.0], rtol=1e-6)
    np.testing.assert_allclose(lib.to_numpy(clipped["b"][0]), [[0.8]], rtol=1e-6)
    assert clipped["b"][1] is None
    same, _ = optim.clip_grad_norm(grads, 100.0)
    np.testing.assert_array_equal(lib.to_numpy(same["a"]), [3.0, 0.0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: optim.Adam([np.ones(2)], lr=-1.0), "lr: expected 0 or more, got -1.0"),
        (lambda: optim.Adam([np.ones(2)], betas=(0.9, 1.0)), "betas"),
        (lambda: optim.SGD([np.ones(2)], nesterov=True), "nesterov"),
        (lambda: optim.SGD([np.array([1])]), "floating-point"),
        (lambda: optim.SGD(nn.ReLU()), "floating-point"),
        (lambda: optim.SGD([np.ones(2)]).step([np.ones(3)]), "grads: 0 has shape (3,), expected (2,)"),
        (lambda: optim.SGD([np.ones(2)]).step([]), "grads"),
        (lambda: optim.clip_grad_norm([np.ones(2)], 0.0), "max_norm"),
        (lambda: optim.OneCycleLR(optim.SGD([np.ones(2)]), 1.0, 1), "total_steps"),
    ],
)
def test_bad_arguments(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        call()
    assert "\n" not in str(caught.value)
