"""Optimisers and schedules: the trajectories of torch over 50 steps, in place, and state that goes on bit for bit."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from typing import Any

import ml_dtypes
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
    "rmsprop": ("RMSprop", {"lr": 0.003}),
    # At larger rates the steps jump to and fro over the minimum, which makes each rounding of the peer's grow.
    **{
        f"rmsprop-{decay}-{momentum}-{centered}": (
            "RMSprop",
            {"lr": 0.002, "alpha": 0.9, "eps": 1e-6, "weight_decay": decay, "momentum": momentum, "centered": centered},
        )
        for decay, momentum, centered in itertools.product((0.0, 0.1), (0.0, 0.9), (False, True))
    },
}
OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "lion": ("Lion", {"lr": 0.01, "betas": (0.8, 0.95), "weight_decay": 0.3}),
    "lamb": ("LAMB", {"lr": 0.02, "betas": (0.8, 0.95), "weight_decay": 0.1}),
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


def gradients(*shapes: tuple[int, ...], steps: int) -> list[list[np.ndarray[Any, Any]]]:
    rng = np.random.default_rng(5)
    return [[rng.normal(size=shape) for shape in shapes] for _ in range(steps)]


def test_lion_is_the_algorithm_of_the_paper(lib: Library) -> None:
    """Algorithm 2 of Chen et al. (2023), element by element."""
    lr, (beta1, beta2), decay = 0.01, (0.8, 0.95), 0.3
    start, m = np.random.default_rng(1).normal(size=7), [0.0] * 7
    params, theta = [lib.asarray(start)], start.tolist()
    optimizer = optim.Lion(params, lr=lr, betas=(beta1, beta2), weight_decay=decay)
    for (g,) in gradients((7,), steps=20):
        for i in range(7):
            c = beta1 * m[i] + (1 - beta1) * g[i]
            theta[i] -= lr * (math.copysign(1, c) + decay * theta[i])
            m[i] = beta2 * m[i] + (1 - beta2) * g[i]
        optimizer.step([lib.asarray(g)])
    np.testing.assert_allclose(lib.to_numpy(params[0]), theta, rtol=1e-12)


def test_lamb_is_the_algorithm_of_the_paper(lib: Library) -> None:
    """Algorithm 2 of You et al. (2020), a layer being an array."""
    lr, (beta1, beta2), eps, decay = 0.02, (0.8, 0.95), 1e-3, 0.1
    shapes = ((7,), (2, 3), (1,))
    x = [np.random.default_rng(i).normal(size=shape) for i, shape in enumerate(shapes)]
    params = [lib.asarray(a) for a in x]
    m, v = ([np.zeros(shape) for shape in shapes] for _ in range(2))
    optimizer = optim.LAMB(params, lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=decay)
    for t, gs in enumerate(gradients(*shapes, steps=20), 1):
        for i, g in enumerate(gs):
            m[i] = beta1 * m[i] + (1 - beta1) * g
            v[i] = beta2 * v[i] + (1 - beta2) * g**2
            r = (m[i] / (1 - beta1**t)) / (np.sqrt(v[i] / (1 - beta2**t)) + eps)
            u = r + decay * x[i]
            x[i] = x[i] - lr * np.linalg.norm(x[i].ravel()) / np.linalg.norm(u.ravel()) * u
        optimizer.step([lib.asarray(g) for g in gs])
    for ours, theirs in zip(params, x, strict=True):
        np.testing.assert_allclose(lib.to_numpy(ours), theirs, rtol=1e-12)


def test_lamb_makes_the_step_of_adam_where_a_norm_is_zero() -> None:
    p, still = np.zeros(2), np.ones(2)
    optim.LAMB([p, still], lr=0.1, weight_decay=0.0).step([np.array([2.0, -2.0]), np.zeros(2)])
    np.testing.assert_allclose(p, [-0.1, 0.1], rtol=1e-6)
    np.testing.assert_array_equal(still, [1, 1])


def test_centered_rmsprop_of_a_constant_gradient_stays_finite() -> None:
    """The variance is 0, and comes out below it by rounding."""
    p = np.ones(1000, np.float32)
    optimizer = optim.RMSprop([p], lr=1e-6, alpha=0.5, centered=True)
    for _ in range(60):
        optimizer.step([np.linspace(0.1, 3, 1000, dtype=np.float32)])
    assert np.isfinite(p).all()


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("name", [*CASES, *OURS])
def test_short_dtypes_are_computed_in_float32(name: str, dtype: Any) -> None:
    """The state is that of float32, however small a gradient's square is; the array is rounded once a step."""
    kind, options = {**CASES, **OURS}[name]
    short = [np.linspace(-1, 1, 9).astype(dtype)]
    wide = [short[0].astype(np.float32)]
    ours, theirs = getattr(optim, kind)(short, **options), getattr(optim, kind)(wide, **options)
    for (g,) in gradients((9,), steps=3):
        g = (g * 1e-4).astype(dtype)
        wide[0][...] = short[0]
        theirs.step([g.astype(np.float32)])
        ours.step([g])
        assert short[0].tobytes() == wide[0].astype(dtype).tobytes()
    for key, state in theirs.state["0"].items():
        assert ours.state["0"][key].dtype == np.float32 and ours.state["0"][key].tobytes() == state.tobytes()


@pytest.mark.parametrize("name", [*CASES, *OURS])
def test_the_state_of_numpy_is_taken_over_by_other_libraries(name: str, lib: Library) -> None:
    kind, options = {**CASES, **OURS}[name]
    before, after = gradients((5,), steps=4)[:2], gradients((5,), steps=4)[2:]
    there = [np.ones(5)]
    first = getattr(optim, kind)(there, **options)
    for g in before:
        first.step(g)
    here = [lib.asarray(there[0])]
    second = getattr(optim, kind)(here, **options)
    second.load_state_dict(first.state_dict())
    for g in after:
        first.step(g)
        second.step([lib.asarray(g[0])])
    np.testing.assert_allclose(lib.to_numpy(here[0]), there[0], rtol=1e-12)
    assert all(type(x) is type(here[0]) for x in second.state["0"].values())


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


@pytest.mark.parametrize("name", [*CASES, *OURS])
def test_a_resumed_run_goes_on_bit_for_bit(name: str) -> None:
    kind, options = {**CASES, **OURS}[name]

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


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_clip_grad_norm_of_short_dtypes_has_a_norm_in_float32(dtype: Any) -> None:
    """Whose squares and sum would overflow in float16."""
    grads = [np.full(300, 300, dtype), np.full((4, 1), -300, dtype)]
    clipped, norm = optim.clip_grad_norm(grads, 2.0)
    exact = float(grads[0][0]) * np.sqrt(304)
    assert norm.dtype == np.float32 and float(norm) == pytest.approx(exact, rel=1e-6)
    assert clipped[0].dtype == dtype and clipped[1].shape == (4, 1)
    np.testing.assert_allclose(clipped[0].astype(float), 2 * 300 / exact, rtol=5e-3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: optim.Adam([np.ones(2)], lr=-1.0), "lr: expected 0 or more, got -1.0"),
        (lambda: optim.Adam([np.ones(2)], betas=(0.9, 1.0)), "betas"),
        (lambda: optim.Lion([np.ones(2)], betas=(-0.1, 0.9)), "betas: expected two numbers in [0, 1), got (-0.1, 0.9)"),
        (lambda: optim.LAMB([np.ones(2)], betas=(0.9, 1.1)), "betas"),
        (lambda: optim.RMSprop([np.ones(2)], alpha=1.0), "alpha: expected a number in [0, 1), got 1.0"),
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
