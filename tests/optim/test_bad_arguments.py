"""Whatever is wrong with an argument is said in one line that names it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from xpnn import nn, optim


def sgd(lr: float = 0.1) -> Any:
    return optim.SGD([np.ones(2)], lr=lr)


def two(**second: Any) -> Any:
    return optim.SGD([{"params": [np.ones(2)]}, {"params": [np.ones(3)], **second}])


def shared() -> Any:
    x = np.ones(2)
    return optim.SGD([{"params": [x]}, {"params": {"again": x}}])


def matrix() -> list[Any]:
    return [np.ones((2, 2))]


CALLS: list[tuple[Callable[[], Any], str]] = [
    # options of optimisers
    *(
        (lambda kind=kind: getattr(optim, kind)(matrix(), lr=-1.0), "lr: expected 0 or more, got -1.0")
        for kind in ("SGD", "Adam", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Muon")
    ),
    *(
        (lambda kind=kind: getattr(optim, kind)(matrix(), weight_decay=-0.5), "weight_decay: expected 0 or more, got -0.5")
        for kind in ("SGD", "Adam", "AdamW", "RMSprop", "Lion", "LAMB", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Muon")
    ),
    *(
        (lambda kind=kind: getattr(optim, kind)(matrix(), betas=(0.9, 1.0)), "betas: expected two numbers in [0, 1)")
        for kind in ("Adamax", "NAdam", "RAdam")
    ),
    (lambda: optim.Adam(matrix(), eps=float("nan")), "eps: expected 0 or more, got nan"),
    (lambda: optim.SGD(matrix(), momentum=-0.1), "momentum: expected 0 or more, got -0.1"),
    (lambda: optim.Adagrad(matrix(), lr_decay=-1.0), "lr_decay: expected 0 or more"),
    (lambda: optim.Adagrad(matrix(), initial_accumulator_value=-1.0), "initial_accumulator_value: expected 0 or more"),
    (lambda: optim.Adadelta(matrix(), rho=1.5), "rho: expected a number in [0, 1], got 1.5"),
    (lambda: optim.NAdam(matrix(), momentum_decay=-1.0), "momentum_decay: expected 0 or more"),
    (lambda: optim.Muon(nn.Linear(2, 3)), "params: Muon takes arrays of 2 axes, got bias of shape (3,); give it to another"),
    (lambda: optim.Muon(matrix(), adjust_lr_fn="rms"), "adjust_lr_fn: expected None, 'original' or 'match_rms_adamw', got 'rms'"),
    (lambda: optim.Muon(matrix(), ns_coefficients=(1.0, 2.0)), "ns_coefficients: expected three numbers, got (1.0, 2.0)"),  # type: ignore[arg-type]
    # groups
    (lambda: optim.SGD([{"params": matrix()}, {"lr": 1.0}]), "params: group 1 has no 'params', as the others have"),
    (lambda: two(betas=(0.9, 0.9)), "params: group 1 has 'betas'; SGD knows lr, momentum, dampening"),
    (lambda: two(lr=-2.0), "lr: expected 0 or more, got -2.0"),
    (lambda: optim.SGD([{"params": []}]), "params: expected a module or tree with floating-point arrays, got list"),
    (shared, "params: again of group 1 is in group 0 already"),
    (lambda: two().step([np.ones(2)]), "grads: expected a list of 2 trees, one for each group, got list of 1"),
    (lambda: two().step(np.ones(2)), "grads: expected a list of 2 trees, one for each group, got ndarray"),
    (lambda: two().load_state_dict(sgd().state_dict()), "state: expected that of 2 groups, got 0"),
    (lambda: sgd().load_state_dict(two().state_dict()), "state: expected that of an optimiser without groups"),
    # tools
    (lambda: optim.clip_grad_value(matrix(), 0.0), "clip_value: expected a positive number, got 0.0"),
    (lambda: optim.accumulate([]), "grads: expected gradients of one batch or more, got none"),
    (lambda: optim.EMA(matrix(), decay=1.5), "decay: expected a number in [0, 1], got 1.5"),
    (lambda: optim.EMA(nn.ReLU()), "model: expected floating-point arrays, got ReLU without any"),
    (lambda: optim.EMA(matrix()).copy_to({"a": np.ones(2)}), "average: expected arrays 0, got a"),
    # schedules
    (lambda: optim.StepLR(sgd(), 0), "step_size: expected more than 0, got 0"),
    (lambda: optim.StepLR(sgd(), 1, gamma=-1.0), "gamma: expected 0 or more, got -1.0"),
    (lambda: optim.MultiStepLR(sgd(), [1], gamma=-1.0), "gamma: expected 0 or more"),
    (lambda: optim.ExponentialLR(sgd(), -0.5), "gamma: expected 0 or more"),
    (lambda: optim.LambdaLR(two(), [lambda t: 1.0]), "lr_lambda: expected one for each of 2 groups, got 1"),
    (lambda: optim.ConstantLR(sgd(), factor=1.5), "factor: expected a number in [0, 1], got 1.5"),
    (lambda: optim.LinearLR(sgd(), end_factor=-0.1), "end_factor: expected a number in [0, 1], got -0.1"),
    (lambda: optim.LinearLR(sgd(), total_iters=0), "total_iters: expected more than 0, got 0"),
    (lambda: optim.PolynomialLR(sgd(), power=-1.0), "power: expected 0 or more"),
    (lambda: optim.CosineAnnealingLR(sgd(), 0), "T_max: expected more than 0"),
    (lambda: optim.CosineAnnealingWarmRestarts(sgd(), 5, T_mult=0), "T_mult: expected more than 0, got 0"),
    (lambda: optim.OneCycleLR(sgd(), 0.1, 10, pct_start=2.0), "pct_start: expected a number in [0, 1], got 2.0"),
    (lambda: optim.OneCycleLR(sgd(), [0.1, 0.2], 10), "max_lr: expected one for each of 1 groups, got 2"),
    (lambda: optim.OneCycleLR(sgd(), 0.1), "total_steps: expected it, or epochs and steps_per_epoch"),
    (lambda: optim.OneCycleLR(sgd(), 0.1, 9, anneal_strategy="exp"), "anneal_strategy: expected \"cos\" or \"linear\", got 'exp'"),
    (lambda: optim.CyclicLR(sgd(), 0.1, 0.2, mode="square"), "\"triangular2\" or \"exp_range\", got 'square'"),
    (lambda: optim.CyclicLR(sgd(), 0.1, 0.2, scale_mode="x"), "scale_mode: expected \"cycle\" or \"iterations\", got 'x'"),
    (lambda: optim.CyclicLR(sgd(), 0.1, 0.2, 0), "step_size_up: expected more than 0, got 0"),
    (lambda: optim.OneCycleLR(optim.Adagrad(matrix()), 0.1, 9), "cycle_momentum: expected an optimiser with momentum or betas"),
    (lambda: optim.CyclicLR(sgd(), 0.1, 0.2, max_momentum=1.0), "max_momentum: expected a number in [0, 1), got 1.0"),
    (lambda: optim.OneCycleLR(sgd(), -0.1, 10), "max_lr 0: expected 0 or more, got -0.1"),
    (lambda: optim.ChainedScheduler([]), "schedulers: expected one schedule or more, got none"),
    (lambda: optim.SequentialLR(sgd(), [], []), "schedulers: expected one schedule or more, got none"),
    (lambda: optim.SequentialLR(sgd(), [optim.ExponentialLR(sgd(), 1.0)], [3]), "milestones: expected 0 for 1 schedules, got 1"),
    (lambda: optim.SequentialLR(sgd(), [optim.ExponentialLR(sgd(), 1.0)], []), "ExponentialLR at 0 is one of another optimiser"),
    (lambda: optim.SequentialLR(sgd(), [1, 2, 3], [5, 2]), "milestones: expected growing numbers of steps, got [5, 2]"),  # type: ignore[list-item]
    (lambda: optim.StepLR(sgd(), 1).load_state_dict({"steps": 1, "bases": [1, 2]}), "state: expected the rates of 1 groups, got 2"),
    (lambda: optim.ReduceLROnPlateau(sgd(), mode="least"), "mode: expected \"min\" or \"max\", got 'least'"),
    (lambda: optim.ReduceLROnPlateau(sgd(), threshold_mode="x"), "threshold_mode: expected \"rel\" or \"abs\", got 'x'"),
    (lambda: optim.ReduceLROnPlateau(sgd(), factor=1.0), "factor: expected a number in [0, 1), got 1.0"),
    (lambda: optim.ReduceLROnPlateau(sgd(), min_lr=[0.1, 0.2]), "min_lr: expected one for each of 1 groups, got 2"),
    (lambda: optim.ReduceLROnPlateau(sgd(), patience=-1), "patience: expected 0 or more, got -1"),
]  # fmt: skip

KINDS: list[tuple[Callable[[], Any], str]] = [
    (lambda: optim.StepLR(np.ones(2), 1), "optimizer: expected an xpnn.optim.Optimizer, got ndarray"),  # type: ignore[arg-type]
    (lambda: optim.ReduceLROnPlateau(None), "optimizer: expected an xpnn.optim.Optimizer, got NoneType"),  # type: ignore[arg-type]
    (lambda: optim.LambdaLR(sgd(), 0.5), "lr_lambda: expected a function or a list of them, got 0.5"),  # type: ignore[arg-type]
    (lambda: optim.ChainedScheduler([optim.ReduceLROnPlateau(sgd())]), "schedules of a rate by steps, got ReduceLROnPlateau at 0"),  # type: ignore[list-item]
]  # fmt: skip


@pytest.mark.parametrize(("call", "words"), CALLS)
def test_values(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("call", "words"), KINDS)
def test_kinds(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(TypeError, match=re.escape(words)) as caught:
        call()
    assert "\n" not in str(caught.value)
