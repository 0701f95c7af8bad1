"""Variants of Adam: Adamax, NAdam, RAdam."""

from __future__ import annotations

import math
from typing import Any

from ..namespace.libraries import array_device, raw_namespace
from ..ops._checks import check_flags
from .optimizer import Optimizer, check_betas, nonnegative

__all__ = ["Adamax", "NAdam", "RAdam"]


class Adamax(Optimizer):
    """Adamax (Kingma & Ba 2015, section 7.1), as torch computes it: Adam with a decaying maximum in place of the root.

    weight_decay is added to the gradient (L2).
    """

    def __init__(
        self, params: Any, lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, *, maximize: bool = False,
    ) -> None:  # fmt: skip
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
        return {"mean": xp.zeros_like(p), "largest": xp.zeros_like(p)}

    def update(self, p: Any, g: Any, state: dict[str, Any]) -> None:
        xp = raw_namespace(p)
        beta1, beta2 = self.betas
        if self.weight_decay:
            g = g + self.weight_decay * p
        mean, largest = state["mean"], state["largest"]
        mean *= beta1
        mean += (1 - beta1) * g
        largest[...] = xp.maximum(beta2 * largest, xp.abs(g) + self.eps)
        p -= self.lr / (1 - beta1**self.steps) * mean / largest


class _Decayed(Optimizer):
    """What NAdam and RAdam share: mean and mean of squares of the gradients, and two kinds of weight decay."""

    betas: tuple[float, float]
    eps: float
    weight_decay: float
    decoupled_weight_decay: bool

    def start(self, p: Any) -> dict[str, Any]:
        xp = raw_namespace(p)
        return {"mean": xp.zeros_like(p), "square": xp.zeros_like(p)}

    def _moments(self, p: Any, g: Any, state: dict[str, Any]) -> tuple[Any, Any, Any]:
        """Weight decay and the new means: (gradient, mean, mean of squares)."""
        beta1, beta2 = self.betas
        if self.weight_decay and self.decoupled_weight_decay:
            p *= 1 - self.lr * self.weight_decay
        elif self.weight_decay:
            g = g + self.weight_decay * p
        mean, square = state["mean"], state["square"]
        mean *= beta1
        mean += (1 - beta1) * g
        square *= beta2
        square += (1 - beta2) * g * g
        return g, mean, square


class NAdam(_Decayed):
    """Adam with Nesterov's momentum (Dozat 2016), as torch computes it.

    The momentum of step t is mu_t = beta1 * (1 - 0.96**(t * momentum_decay) / 2). weight_decay is added to the gradient
    (L2), or shrinks p by lr * weight_decay before the step if it is decoupled, as AdamW's.
    """

    def __init__(
        self, params: Any, lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, momentum_decay: float = 4e-3, decoupled_weight_decay: bool = False, *,
        maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, lr)
        check_flags(maximize=maximize, decoupled_weight_decay=decoupled_weight_decay)
        check_betas(betas)
        nonnegative(eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay)
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        self.momentum_decay = momentum_decay
        self.decoupled_weight_decay = decoupled_weight_decay
        self.maximize = maximize

    def start(self, p: Any) -> dict[str, Any]:
        """The product of all mu_t is an array of shape (), which a GPU need not be waited for."""
        product = raw_namespace(p).ones((), dtype=p.dtype, device=array_device(p))
        return {**super().start(p), "product": product}

    def update(self, p: Any, g: Any, state: dict[str, Any]) -> None:
        xp = raw_namespace(p)
        g, mean, square = self._moments(p, g, state)
        mu, following = self._momentum(self.steps), self._momentum(self.steps + 1)
        product = state["product"]
        product *= mu
        root = xp.sqrt(square / (1 - self.betas[1] ** self.steps)) + self.eps
        p -= self.lr * (1 - mu) / (1 - product) * g / root
        p -= self.lr * following / (1 - product * following) * mean / root

    def _momentum(self, t: int) -> float:
        return self.betas[0] * float(1 - 0.5 * 0.96 ** (t * self.momentum_decay))


class RAdam(_Decayed):
    """Adam with a rectified variance (Liu et al. 2020), as torch computes it: without the root where that is not known yet.

    weight_decay is added to the gradient (L2), or shrinks p by lr * weight_decay before the step if it is decoupled, as
    AdamW's.
    """

    def __init__(
        self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, decoupled_weight_decay: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, lr)
        check_flags(maximize=maximize, decoupled_weight_decay=decoupled_weight_decay)
        check_betas(betas)
        nonnegative(eps=eps, weight_decay=weight_decay)
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        self.decoupled_weight_decay = decoupled_weight_decay
        self.maximize = maximize

    def update(self, p: Any, g: Any, state: dict[str, Any]) -> None:
        xp = raw_namespace(p)
        _, mean, square = self._moments(p, g, state)
        rate = self.lr / (1 - self.betas[0] ** self.steps)
        rectified = self._rectification()
        p -= rate * mean if rectified is None else rate * rectified * mean / (xp.sqrt(square) + self.eps)

    def _rectification(self) -> float | None:
        """The factor of the step, times the root of the bias correction; None while the variance has no finite mean."""
        beta2, t = self.betas[1], self.steps
        unbias = 1 - beta2**t
        last = 2 / (1 - beta2) - 1
        length = last - 2 * t * beta2**t / unbias
        if length <= 5:
            return None
        return math.sqrt(unbias * (length - 4) * (length - 2) * last / ((last - 4) * (last - 2) * length))
