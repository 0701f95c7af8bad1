"""Lion."""

from __future__ import annotations

from typing import Any

from ..cuda.optimizer import Step
from ..namespace.libraries import raw_namespace
from ..ops._checks import check_flags
from .optimizer import Optimizer, check_betas, nonnegative

__all__ = ["Lion"]


class Lion(Optimizer):
    """Lion (Chen et al. 2023, algorithm 2): a step of lr in the direction of the sign of a mean of gradients.

    The weight decay is decoupled, as AdamW's. Its authors take an lr 3 to 10 times smaller than AdamW's, and a
    weight_decay as many times larger.
    """

    def __init__(
        self, params: Any, lr: float = 1e-4, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0, *,
        maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, lr)
        check_flags(maximize=maximize)
        check_betas(betas)
        nonnegative(weight_decay=weight_decay)
        self.betas = betas
        self.weight_decay = weight_decay
        self.maximize = maximize

    def start(self, p: Any) -> dict[str, Any]:
        return {"mean": raw_namespace(p).zeros_like(p)}

    def update(self, p: Any, g: Any, state: dict[str, Any]) -> None:
        xp = raw_namespace(p)
        beta1, beta2 = self.betas
        mean = state["mean"]
        direction = xp.sign(beta1 * mean + (1 - beta1) * g)
        mean *= beta2
        mean += (1 - beta2) * g
        p *= 1 - self.lr * self.weight_decay
        p -= self.lr * direction

    def fused(self, fresh: bool) -> Step:
        beta1, beta2 = self.betas
        return Step(
            rules=("Lion",), states=("mean",), lr=self.lr, shrink=1 - self.lr * self.weight_decay,
            keep1=beta1, take1=1 - beta1, keep2=beta2, take2=1 - beta2,
        )  # fmt: skip
