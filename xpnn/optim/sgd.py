"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from ..cuda.optimizer import Step
from ..namespace.libraries import raw_namespace
from ..ops._checks import check_flags, check_number
from .optimizer import Optimizer, nonnegative

__all__ = ["SGD"]


class SGD(Optimizer):
    """p -= lr * g, with momentum (Nesterov's if asked for) and weight decay added to the gradient, as torch has it."""

    def __init__(
        self, params: Any, lr: float = 1e-3, momentum: float = 0.0, dampening: float = 0.0, weight_decay: float = 0.0,
        nesterov: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, lr)
        check_flags(maximize=maximize, nesterov=nesterov)
        nonnegative(momentum=momentum, weight_decay=weight_decay)
        check_number("dampening", dampening)
        if nesterov and (momentum <= 0 or dampening != 0):
            got = f"momentum {momentum} and dampening {dampening}"
            raise ValueError(f"nesterov: expected momentum > 0 and dampening = 0 with it, got {got}")
        self.momentum = momentum
        self.dampening = dampening
        self.weight_decay = weight_decay
        self.nesterov = nesterov
        self.maximize = maximize

    def update(self, p: Any, g: Any, state: dict[str, Any]) -> None:
        if self.weight_decay:
            g = g + self.weight_decay * p
        if self.momentum:
            g = self._with_momentum(g, state)
        p -= self.lr * g

    def fused(self, fresh: bool) -> Step:
        return Step(
            rules=("Sgd",), states=("velocity",) if self.momentum else (), lr=self.lr, decay=self.weight_decay,
            keep1=self.momentum, take1=1 if fresh else 1 - self.dampening, nesterov=int(self.nesterov),
        )  # fmt: skip

    def _with_momentum(self, g: Any, state: dict[str, Any]) -> Any:
        velocity = state.get("velocity")
        if velocity is None:
            velocity = state["velocity"] = raw_namespace(g).asarray(g, copy=True)
        else:
            velocity *= self.momentum
            velocity += (1 - self.dampening) * g
        return g + self.momentum * velocity if self.nesterov else velocity
