"""LAMB."""

from __future__ import annotations

from typing import Any

from ..cuda.optimizer import Step
from ..namespace.libraries import raw_namespace
from ..ops._checks import check_flags
from .optimizer import Optimizer, check_betas, nonnegative

__all__ = ["LAMB"]


class LAMB(Optimizer):
    """LAMB (You et al. 2020, algorithm 2): Adam's step, made as long as the array itself, for training in large batches.

    u = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay * p,   p -= lr * |p| / |u| * u

    The norms are those of a whole array; the ratio is 1 where one of them is 0. phi of the paper is the identity.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 1e-2,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr)
        check_flags(maximize=maximize)
        check_betas(betas)
        nonnegative(eps=eps, weight_decay=weight_decay)
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        self.maximize = maximize

    def start(self, p: Any) -> dict[str, Any]:
        xp = raw_namespace(p)
        return {"mean": xp.zeros_like(p), "square": xp.zeros_like(p)}

    def update(self, p: Any, g: Any, state: dict[str, Any]) -> None:
        xp = raw_namespace(p)
        beta1, beta2 = self.betas
        mean, square = state["mean"], state["square"]
        mean *= beta1
        mean += (1 - beta1) * g
        square *= beta2
        square += (1 - beta2) * g * g
        root = xp.sqrt(square) * (1 - beta2**self.steps) ** -0.5 + self.eps
        change = mean / root / (1 - beta1**self.steps) + self.weight_decay * p
        p -= self.lr * _ratio(xp, p, change) * change

    def fused(self, fresh: bool) -> Step:
        beta1, beta2 = self.betas
        return Step(
            rules=("LambMoments", "LambStep"), states=("mean", "square"), lr=self.lr, decay=self.weight_decay,
            keep1=beta1, take1=1 - beta1, keep2=beta2, take2=1 - beta2,
            eps=self.eps, root=(1 - beta2**self.steps) ** -0.5, unbias=1 / (1 - beta1**self.steps),
        )  # fmt: skip


def _ratio(xp: Any, p: Any, change: Any) -> Any:
    """|p| / |change|, or 1 where one of them is 0; a 0-d array."""
    ours, theirs = xp.sqrt(xp.sum(p * p)), xp.sqrt(xp.sum(change * change))
    one = xp.ones_like(ours)
    both = (ours > 0) & (theirs > 0)
    return xp.where(both, ours, one) / xp.where(both, theirs, one)
