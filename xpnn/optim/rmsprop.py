"""RMSprop."""

from __future__ import annotations

from typing import Any

from ..cuda.optimizer import Step
from ..namespace.libraries import raw_namespace
from ..ops._checks import check_flags, check_number
from .optimizer import Optimizer, nonnegative

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """RMSprop (Hinton 2012), as torch computes it; weight_decay is added to the gradient (L2).

    centered (Graves 2013): the gradient is divided by an estimate of its standard deviation in place of its root mean
    square. A variance that comes out below 0 by rounding counts as 0, which torch would make nan.
    """

    def __init__(
        self, params: Any, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0.0,
        momentum: float = 0.0, centered: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, lr)
        check_flags(maximize=maximize, centered=centered)
        check_number("alpha", alpha)
        if not 0 <= alpha < 1:
            raise ValueError(f"alpha: expected a number in [0, 1), got {alpha}")
        nonnegative(eps=eps, weight_decay=weight_decay, momentum=momentum)
        self.alpha = alpha
        self.eps = eps
        self.weight_decay = weight_decay
        self.momentum = momentum
        self.centered = centered
        self.maximize = maximize

    def start(self, p: Any) -> dict[str, Any]:
        xp = raw_namespace(p)
        return {name: xp.zeros_like(p) for name in self._states() if name is not None}

    def update(self, p: Any, g: Any, state: dict[str, Any]) -> None:
        if self.weight_decay:
            g = g + self.weight_decay * p
        square = state["square"]
        square *= self.alpha
        square += (1 - self.alpha) * g * g
        change = g / self._root(g, state)
        if self.momentum:
            velocity = state["velocity"]
            velocity *= self.momentum
            velocity += change
            change = velocity
        p -= self.lr * change

    def fused(self, fresh: bool) -> Step:
        return Step(
            rules=("RmsProp",), states=self._states(), lr=self.lr, decay=self.weight_decay, keep1=self.momentum,
            keep2=self.alpha, take2=1 - self.alpha, eps=self.eps,
        )  # fmt: skip

    def _root(self, g: Any, state: dict[str, Any]) -> Any:
        xp = raw_namespace(g)
        if not self.centered:
            return xp.sqrt(state["square"]) + self.eps
        mean = state["mean"]
        mean += (1 - self.alpha) * (g - mean)
        return xp.sqrt(xp.maximum(state["square"] - mean * mean, xp.zeros_like(mean))) + self.eps

    def _states(self) -> tuple[str | None, ...]:
        return "square", "mean" if self.centered else None, "velocity" if self.momentum else None
