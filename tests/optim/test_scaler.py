"""Loss scaling and float32 copies of weights: torch's scale, steps left out bit for bit, small gradients that arrive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import xpnn
from tests.cuda.emulated import kernels_for_numpy
from xpnn import losses, nn, optim, tree

from ..conftest import Library

# On a CPU NumPy says of the backward what a scaler is there for.
OVERFLOWS = pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")

OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "adamw": lambda p: optim.AdamW(p, lr=0.1),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1, initial_accumulator_value=0.5),
    "nadam": lambda p: optim.NAdam(p, lr=0.1),
    "masters": lambda p: optim.with_master_weights(optim.AdamW(p, lr=0.1)),
    "groups": lambda p: optim.RMSprop([{"params": [p["w"]]}, {"params": [p["b"]], "lr": 0.2}]),
}


def holds(optimizer: optim.Optimizer) -> Any:
    """Everything of an optimiser but the counts and rates, as NumPy arrays."""
    return [tree.map(np.array, (part.params, part.state, part.masters)) for part in optimizer.parts]


def in_form(optimizer: optim.Optimizer, w: Any, b: Any) -> Any:
    return [[w], [b]] if isinstance(optimizer, optim.Grouped) else {"w": w, "b": b}


@OVERFLOWS
def test_the_scale_and_the_weights_are_those_of_torch(lib: Library) -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    options = {"init_scale": 8.0, "growth_factor": 4.0, "backoff_factor": 0.25, "growth_interval": 2}
    theirs = torch.amp.GradScaler("cpu", **options)
    ours = optim.LossScaler(**options)
    peer = torch.ones(3, requires_grad=True)
    steps = torch.optim.SGD([peer], lr=0.1, momentum=0.9)
    params = [lib.asarray(np.ones(3, np.float32))]
    mine = optim.SGD(params, lr=0.1, momentum=0.9)
    for i in range(12):
        factor = np.asarray([1.0, np.inf if i in (0, 5, 6) else 2.0, np.nan if i == 6 else -1.0], np.float32)
        steps.zero_grad()
        theirs.scale((peer * peer * torch.tensor(factor)).sum()).backward()
        theirs.step(steps)
        theirs.update()
        grads = xpnn.grad(lambda p, f: ours.scale(xpnn.namespace(p[0]).sum(p[0] * p[0] * f)))(
            params, lib.asarray(factor)
        )
        ours.step(mine, grads)
        assert ours.get_scale() == theirs.get_scale()
        np.testing.assert_allclose(lib.to_numpy(params[0]), peer.detach().numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("wrong", [np.inf, -np.inf, np.nan])
def test_a_step_that_is_left_out_changes_nothing(kind: str, dtype: Any, wrong: float) -> None:
    """The first step, which makes the state, and a later one."""
    rng = np.random.default_rng(0)
    first, later = ({"w": np.ones((2, 3), dtype), "b": np.ones(3, dtype)} for _ in range(2))
    good = [(rng.normal(size=(2, 3)).astype(dtype), rng.normal(size=3).astype(dtype)) for _ in range(3)]
    bad = (good[0][0], np.asarray([1.0, wrong, 1.0], dtype))
    if wrong > 0:
        bad = (np.full((2, 3), wrong, dtype), good[0][1])
    for params, when in ((first, 0), (later, 2)):
        optimizer, scaler = OPTIMIZERS[kind](params), optim.LossScaler(init_scale=4.0)
        for w, b in good[:when]:
            scaler.step(optimizer, in_form(optimizer, w, b))
        before = holds(optimizer)
        start = tree.map(np.array, params)
        scaler.step(optimizer, in_form(optimizer, *bad))
        assert scaler.get_scale() == 2.0
        if when:
            assert all(
                a.tobytes() == b.tobytes()
                for a, b in zip(tree.leaves(before), tree.leaves(holds(optimizer)), strict=True)
            )
        assert all(np.array_equal(params[name], start[name]) for name in params)
        masters = {name: x for part in optimizer.parts for name, x in part.masters.items()}
        assert when or all(np.array_equal(x, start[name]) for name, x in masters.items())
        scaler.step(optimizer, in_form(optimizer, *good[2]))
        assert all(np.isfinite(x).all() for x in tree.leaves(holds(optimizer)))
        assert not np.array_equal(params["b"], start["b"])


def tiny(dtype: Any) -> tuple[Any, Any, Any]:
    """A regression whose loss is so small that its gradients are zero in float16: (weights, inputs, targets)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 4))
    return {"w": np.zeros(4, dtype)}, x.astype(dtype), (x @ np.asarray([1.0, -2.0, 0.5, 3.0])).astype(dtype)


def loss_of(params: Any, x: Any, y: Any) -> Any:
    xp = xpnn.namespace(params["w"])
    error = xp.matmul(x, params["w"]) - y
    return xp.astype(xp.mean(error * error), xp.float32) * 1e-8


@OVERFLOWS
def test_a_float16_training_that_would_underflow() -> None:
    params, x, y = tiny(np.float16)
    optimizer = optim.with_master_weights(optim.SGD(params, lr=2e7))
    grads = xpnn.grad(loss_of)(params, x, y)
    np.testing.assert_array_equal(grads["w"], 0)
    scaler = optim.LossScaler(init_scale=2.0**60, growth_interval=20)
    for _ in range(100):
        scaler.step(optimizer, xpnn.grad(lambda p, x, y: scaler.scale(loss_of(p, x, y)))(params, x, y))
    assert scaler.get_scale() < 2.0**60  # it had to come down from where float16 is infinite
    np.testing.assert_allclose(params["w"].astype(np.float64), [1.0, -2.0, 0.5, 3.0], atol=5e-3)


@OVERFLOWS
def test_fit_takes_one() -> None:
    xpnn.seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4)).astype(np.float16)
    y = np.zeros((64, 1), np.float16) + x[:, :1]
    model = nn.Linear(4, 1)
    model.weight, model.bias = (a.astype(np.float16) for a in (model.weight, model.bias))
    scaler = optim.LossScaler(growth_interval=10)
    history = xpnn.fit(
        model, (x, y), loss=lambda p, t: losses.mse_loss(p, t), optimizer=optim.with_master_weights(optim.AdamW(model, lr=0.05)),
        epochs=20, max_grad_norm=1.0, loss_scaler=scaler, progress=False,
    )  # fmt: skip
    assert 0.5 < history[0]["loss"] < 5  # without the scale
    assert history[-1]["loss"] < 0.3 * history[0]["loss"] and model.weight.dtype == np.float16


def test_a_state_goes_on_bit_for_bit() -> None:
    params, *_ = tiny(np.float16)
    other = tree.map(np.array, params)
    mine, scaler = optim.with_master_weights(optim.Adam(params, lr=1e-4)), optim.LossScaler(growth_interval=3)
    grads = [np.asarray(g, np.float16) for g in np.random.default_rng(1).normal(size=(6, 4))]
    for g in grads[:3]:
        scaler.step(mine, {"w": g})
    other["w"][...] = params["w"]
    again, rescaler = optim.with_master_weights(optim.Adam(other, lr=1.0)), optim.LossScaler()
    again.load_state_dict(mine.state_dict())
    rescaler.load_state_dict(scaler.state_dict())
    for g in grads[3:]:
        scaler.step(mine, {"w": g})
        rescaler.step(again, {"w": g})
    assert scaler.state_dict() == rescaler.state_dict() and scaler.get_scale() == 2.0**18
    assert other["w"].tobytes() == params["w"].tobytes()
    assert again.masters["w"].tobytes() == mine.masters["w"].tobytes()


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_small_updates_add_up_in_float32_copies(monkeypatch: pytest.MonkeyPatch, dtype: Any) -> None:
    """A hundred steps that are each lost in 16 bits; by the kernel for CuPy, too, and with a float32 array beside."""

    def trained(optimizer: Callable[[Any], Any]) -> Any:
        params = {"w": np.ones(20, dtype), "f": np.ones(3, np.float32)}
        steps = optimizer(params)
        for _ in range(100):
            steps.step({"w": np.ones(20, dtype), "f": np.ones(3, np.float32)})
        np.testing.assert_allclose(params["f"], 0.99, rtol=1e-5)
        return params["w"]

    with_masters = lambda p: optim.with_master_weights(optim.SGD(p, lr=1e-4))  # noqa: E731
    np.testing.assert_array_equal(trained(lambda p: optim.SGD(p, lr=1e-4)), 1)
    np.testing.assert_array_equal(trained(with_masters), np.asarray(0.99, dtype))
    with kernels_for_numpy(monkeypatch) as emulator:
        np.testing.assert_array_equal(trained(with_masters), np.asarray(0.99, dtype))
    assert {plan.entry for plan in emulator.launched} == {"optimizer_step<float, Sgd>"}


def test_what_others_write_to_an_array_is_taken_over() -> None:
    params = {"w": np.ones(3, np.float16)}
    optimizer = optim.with_master_weights(optim.SGD(params, lr=1e-4))
    optimizer.step({"w": np.ones(3, np.float16)})
    params["w"][1] = 5
    optimizer.step({"w": np.ones(3, np.float16)})
    np.testing.assert_allclose(optimizer.masters["w"], [0.9998, 4.9999, 0.9998], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"init_scale": 0.0}, "init_scale: expected a positive number, got 0.0"),
        ({"growth_factor": 1.0}, "growth_factor: expected a number above 1, got 1.0"),
        ({"backoff_factor": 1.0}, "backoff_factor: expected a number between 0 and 1, got 1.0"),
        ({"growth_interval": 0}, "growth_interval: expected 1 or more, got 0"),
    ],
)
def test_wrong_options_are_named(options: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}$"):
        optim.LossScaler(**options)


def test_gradients_without_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="^grads: expected a tree with arrays, got list without any$"):
        optim.LossScaler().step(optim.SGD([np.ones(2)], lr=0.1), [None])
