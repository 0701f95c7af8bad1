"""Schedules that go up to a highest learning rate and down again: once, or over and over."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..ops._checks import check_flags, check_number, check_whole, check_word
from .optimizer import Optimizer, nonnegative
from .schedules import Schedule, cosine, fraction, per_group, positive

__all__ = ["CyclicLR", "OneCycleLR"]


class _Cycle(Schedule):
    """A schedule that moves the momentum, too: down as the rate goes up, and up again as it goes down.

    cycle_momentum=False leaves it alone. The momentum of an optimiser with betas is the first of them; base_momentum and
    max_momentum may be lists, one for each group.
    """

    def _set_momenta(self, optimizer: Optimizer, cycle_momentum: bool, base_momentum: Any, max_momentum: Any) -> None:
        check_flags(cycle_momentum=cycle_momentum)
        self.cycle_momentum = cycle_momentum
        self.base_momenta = per_group("base_momentum", base_momentum, optimizer)
        self.max_momenta = per_group("max_momentum", max_momentum, optimizer)
        for name, values in (("base_momentum", self.base_momenta), ("max_momentum", self.max_momenta)):
            for value in values:
                check_number(name, value)
                if not 0 <= value < 1:
                    raise ValueError(f"{name}: expected a number in [0, 1), got {value}")
        for part in optimizer.parts:
            if cycle_momentum and not hasattr(part, "betas") and not hasattr(part, "momentum"):
                got = f"{type(part).__name__}, which takes False only"
                raise ValueError(f"cycle_momentum: expected an optimiser with momentum or betas, got {got}")


class OneCycleLR(_Cycle):
    """Up from max_lr/div_factor to max_lr in the first part, then down to a tiny rate (Smith 2018).

    The rates and the momentum of torch's OneCycleLR: cycle_momentum moves the momentum from max_momentum down to base_momentum
    and up again. max_lr may be a list, one for each group. The steps are total_steps, or
    epochs * steps_per_epoch. anneal_strategy: "cos" for half cosines, "linear" for lines. three_phase: down to the first rate in as
    many steps as up, and only then to the tiny one.
    """

    def __init__(
        self, optimizer: Optimizer, max_lr: float | Sequence[float], total_steps: int | None = None,
        epochs: int | None = None, steps_per_epoch: int | None = None, pct_start: float = 0.3, anneal_strategy: str = "cos",
        cycle_momentum: bool = True, base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95, div_factor: float = 25.0, final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:  # fmt: skip
        self.total_steps = _steps(total_steps, epochs, steps_per_epoch)
        fraction(pct_start=pct_start)
        positive(div_factor=div_factor, final_div_factor=final_div_factor)
        check_word("anneal_strategy", anneal_strategy, "cos", "linear")
        check_flags(three_phase=three_phase)
        self.max_lrs = per_group("max_lr", max_lr, optimizer)
        nonnegative(**{f"max_lr {i}": x for i, x in enumerate(self.max_lrs)})
        self.anneal = cosine if anneal_strategy == "cos" else _line
        self.div_factor = div_factor
        self.final_div_factor = final_div_factor
        self.three_phase = three_phase
        self.peak = pct_start * self.total_steps - 1
        self._set_momenta(optimizer, cycle_momentum, base_momentum, max_momentum)
        super().__init__(optimizer)

    def rates(self, t: int) -> list[float]:
        return [self.rate(t, max_lr) for max_lr in self.max_lrs]

    def rate(self, t: int, base: float) -> float:
        """Of max_lr in place of the base."""
        first = base / self.div_factor
        return self._at(t, first, base, first / self.final_div_factor)

    def momenta(self, t: int) -> list[float] | None:
        if not self.cycle_momentum:
            return None
        return [self._at(t, m, low, m) for low, m in zip(self.base_momenta, self.max_momenta, strict=True)]

    def _at(self, t: int, first: float, peak: float, last: float) -> float:
        """From first to peak, back to first if there are three phases, and to last."""
        phases = [(self.peak, first, peak)]
        if self.three_phase:
            phases.append((2 * self.peak, peak, first))
        begin = 0.0
        for end, start, stop in phases:
            if t <= end:
                return self.anneal(start, stop, (t - begin) / (end - begin) if end > begin else 1.0)
            begin = end
        rest = self.total_steps - 1 - begin
        start = first if self.three_phase else peak
        return self.anneal(start, last, min((t - begin) / rest, 1.0) if rest > 0 else 1.0)


class CyclicLR(_Cycle):
    """Up from base_lr to max_lr along a line and down again, over and over (Smith 2017).

    step_size_up and step_size_down (None: the same) steps. mode: "triangular"; "triangular2", with half the height at each
    cycle; "exp_range", with the height times gamma at each step. scale_fn: a height of one's own, a function of the number of
    the cycle from 1 on (scale_mode "cycle") or of the steps ("iterations"); then mode is not heeded. cycle_momentum moves
    the momentum from max_momentum down to base_momentum and up again.
    """

    def __init__(
        self, optimizer: Optimizer, base_lr: float | Sequence[float], max_lr: float | Sequence[float],
        step_size_up: int = 2000, step_size_down: int | None = None, mode: str = "triangular", gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None, scale_mode: str = "cycle", cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.8, max_momentum: float | Sequence[float] = 0.9,
    ) -> None:  # fmt: skip
        if scale_fn is None:
            check_word("mode", mode, *_HEIGHTS)
        elif not callable(scale_fn):
            raise TypeError(f"scale_fn: expected a function or None, got {type(scale_fn).__name__}")
        check_word("scale_mode", scale_mode, "cycle", "iterations")
        positive(step_size_up=step_size_up, step_size_down=step_size_up if step_size_down is None else step_size_down)
        check_number("gamma", gamma)
        self.base_lrs = per_group("base_lr", base_lr, optimizer)
        self.max_lrs = per_group("max_lr", max_lr, optimizer)
        nonnegative(**{f"base_lr {i}": x for i, x in enumerate(self.base_lrs)})
        nonnegative(**{f"max_lr {i}": x for i, x in enumerate(self.max_lrs)})
        self.total_size = step_size_up + (step_size_up if step_size_down is None else step_size_down)
        self.step_ratio = step_size_up / self.total_size
        self.mode = mode
        self.gamma = gamma
        self.scale_fn = scale_fn
        self.scale_mode = scale_mode
        self._set_momenta(optimizer, cycle_momentum, base_momentum, max_momentum)
        super().__init__(optimizer)

    def rates(self, t: int) -> list[float]:
        height = self._part(t)
        return [base + (top - base) * height for base, top in zip(self.base_lrs, self.max_lrs, strict=True)]

    def momenta(self, t: int) -> list[float] | None:
        if not self.cycle_momentum:
            return None
        height = self._part(t)
        return [top - (top - base) * height for base, top in zip(self.base_momenta, self.max_momenta, strict=True)]

    def _part(self, t: int) -> float:
        """How far from base_lr to max_lr."""
        cycle = math.floor(1 + t / self.total_size)
        x = 1 + t / self.total_size - cycle
        part = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        return part * self._height(cycle, t)

    def _height(self, cycle: int, t: int) -> float:
        if self.scale_fn is not None:
            return self.scale_fn(cycle if self.scale_mode == "cycle" else t)
        return _HEIGHTS[self.mode](cycle, t, self.gamma)


# Of the cycle, the steps and gamma.
_HEIGHTS: dict[str, Callable[[int, int, float], float]] = {
    "triangular": lambda cycle, t, gamma: 1.0,
    "triangular2": lambda cycle, t, gamma: 0.5 ** (cycle - 1),
    "exp_range": lambda cycle, t, gamma: float(gamma**t),
}


def _steps(total: int | None, epochs: int | None, each: int | None) -> int:
    """The number of all steps."""
    if total is None:
        if epochs is None or each is None:
            raise ValueError("total_steps: expected it, or epochs and steps_per_epoch")
        check_whole("epochs", epochs)
        check_whole("steps_per_epoch", each)
        positive(epochs=epochs, steps_per_epoch=each)
        total = epochs * each
    check_whole("total_steps", total)
    if total < 2:
        raise ValueError(f"total_steps: expected 2 or more, got {total}")
    return total


def _line(start: float, end: float, done: float) -> float:
    return (end - start) * done + start
