"""Schedules made of schedules."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from typing import Any

from .optimizer import Optimizer, check_state
from .schedules import Schedule, check_optimizer, steps_of

__all__ = ["ChainedScheduler", "SequentialLR"]


class _Composed(Schedule):
    """Asks its schedules for their rates, and steps in their place."""

    def __init__(self, optimizer: Any, schedulers: Sequence[Schedule]) -> None:
        self.schedulers = list(schedulers)
        for i, schedule in enumerate(self.schedulers):
            if not isinstance(schedule, Schedule):
                raise TypeError(f"schedulers: expected schedules of a rate by steps, got {_kind(schedule)} at {i}")
        check_optimizer(optimizer)
        for i, schedule in enumerate(self.schedulers):
            if schedule.optimizer is not optimizer:
                raise ValueError(
                    f"schedulers: expected those of one optimiser, {_kind(schedule)} at {i} is one of another optimiser"
                )
        super().__init__(optimizer)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "schedulers": [schedule.state_dict() for schedule in self.schedulers]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_state(state, "steps", "bases", "schedulers")
        if len(state["schedulers"]) != len(self.schedulers):
            raise ValueError(
                f"state: expected that of {len(self.schedulers)} schedules, got {len(state['schedulers'])}"
            )
        for schedule, own in zip(self.schedulers, state["schedulers"], strict=True):
            schedule.load_state_dict(own)
        super().load_state_dict(state)


class SequentialLR(_Composed):
    """One schedule after the other, each from its own beginning: the next takes over at each of the milestones."""

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[Schedule], milestones: Sequence[int]) -> None:
        _check_some(schedulers)
        milestones = steps_of("milestones", milestones)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"milestones: expected {len(schedulers) - 1} for {len(schedulers)} schedules, got {len(milestones)}"
            )
        if any(a > b for a, b in zip((0, *milestones), milestones, strict=False)):
            raise ValueError(f"milestones: expected growing numbers of steps, got {milestones}")
        self.milestones = milestones
        super().__init__(optimizer, schedulers)

    def rates(self, t: int) -> list[float]:
        schedule, own = self._at(t)
        return schedule.rates(own)

    def momenta(self, t: int) -> list[float] | None:
        schedule, own = self._at(t)
        return schedule.momenta(own)

    def _at(self, t: int) -> tuple[Schedule, int]:
        """The schedule whose turn it is, and its own number of steps."""
        i = bisect.bisect_right(self.milestones, t)
        return self.schedulers[i], t - self.milestones[i - 1] if i else t


class ChainedScheduler(_Composed):
    """All schedules at once: the base times the product of their factors, a factor being a schedule's rate over the base.

    torch's rates for schedules that multiply; LambdaLR, warm restarts and one cycle multiply here as well, where torch
    lets them replace what came before.
    """

    def __init__(self, schedulers: Sequence[Schedule], optimizer: Optimizer | None = None) -> None:
        _check_some(schedulers)
        first = getattr(schedulers[0], "optimizer", None)
        super().__init__(first if optimizer is None else optimizer, schedulers)

    def rates(self, t: int) -> list[float]:
        columns = zip(*(schedule.rates(t) for schedule in self.schedulers), strict=True)
        return [_product(rates, base) for rates, base in zip(columns, self.bases, strict=True)]

    def momenta(self, t: int) -> list[float] | None:
        found = [momenta for schedule in self.schedulers if (momenta := schedule.momenta(t)) is not None]
        return found[-1] if found else None


def _product(rates: Sequence[float], base: float) -> float:
    return base * math.prod(rate / base for rate in rates) if base else 0.0


def _check_some(schedulers: Sequence[Schedule]) -> None:
    if not isinstance(schedulers, list | tuple):
        raise TypeError(f"schedulers: expected a list of schedules, got {type(schedulers).__name__}")
    if not schedulers:
        raise ValueError("schedulers: expected one schedule or more, got none")


def _kind(x: Any) -> str:
    return type(x).__name__
