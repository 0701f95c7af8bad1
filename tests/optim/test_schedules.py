"""Schedules: the rates of torch over 60 steps, for one group and for two, and state that goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from xpnn import optim

Make = Callable[[Any, Any], Any]
# Of a module of schedules and an optimiser of it: a schedule.
CASES: dict[str, Make] = {
    "step": lambda m, o: m.StepLR(o, step_size=7, gamma=0.3),
    "multi-step": lambda m, o: m.MultiStepLR(o, milestones=[30, 5, 5, 41], gamma=0.3),
    "multi-step-0": lambda m, o: m.MultiStepLR(o, [0, 3]),
    "exponential": lambda m, o: m.ExponentialLR(o, gamma=0.95),
    "lambda": lambda m, o: m.LambdaLR(o, lambda t: 1 / (1 + t) ** 0.5),
    "constant": lambda m, o: m.ConstantLR(o),
    "constant-long": lambda m, o: m.ConstantLR(o, factor=0.2, total_iters=20),
    "linear": lambda m, o: m.LinearLR(o),
    "linear-down": lambda m, o: m.LinearLR(o, start_factor=0.9, end_factor=0.05, total_iters=33),
    "polynomial": lambda m, o: m.PolynomialLR(o),
    "polynomial-curved": lambda m, o: m.PolynomialLR(o, total_iters=50, power=2.5),
    "cosine": lambda m, o: m.CosineAnnealingLR(o, T_max=60, eta_min=1e-3),
    "cosine-there-and-back": lambda m, o: m.CosineAnnealingLR(o, T_max=23, eta_min=1e-3),
    "restarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, T_0=11, eta_min=1e-3),
    "restarts-longer": lambda m, o: m.CosineAnnealingWarmRestarts(o, T_0=4, T_mult=2),
    "restarts-tripled": lambda m, o: m.CosineAnnealingWarmRestarts(o, 1, 3),
    "one-cycle": lambda m, o: m.OneCycleLR(o, max_lr=0.5, total_steps=61),
    "one-cycle-early": lambda m, o: m.OneCycleLR(o, 0.5, 70, pct_start=0.1, div_factor=5.0, final_div_factor=10.0),
    "one-cycle-up": lambda m, o: m.OneCycleLR(o, 0.5, 61, pct_start=1.0),
    "one-cycle-lines": lambda m, o: m.OneCycleLR(o, 0.5, epochs=7, steps_per_epoch=10, anneal_strategy="linear"),
    "one-cycle-three": lambda m, o: m.OneCycleLR(o, 0.5, 61, three_phase=True),
    "one-cycle-three-lines": lambda m, o: m.OneCycleLR(o, 0.5, 70, None, None, 0.2, "linear", three_phase=True),
    "multiplicative": lambda m, o: m.MultiplicativeLR(o, lambda t: 1 - 1 / (t + 3)),
    "cyclic": lambda m, o: m.CyclicLR(o, 0.01, 0.3, step_size_up=7),
    "cyclic-slow": lambda m, o: m.CyclicLR(
        o, 0.01, [0.3, 0.2][: len(o.groups if hasattr(o, "groups") else o.param_groups)], 5, 9
    ),
    "cyclic-halved": lambda m, o: m.CyclicLR(o, 0.01, 0.3, 7, mode="triangular2"),
    "cyclic-falling": lambda m, o: m.CyclicLR(o, 0.01, 0.3, 7, 3, mode="exp_range", gamma=0.95),
    "cyclic-own": lambda m, o: m.CyclicLR(o, 0.01, 0.3, 7, scale_fn=lambda i: 1 / i),
    "cyclic-own-steps": lambda m, o: m.CyclicLR(o, 0.01, 0.3, 7, scale_fn=lambda i: 0.9**i, scale_mode="iterations"),
    "sequential": lambda m, o: m.SequentialLR(
        o, [m.LinearLR(o, 0.1, total_iters=10), m.CosineAnnealingLR(o, T_max=50)], milestones=[10]
    ),
    "sequential-three": lambda m, o: m.SequentialLR(
        o, [m.ConstantLR(o, 0.1, 20), m.ExponentialLR(o, 0.9), m.CosineAnnealingWarmRestarts(o, 6)], [20, 31]
    ),
    "chained": lambda m, o: m.ChainedScheduler([m.ConstantLR(o, 0.1, 20), m.ExponentialLR(o, 0.9)]),
    "chained-three": lambda m, o: m.ChainedScheduler(
        [m.LinearLR(o, 0.2, total_iters=9), m.StepLR(o, 15), m.CosineAnnealingLR(o, 70)], optimizer=o
    ),
}
every_case = pytest.mark.parametrize("name", CASES)


def two_groups() -> optim.Grouped:
    return optim.SGD([{"params": [np.ones(1)]}, {"params": [np.ones(1)], "lr": 0.02}], lr=0.1)


def rates(optimizer: Any) -> list[float]:
    return [group["lr"] for group in optimizer.groups]


def momenta(groups: Any) -> list[float]:
    return [group["betas"][0] if "betas" in group else group["momentum"] for group in groups]


@every_case
def test_same_rates_as_torch(name: str) -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    alone, grouped = optim.SGD([np.ones(1)], lr=0.1), two_groups()
    peer = torch.optim.SGD(
        [{"params": [torch.ones(1, requires_grad=True)], "lr": lr} for lr in (0.1, 0.02)], lr=0.1
    )  # fmt: skip
    ours = [CASES[name](optim, optimizer) for optimizer in (alone, grouped)]
    theirs = CASES[name](torch.optim.lr_scheduler, peer)
    for _ in range(60):
        expected = [group["lr"] for group in peer.param_groups]
        # torch computes each rate from the one before, whose rounding error is one of the whole rate
        assert rates(grouped) == pytest.approx(expected, rel=1e-12, abs=1e-15)
        assert rates(alone) == rates(grouped)[:1] == [alone.lr]
        assert momenta(grouped.groups) == pytest.approx(momenta(peer.param_groups), rel=1e-12)
        peer.step()
        theirs.step()
        for schedule in ours:
            schedule.step()


@every_case
def test_a_loaded_schedule_goes_on_the_same(name: str) -> None:
    optimizer, again = two_groups(), two_groups()
    schedule = CASES[name](optim, optimizer)
    for _ in range(17):
        schedule.step()
    again.lr = 0.7  # a schedule that is loaded knows its base rates
    resumed = CASES[name](optim, again)
    resumed.load_state_dict(json.loads(json.dumps(schedule.state_dict())))
    for _ in range(30):
        assert rates(again) == rates(optimizer)
        schedule.step()
        resumed.step()


CYCLES: dict[str, dict[str, Any]] = {
    "one-cycle": {"max_lr": 0.1, "total_steps": 40},
    "one-cycle-three": {
        "max_lr": 0.1,
        "total_steps": 40,
        "three_phase": True,
        "base_momentum": 0.7,
        "max_momentum": 0.8,
    },
    "cyclic": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 7, "step_size_down": 3},
    "cyclic-halved": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 7, "mode": "triangular2", "base_momentum": 0.5},
    "cyclic-alone": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 7, "cycle_momentum": False},
}


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", CYCLES)
def test_a_cycle_moves_the_momentum_as_torch_does(name: str, kind: str) -> None:
    """Of an optimiser with betas the first of them; and the steps with it are those of torch."""
    torch = pytest.importorskip("torch", reason="the reference is torch")
    schedule, options = "OneCycleLR" if name.startswith("one") else "CyclicLR", CYCLES[name]
    given = {"momentum": 0.6} if kind == "SGD" else {"betas": (0.6, 0.95)}
    p, tp = np.linspace(-1, 1, 5), torch.linspace(-1, 1, 5, dtype=torch.float64, requires_grad=True)
    optimizer, peer = getattr(optim, kind)([p], **given), getattr(torch.optim, kind)([tp], **given)
    ours, theirs = (
        getattr(optim, schedule)(optimizer, **options),
        getattr(torch.optim.lr_scheduler, schedule)(peer, **options),
    )
    rng = np.random.default_rng(0)
    for _ in range(30):
        assert momenta(optimizer.groups) == pytest.approx(momenta(peer.param_groups), rel=1e-12)
        g = rng.normal(size=5)
        optimizer.step([g])
        tp.grad = torch.tensor(g)
        peer.step()
        ours.step()
        theirs.step()
    np.testing.assert_allclose(p, tp.detach().numpy(), rtol=1e-10)


def test_a_cycle_within_a_sequence_moves_the_momentum_in_its_turn() -> None:
    optimizer = optim.SGD([np.ones(1)], lr=1.0, momentum=0.3)
    cycle = optim.CyclicLR(optimizer, 0.1, 0.2, 2, base_momentum=0.5, max_momentum=0.9)
    schedule = optim.SequentialLR(optimizer, [optim.ConstantLR(optimizer, 0.5, 9), cycle], [2])
    seen = []
    for _ in range(5):
        seen.append(optimizer.momentum)
        schedule.step()
    assert seen == pytest.approx([0.9, 0.9, 0.9, 0.7, 0.5])
    chain = optim.ChainedScheduler([optim.ConstantLR(optimizer), cycle])
    chain.step()
    assert optimizer.momentum == pytest.approx(0.7)


def test_each_group_may_have_its_own_function_and_its_own_peak() -> None:
    optimizer = two_groups()
    schedule = optim.LambdaLR(optimizer, [lambda t: 1.0, lambda t: t])
    schedule.step()
    schedule.step()
    assert rates(optimizer) == [0.1, 0.04]
    cycle = optim.OneCycleLR(optimizer, [0.5, 0.25], 10, pct_start=0.5)
    for _ in range(4):
        cycle.step()
    assert rates(optimizer) == pytest.approx([0.5, 0.25])


def test_chains_and_sequences_nest() -> None:
    optimizer = optim.SGD([np.ones(1)], lr=1.0)
    chain = optim.ChainedScheduler([optim.StepLR(optimizer, 1, 0.5), optim.ConstantLR(optimizer, 0.5, 1)])
    schedule = optim.SequentialLR(optimizer, [optim.ConstantLR(optimizer, 0.25, 9), chain], [2])
    seen = []
    for _ in range(5):
        seen.append(optimizer.lr)
        schedule.step()
    assert seen == [0.25, 0.25, 0.5, 0.5, 0.25]


def test_a_chain_of_a_rate_of_zero_stays_there() -> None:
    optimizer = optim.SGD([np.ones(1)], lr=0.0)
    schedule = optim.ChainedScheduler([optim.StepLR(optimizer, 1), optim.ExponentialLR(optimizer, 0.5)])
    schedule.step()
    assert optimizer.lr == 0.0


PLATEAUS: dict[str, dict[str, Any]] = {
    "default": {},
    "short": {"patience": 2, "factor": 0.5},
    "cooldown": {"patience": 1, "cooldown": 3, "factor": 0.5},
    "absolute": {"patience": 1, "threshold": 0.05, "threshold_mode": "abs"},
    "max": {"mode": "max", "patience": 1, "factor": 0.3},
    "max-absolute": {"mode": "max", "patience": 0, "threshold": 0.1, "threshold_mode": "abs", "factor": 0.9},
    "least": {"patience": 0, "factor": 0.3, "min_lr": [1e-2, 1e-4]},
    "small-changes": {"patience": 0, "factor": 0.5, "eps": 1e-3},
}


@pytest.mark.parametrize("name", PLATEAUS)
def test_plateaus_are_those_of_torch(name: str) -> None:
    """Saved and loaded half-way; a nan does not count as better."""
    torch = pytest.importorskip("torch", reason="the reference is torch")
    options = PLATEAUS[name]
    optimizer = two_groups()
    peer = torch.optim.SGD([{"params": [torch.ones(1, requires_grad=True)], "lr": lr} for lr in (0.1, 0.02)])
    ours, theirs = (
        m.ReduceLROnPlateau(o, **options) for m, o in ((optim, optimizer), (torch.optim.lr_scheduler, peer))
    )
    rng = np.random.default_rng(0)
    for i in range(60):
        metric = float("nan") if i == 7 else 1 / (1 + min(i, 24) // 6) + 0.05 * rng.normal()
        ours.step(np.asarray(metric))
        theirs.step(metric)
        assert rates(optimizer) == pytest.approx([group["lr"] for group in peer.param_groups], rel=1e-12)
        if i == 30:
            state, optimizer = ours.state_dict(), two_groups()
            ours = optim.ReduceLROnPlateau(optimizer, **options)
            ours.load_state_dict(state)
    assert rates(optimizer)[0] < 0.1
