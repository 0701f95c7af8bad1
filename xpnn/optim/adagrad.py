"""Adagrad and Adadelta."""

from __future__ import annotations

from typing import Any

from ..namespace.libraries import raw_namespace
from ..ops._checks import check_flags, check_number
from .optimizer import Optimizer, nonnegative

__all__ = ["Adadelta", "Adagrad"]


class Adagrad(Optimizer):
    """Adagrad (Duchi et al. 2011), as torch computes it: the gradient over the root of the sum of all squares so far.

    lr_decay: the rate of step t is lr / (1 + (t - 1) * lr_decay). weight_decay is added to the gradient (L2).
    """

    def __init__(
        self, params: Any, lr: float = 1e-2, lr_decay: float = 0.0, weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0, eps: float = 1e-10, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, lr)
        check_flags(maximize=maximize)
        nonnegative(
            lr_decay=lr_decay, weight_decay=weight_decay, initial_accumulator_value=initial_accumulator_value, eps=eps
        )
        self.lr_decay = lr_decay
        self.weight_decay = weight_decay
        self.initial_accumulator_value = initial_accumulator_value
        self.eps = eps
        self.maximize = maximize

    def start(self, p: Any) -> dict[str, Any]:
        return {"sum": raw_namespace(p).full_like(p, self.initial_accumulator_value)}

    def update(self, p: Any, g: Any, state: dict[str, Any]) -> None:
        xp = raw_namespace(p)
        if self.weight_decay:
            g = g + self.weight_decay * p
        squares = state["sum"]
        squares += g * g
        rate = self.lr / (1 + (self.steps - 1) * self.lr_decay)
        p -= rate * g / (xp.sqrt(squares) + self.eps)


class Adadelta(Optimizer):
    """Adadelta (Zeiler 2012), as torch computes it: steps as long as the root mean square of the steps before.

    weight_decay is added to the gradient (L2).
    """

    def __init__(
        self, params: Any, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0, *,
        maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, lr)
        check_flags(maximize=maximize)
        check_number("rho", rho)
        if not 0 <= rho <= 1:
            raise ValueError(f"rho: expected a number in [0, 1], got {rho}")
        nonnegative(eps=eps, weight_decay=weight_decay)
        self.rho = rho
        self.eps = eps
        self.weight_decay = weight_decay
        self.maximize = maximize

    def start(self, p: Any) -> dict[str, Any]:
        xp = raw_namespace(p)
        return {"square": xp.zeros_like(p), "change": xp.zeros_like(p)}

    def update(self, p: Any, g: Any, state: dict[str, Any]) -> None:
        xp = raw_namespace(p)
        if self.weight_decay:
            g = g + self.weight_decay * p
        square, before = state["square"], state["change"]
        square *= self.rho
        square += (1 - self.rho) * g * g
        change = xp.sqrt(before + self.eps) / xp.sqrt(square + self.eps) * g
        before *= self.rho
        before += (1 - self.rho) * change * change
        p -= self.lr * change
