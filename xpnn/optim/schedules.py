"""Schedules of the learning rate: call step() after each optimiser step (or epoch, if the counts are epochs)."""

from __future__ import annotations

import math

from .optimizer import Optimizer

__all__ = ["CosineAnnealingLR", "OneCycleLR", "Schedule", "StepLR"]


class Schedule:
    """Base of the schedules: ``rate(t)`` is the learning rate after t calls of step()."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.base = optimizer.lr
        self.steps = 0
        optimizer.lr = self.rate(0)

    def rate(self, t: int) -> float:
        raise NotImplementedError(f"{type(self).__name__} has no rate")

    def step(self) -> None:
        """Sets the learning rate of the next step."""
        self.steps += 1
        self.optimizer.lr = self.rate(self.steps)

    def state_dict(self) -> dict[str, float]:
        return {"steps": self.steps, "base": self.base}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.steps, self.base = int(state["steps"]), state["base"]
        self.optimizer.lr = self.rate(self.steps)


class StepLR(Schedule):
    """The rate times gamma every step_size steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, t: int) -> float:
        return self.base * float(self.gamma ** (t // self.step_size))


class CosineAnnealingLR(Schedule):
    """Half a cosine from the optimiser's rate to eta_min in T_max steps (Loshchilov & Hutter 2017)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer)

    def rate(self, t: int) -> float:
        return self.eta_min + (self.base - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2


class OneCycleLR(Schedule):
    """Up from max_lr/div_factor to max_lr in the first part, then down to a tiny rate, both along half cosines (Smith 2018).

    The rates of torch's OneCycleLR with its defaults; momentum is left alone.
    """

    def __init__(
        self, optimizer: Optimizer, max_lr: float, total_steps: int, pct_start: float = 0.3, div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:  # fmt: skip
        if total_steps < 2:
            raise ValueError(f"total_steps: expected 2 or more, got {total_steps}")
        self.max_lr = max_lr
        self.first = max_lr / div_factor
        self.last = self.first / final_div_factor
        self.total_steps = total_steps
        self.peak = pct_start * total_steps - 1
        super().__init__(optimizer)

    def rate(self, t: int) -> float:
        if t <= self.peak:
            return _cosine(self.first, self.max_lr, t / self.peak)
        done = (t - self.peak) / (self.total_steps - 1 - self.peak)
        return _cosine(self.max_lr, self.last, min(done, 1.0))


def _cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
