"""Schedules of the learning rate: call step() after each optimiser step (or epoch, if the counts are epochs)."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from typing import Any

from ..ops._checks import check_number, check_whole
from .optimizer import Optimizer, check_state, nonnegative

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "PolynomialLR",
    "Schedule",
    "StepLR",
    "check_optimizer",
    "cosine",
    "fraction",
    "per_group",
    "positive",
    "steps_of",
]


class Schedule:
    """Base of the schedules: ``rate(t, base)`` is the learning rate after t calls of step().

    base is the rate that the optimiser, or one of its groups, had before its first schedule, as in torch.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        self.steps = 0
        self.bases = [_base(part) for part in optimizer.parts]
        self._set()

    def rate(self, t: int, base: float) -> float:
        raise NotImplementedError(f"{type(self).__name__} has no rate")

    def rates(self, t: int) -> list[float]:
        """The rate of each group after t calls of step()."""
        return [self.rate(t, base) for base in self.bases]

    def momenta(self, t: int) -> list[float] | None:
        """The momentum of each group after t calls of step(); None where a schedule leaves it alone."""
        return None

    def step(self) -> None:
        """Sets the learning rate of the next step."""
        self.steps += 1
        self._set()

    def _set(self) -> None:
        for part, rate in zip(self.optimizer.parts, self.rates(self.steps), strict=True):
            part.lr = rate
        momenta = self.momenta(self.steps)
        if momenta is not None:
            for part, momentum in zip(self.optimizer.parts, momenta, strict=True):
                _set_momentum(part, momentum)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "bases": list(self.bases)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what state_dict returned, and sets the learning rate."""
        check_state(state, "steps", "bases")
        if len(state["bases"]) != len(self.bases):
            raise ValueError(f"state: expected the rates of {len(self.bases)} groups, got {len(state['bases'])}")
        self.steps, self.bases = int(state["steps"]), list(state["bases"])
        self._set()


class StepLR(Schedule):
    """The rate times gamma every step_size steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        positive(step_size=step_size)
        nonnegative(gamma=gamma)
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        return base * float(self.gamma ** (t // self.step_size))


class MultiStepLR(Schedule):
    """The rate times gamma at each of the milestones, which count steps."""

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        nonnegative(gamma=gamma)
        self.milestones = sorted(steps_of("milestones", milestones))
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        return base * float(self.gamma ** bisect.bisect_right(self.milestones, t))


class ExponentialLR(Schedule):
    """The rate times gamma at each step."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        nonnegative(gamma=gamma)
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        return base * float(self.gamma**t)


class LambdaLR(Schedule):
    """The rate times lr_lambda(t), a function of the steps done; a list has one function for each group."""

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]]
    ) -> None:
        self.lr_lambdas = per_group("lr_lambda", lr_lambda, optimizer)
        if not all(map(callable, self.lr_lambdas)):
            raise TypeError(f"lr_lambda: expected a function or a list of them, got {lr_lambda!r}")
        super().__init__(optimizer)

    def rates(self, t: int) -> list[float]:
        return [base * f(t) for f, base in zip(self.lr_lambdas, self.bases, strict=True)]


class MultiplicativeLR(LambdaLR):
    """The rate times lr_lambda(1) times … lr_lambda(t), a function of the steps done; a list has one function for each group."""

    def rates(self, t: int) -> list[float]:
        return [
            base * math.prod(f(i) for i in range(1, t + 1)) for f, base in zip(self.lr_lambdas, self.bases, strict=True)
        ]


class ConstantLR(Schedule):
    """The rate times factor for total_iters steps, then the whole rate."""

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5) -> None:
        fraction(factor=factor)
        nonnegative(total_iters=total_iters)
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        return base if t >= self.total_iters else base * self.factor


class LinearLR(Schedule):
    """The rate times a factor that goes from start_factor to end_factor along a line in total_iters steps: a warm-up."""

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        fraction(start_factor=start_factor, end_factor=end_factor)
        positive(total_iters=total_iters)
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        done = min(t, self.total_iters) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * done)


class PolynomialLR(Schedule):
    """The rate times (1 - t / total_iters)**power, 0 after total_iters steps."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0) -> None:
        positive(total_iters=total_iters)
        nonnegative(power=power)
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        return base * float((1 - min(t, self.total_iters) / self.total_iters) ** self.power)


class CosineAnnealingLR(Schedule):
    """Half a cosine from the optimiser's rate to eta_min in T_max steps (Loshchilov & Hutter 2017)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        positive(T_max=T_max)
        nonnegative(eta_min=eta_min)
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        return cosine(base, self.eta_min, t / self.T_max)


class CosineAnnealingWarmRestarts(Schedule):
    """Half cosines from the optimiser's rate to eta_min, one after the other (SGDR, Loshchilov & Hutter 2017).

    The first takes T_0 steps, each that follows T_mult times as many.
    """

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0) -> None:
        check_whole("T_0", T_0)
        check_whole("T_mult", T_mult)
        positive(T_0=T_0, T_mult=T_mult)
        nonnegative(eta_min=eta_min)
        self.T_0 = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        length = self.T_0
        if self.T_mult == 1:
            t %= length
        while t >= length:
            t -= length
            length *= self.T_mult
        return cosine(base, self.eta_min, t / length)


def check_optimizer(optimizer: Any) -> None:
    """Raises TypeError for what is no optimiser."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer: expected an xpnn.optim.Optimizer, got {type(optimizer).__name__}")


def per_group(name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """A list of one value for each group; what is no list or tuple is the value of all."""
    check_optimizer(optimizer)
    groups = len(optimizer.parts)
    if not isinstance(value, list | tuple):
        return [value] * groups
    if len(value) != groups:
        raise ValueError(f"{name}: expected one for each of {groups} groups, got {len(value)}")
    return list(value)


def steps_of(name: str, value: Any) -> list[int]:
    """A list of numbers of steps. Raises TypeError for anything else."""
    if not isinstance(value, list | tuple):
        raise TypeError(f"{name}: expected a list of numbers of steps, got {type(value).__name__}")
    for step in value:
        check_whole(name, step)
    return list(value)


def _base(part: Optimizer) -> float:
    """The rate before the first schedule, which has changed it."""
    if part.initial_lr is None:
        part.initial_lr = part.lr
    return part.initial_lr


def _set_momentum(part: Any, momentum: float) -> None:
    """Of an optimiser with betas it is the first of them."""
    if hasattr(part, "betas"):
        part.betas = (momentum, *part.betas[1:])
    else:
        part.momentum = momentum


def cosine(start: float, end: float, done: float) -> float:
    """From start to end along half a cosine, of which the part ``done`` is behind."""
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


def positive(**options: float) -> None:
    """Raises unless all are more than 0."""
    for name, value in options.items():
        check_number(name, value)
        if not value > 0:
            raise ValueError(f"{name}: expected more than 0, got {value}")


def fraction(**options: float) -> None:
    """Raises unless all are in [0, 1]."""
    for name, value in options.items():
        check_number(name, value)
        if not 0 <= value <= 1:
            raise ValueError(f"{name}: expected a number in [0, 1], got {value}")
