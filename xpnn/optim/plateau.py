"""ReduceLROnPlateau."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..ops._checks import check_number, check_word
from .optimizer import Optimizer, check_state, nonnegative
from .schedules import per_group

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau:
    """The rate times factor when a metric has not improved for more than patience calls of step(metric), as torch has it.

    To improve is to be below best * (1 - threshold) ("rel") or best - threshold ("abs"); with mode "max" above them, signs
    turned. After a reduction, cooldown calls do not count. Rates stay at min_lr (a number, or a list, one for each
    group) or above, and changes below eps are not made.
    """

    def __init__(
        self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10, threshold: float = 1e-4,
        threshold_mode: str = "rel", cooldown: int = 0, min_lr: float | Sequence[float] = 0.0, eps: float = 1e-8,
    ) -> None:  # fmt: skip
        self.min_lrs = per_group("min_lr", min_lr, optimizer)
        check_word("mode", mode, "min", "max")
        check_word("threshold_mode", threshold_mode, "rel", "abs")
        nonnegative(**{f"min_lr {i}": x for i, x in enumerate(self.min_lrs)})
        check_number("factor", factor)
        if not 0 <= factor < 1:
            raise ValueError(f"factor: expected a number in [0, 1), got {factor}")
        nonnegative(patience=patience, threshold=threshold, cooldown=cooldown, eps=eps)
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.eps = eps
        self.best = math.inf if mode == "min" else -math.inf
        self.waited = 0
        self.resting = 0

    def step(self, metric: Any) -> None:
        """Takes the metric of an epoch, a number or an array of shape (), and sets the learning rate of the next."""
        try:
            value = float(metric)
        except (TypeError, ValueError):
            raise TypeError(f"metric: expected a number, got {type(metric).__name__}") from None
        better = self._improved(value)
        self.best = value if better else self.best
        self.waited = 0 if better else self.waited + 1
        if self.resting > 0:
            self.resting -= 1
            self.waited = 0
        if self.waited > self.patience:
            self._reduce()
            self.resting, self.waited = self.cooldown, 0

    def _improved(self, value: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        margin = sign * self.threshold
        bound = self.best * (1 + margin) if self.threshold_mode == "rel" else self.best + margin
        return value < bound if self.mode == "min" else value > bound

    def _reduce(self) -> None:
        for part, least in zip(self.optimizer.parts, self.min_lrs, strict=True):
            rate = max(part.lr * self.factor, least)
            if part.lr - rate > self.eps:
                part.lr = rate

    def state_dict(self) -> dict[str, Any]:
        rates = [part.lr for part in self.optimizer.parts]
        return {"best": self.best, "waited": self.waited, "resting": self.resting, "rates": rates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what state_dict returned, and sets the learning rate."""
        check_state(state, "best", "waited", "resting", "rates")
        if len(state["rates"]) != len(self.min_lrs):
            raise ValueError(f"state: expected the rates of {len(self.min_lrs)} groups, got {len(state['rates'])}")
        self.best, self.waited, self.resting = state["best"], state["waited"], state["resting"]
        for part, rate in zip(self.optimizer.parts, state["rates"], strict=True):
            part.lr = rate
