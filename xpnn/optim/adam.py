"""Adam and AdamW."""

from __future__ import annotations

from typing import Any

from ..cuda.optimizer import Step
from ..namespace.libraries import raw_namespace
from ..ops._checks import check_flags
from .optimizer import Optimizer, check_betas, nonnegative

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015), as torch computes it; weight_decay is added to the gradient (L2).

    amsgrad (Reddi et al. 2018): the step is divided by the largest mean of squares so far, and so never grows again.
    decoupled_weight_decay: weight decay as AdamW has it.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(params, lr)
        check_flags(maximize=maximize, amsgrad=amsgrad, decoupled_weight_decay=decoupled_weight_decay)
        check_betas(betas)
        nonnegative(eps=eps, weight_decay=weight_decay)
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        self.amsgrad = amsgrad
        self.maximize = maximize
        self.decoupled_weight_decay = decoupled_weight_decay

    def start(self, p: Any) -> dict[str, Any]:
        xp = raw_namespace(p)
        return {name: xp.zeros_like(p) for name in ("mean", "square", "largest")[: 3 if self.amsgrad else 2]}

    def update(self, p: Any, g: Any, state: dict[str, Any]) -> None:
        if self.decoupled_weight_decay:
            p *= 1 - self.lr * self.weight_decay
        elif self.weight_decay:
            g = g + self.weight_decay * p
        self._move(p, g, state)

    def fused(self, fresh: bool) -> Step:
        if self.decoupled_weight_decay:
            return self._step(shrink=1 - self.lr * self.weight_decay)
        return self._step(decay=self.weight_decay)

    def unfused(self) -> str | None:
        return "amsgrad" if self.amsgrad else super().unfused()

    def _step(self, decay: float = 0.0, shrink: float = 1.0) -> Step:
        beta1, beta2 = self.betas
        return Step(
            rules=("Adam",), states=("mean", "square"), lr=self.lr / (1 - beta1**self.steps),
            keep1=beta1, take1=1 - beta1, keep2=beta2, take2=1 - beta2,
            eps=self.eps, root=(1 - beta2**self.steps) ** -0.5, decay=decay, shrink=shrink,
        )  # fmt: skip

    def _move(self, p: Any, g: Any, state: dict[str, Any]) -> None:
        xp = raw_namespace(p)
        beta1, beta2 = self.betas
        mean, square = state["mean"], state["square"]
        mean *= beta1
        mean += (1 - beta1) * g
        square *= beta2
        change = g * g
        change *= 1 - beta2
        square += change
        if self.amsgrad:
            largest = state["largest"]
            largest[...] = xp.maximum(largest, square)
            square = largest
        root = xp.sqrt(square)
        root *= (1 - beta2**self.steps) ** -0.5
        root += self.eps
        root = mean / root
        root *= self.lr / (1 - beta1**self.steps)
        p -= root


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): p shrinks by lr * weight_decay before the step."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        decoupled = {"maximize": maximize, "decoupled_weight_decay": True}
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, **decoupled)
