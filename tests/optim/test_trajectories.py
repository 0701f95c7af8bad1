"""The trajectories of torch's optimisers, option by option, over 50 steps in float64; state that goes on bit for bit."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import xpnn
from xpnn import optim

from ..conftest import Library, libraries

BETAS = {"betas": (0.8, 0.95), "eps": 1e-6}
DECAY = {"weight_decay": 0.1}
DECOUPLED = {**DECAY, "decoupled_weight_decay": True}
# Rates at which the steps do not jump to and fro over the minimum, which would make each rounding of the peer's grow.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd-maximize": ("SGD", {"lr": 0.02, "momentum": 0.9, **DECAY, "maximize": True}),
    "adam-amsgrad": ("Adam", {"lr": 0.05, "amsgrad": True}),
    "adam-amsgrad-decay": ("Adam", {"lr": 0.02, **BETAS, **DECAY, "amsgrad": True}),
    "adam-maximize": ("Adam", {"lr": 0.02, **DECAY, "maximize": True}),
    "adam-decoupled": ("Adam", {"lr": 0.02, **BETAS, **DECOUPLED}),
    "adamw-amsgrad": ("AdamW", {"lr": 0.02, **BETAS, "amsgrad": True}),
    "adamw-all": ("AdamW", {"lr": 0.02, **BETAS, **DECAY, "amsgrad": True, "maximize": True}),
    "rmsprop-maximize": ("RMSprop", {"lr": 0.002, "alpha": 0.9, "eps": 1e-6, **DECAY, "maximize": True}),
    "adagrad": ("Adagrad", {}),
    "adagrad-start": ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-6}),
    "adagrad-decay": ("Adagrad", {"lr": 0.1, **DECAY}),
    "adagrad-maximize": ("Adagrad", {"lr": 0.1, "lr_decay": 0.2, **DECAY, "maximize": True}),
    "adadelta": ("Adadelta", {}),
    "adadelta-decay": ("Adadelta", {"lr": 0.2, "rho": 0.8, "eps": 1e-5, **DECAY}),
    "adadelta-maximize": ("Adadelta", {"rho": 0.8, **DECAY, "maximize": True}),
    "adamax": ("Adamax", {}),
    "adamax-decay": ("Adamax", {"lr": 0.01, **BETAS, **DECAY}),
    "adamax-maximize": ("Adamax", {"lr": 0.01, **DECAY, "maximize": True}),
    "nadam": ("NAdam", {}),
    "nadam-decay": ("NAdam", {"lr": 0.01, **BETAS, **DECAY, "momentum_decay": 0.02}),
    "nadam-decoupled": ("NAdam", {"lr": 0.01, **DECOUPLED}),
    "nadam-maximize": ("NAdam", {"lr": 0.01, **DECAY, "maximize": True}),
    "radam": ("RAdam", {"lr": 0.01}),
    "radam-decay": ("RAdam", {"lr": 0.005, **BETAS, **DECAY}),
    "radam-decoupled": ("RAdam", {"lr": 0.01, **DECOUPLED}),
    "radam-short": ("RAdam", {"lr": 0.01, "betas": (0.5, 0.6)}),  # whose variance never has a finite mean
    "radam-maximize": ("RAdam", {"lr": 0.01, **DECAY, "maximize": True}),
    "muon": ("Muon", {}),
    "muon-plain": ("Muon", {"lr": 0.01, "momentum": 0.7, "nesterov": False, "weight_decay": 0.0}),
    "muon-like-adamw": ("Muon", {"lr": 0.01, "adjust_lr_fn": "match_rms_adamw"}),
    "muon-iteration": ("Muon", {"lr": 0.01, "ns_coefficients": (2.0, -1.5, 0.5), "ns_steps": 3, "eps": 0.5}),
}
every_case = pytest.mark.parametrize("name", CASES)


def objective(xp: Any, w: Any, b: Any, x: Any) -> Any:
    """Smooth, not quadratic, with gradients of both signs."""
    return xp.sum((xp.sin(x @ w) + b) ** 2)


def data() -> tuple[np.ndarray[Any, Any], ...]:
    """A tall matrix, a wide one, and the inputs."""
    rng = np.random.default_rng(3)
    return rng.normal(size=(4, 3)), rng.normal(size=(1, 3)), rng.normal(size=(5, 4))


def gradient(sign: int) -> Any:
    return xpnn.grad(lambda p, x: sign * objective(xpnn.namespace(x), p["w"], p["b"], x))


@every_case
@pytest.mark.parametrize("library", libraries("numpy", "cupy"))
def test_same_trajectory_as_torch(name: str, library: Any, torch: Any) -> None:
    """Saved and loaded after 20 of 50 steps. The test of states has a few steps on every library."""
    lib = library()
    kind, options = CASES[name]
    if not hasattr(torch.optim, kind):
        pytest.skip(f"this torch has no {kind}")
    sign = -1 if options.get("maximize") else 1
    w0, b0, x0 = data()
    tw, tb, tx = (torch.tensor(a, requires_grad=i < 2) for i, a in enumerate((w0, b0, x0)))
    params, x = {"w": lib.asarray(w0), "b": lib.asarray(b0)}, lib.asarray(x0)
    theirs = getattr(torch.optim, kind)([tw, tb], **options)
    ours = getattr(optim, kind)(params, **options)
    grad = gradient(sign)
    for i in range(50):
        if i == 20:
            saved = ours.state_dict()
            ours = getattr(optim, kind)(params, **options)
            ours.load_state_dict(saved)
        theirs.zero_grad()
        (sign * objective(torch, tw, tb, tx)).backward()
        theirs.step()
        ours.step(grad(params, x))
    for key, peer in (("w", tw), ("b", tb)):
        np.testing.assert_allclose(lib.to_numpy(params[key]), peer.detach().numpy(), rtol=1e-12, atol=1e-13)
    assert np.abs(lib.to_numpy(params["w"]) - data()[0]).max() > 1e-3


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_resumed_run_goes_on_bit_for_bit(name: str, dtype: Any) -> None:
    kind, options = CASES[name]

    def run(stop: int | None) -> bytes:
        w, b, x = (a.astype(dtype) for a in data())
        params = {"w": w, "b": b}
        optimizer = getattr(optim, kind)(params, **options)
        grad = gradient(1)
        for i in range(10):
            if i == stop:
                state, params = optimizer.state_dict(), {key: value.copy() for key, value in params.items()}
                optimizer.step(grad({"w": w, "b": b}, x))  # what happens to the old one must not matter
                optimizer = getattr(optim, kind)(params, **options)
                optimizer.load_state_dict(state)
            optimizer.step(grad(params, x))
        return params["w"].tobytes() + params["b"].tobytes()

    assert run(5) == run(None)


@every_case
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_short_dtypes_are_computed_in_float32(name: str, dtype: Any) -> None:
    """The state is that of float32; the array is rounded once a step."""
    kind, options = CASES[name]
    short = [np.linspace(-1, 1, 9).reshape(3, 3).astype(dtype)]
    wide = [short[0].astype(np.float32)]
    ours, theirs = getattr(optim, kind)(short, **options), getattr(optim, kind)(wide, **options)
    rng = np.random.default_rng(5)
    for _ in range(3):
        g = (rng.normal(size=(3, 3)) * 1e-4).astype(dtype)
        wide[0][...] = short[0]
        theirs.step([g.astype(np.float32)])
        ours.step([g])
        assert short[0].tobytes() == wide[0].astype(dtype).tobytes()
    for key, state in theirs.state["0"].items():
        assert ours.state["0"][key].dtype == np.float32 and ours.state["0"][key].tobytes() == state.tobytes()


@every_case
def test_the_state_of_numpy_is_taken_over_by_other_libraries(name: str, lib: Library) -> None:
    kind, options = CASES[name]
    there = [np.ones((2, 3))]
    here = [lib.asarray(there[0])]
    first, second = getattr(optim, kind)(there, **options), getattr(optim, kind)(here, **options)
    rng = np.random.default_rng(5)
    for _ in range(2):
        first.step([rng.normal(size=(2, 3))])
    here[0][...] = lib.asarray(there[0])
    second.load_state_dict(first.state_dict())
    for _ in range(2):
        g = rng.normal(size=(2, 3))
        first.step([g])
        second.step([lib.asarray(g)])
    np.testing.assert_allclose(lib.to_numpy(here[0]), there[0], rtol=1e-12)
    assert all(type(x) is type(here[0]) for x in second.state["0"].values())


def test_muon_makes_singular_values_nearly_one() -> None:
    """0.7 to 1.2, by the author's coefficients."""
    for shape in ((6, 4), (4, 6)):
        p = np.zeros(shape)
        optim.Muon([p], lr=1.0, weight_decay=0.0, adjust_lr_fn="original").step(
            [np.random.default_rng(0).normal(size=shape)]
        )
        values = np.linalg.svd(p, compute_uv=False) / np.sqrt(max(1, shape[0] / shape[1]))
        assert values.min() > 0.6 and values.max() < 1.25


@pytest.mark.parametrize("kind", ["Lion", "LAMB", "Muon"])
def test_maximize_is_a_step_by_the_turned_gradient(kind: str) -> None:
    """Of those whose peer has no such option."""
    g = np.random.default_rng(0).normal(size=(2, 3))
    up, down = [np.ones((2, 3))], [np.ones((2, 3))]
    getattr(optim, kind)(up, maximize=True).step([g])
    getattr(optim, kind)(down).step([-g])
    np.testing.assert_array_equal(up[0], down[0])


class Kernel:
    """A kernel that takes everything and does nothing, in the place of the true one."""

    def __init__(self) -> None:
        self.calls = 0

    def step(self, optimizer: Any, items: Any) -> tuple[str, list[Any]]:
        self.calls += 1
        return "", []


@pytest.mark.parametrize(
    ("kind", "options", "offered"),
    [
        ("SGD", {}, True), ("Adam", {}, True), ("AdamW", {}, True), ("RMSprop", {}, True), ("Lion", {}, True), ("LAMB", {}, True),
        ("Adam", {"amsgrad": True}, False), ("AdamW", {"amsgrad": True}, False),
        *((kind, {"maximize": True}, False) for kind in ("SGD", "Adam", "AdamW", "RMSprop", "Lion", "LAMB")),
        *((kind, {}, False) for kind in ("Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Muon")),
    ],
)  # fmt: skip
def test_the_kernel_is_offered_only_what_it_knows(
    kind: str, options: dict[str, Any], offered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel()
    monkeypatch.setattr(optim.Optimizer, "implementations", {"numpy": kernel})
    p = np.ones((2, 2))
    getattr(optim, kind)([p], lr=0.1, **options).step([np.ones((2, 2))])
    assert kernel.calls == offered
    assert (p == 1).all() == offered


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("kind", "options", "why"),
    [
        ("Adagrad", {}, "no kernel yet"),
        ("Muon", {}, "no kernel yet"),
        ("Adam", {"amsgrad": True}, "no kernel with amsgrad"),
        ("SGD", {"maximize": True}, "no kernel with maximize"),
    ],
)
def test_what_runs_without_a_kernel_is_counted(
    kind: str, options: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cupy = pytest.importorskip("cupy", reason="needs CuPy and a GPU")
    if not cupy.is_available():
        pytest.skip("needs CuPy and a GPU")
    monkeypatch.setattr(optim.Optimizer, "implementations", {"cupy": Kernel()})
    xpnn.fallback.forget_fallbacks()
    getattr(optim, kind)([cupy.ones((2, 2))], **options).step([cupy.ones((2, 2))])
    assert xpnn.fallback.fallback_report() == {kind: {why: 1}}
