"""Muon."""

from __future__ import annotations

import math
from typing import Any

from .. import tree
from ..namespace.libraries import is_array, raw_namespace
from ..ops._checks import check_flags, check_number, check_whole
from .optimizer import Optimizer, nonnegative

__all__ = ["Muon"]

_ADJUSTMENTS = (None, "original", "match_rms_adamw")


class Muon(Optimizer):
    """Muon (Jordan 2024), with torch's arguments: momentum, made nearly orthogonal by ns_steps of a Newton-Schulz iteration.

    For matrices, arrays of 2 axes; all others are refused, and belong to another optimiser. adjust_lr_fn: the rate times
    sqrt(max(1, rows / columns)) ("original", the default), or 0.2 * sqrt(max(rows, columns)), which makes steps as
    long as AdamW's ("match_rms_adamw", Liu et al. 2025). The weight decay is decoupled, as AdamW's. The iteration is
    computed in the array's dtype, and in float32 for shorter ones, where torch takes bfloat16.
    """

    def __init__(
        self, params: Any, lr: float = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95, nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315), eps: float = 1e-7, ns_steps: int = 5,
        adjust_lr_fn: str | None = None, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, lr)
        check_flags(maximize=maximize, nesterov=nesterov)
        _check_matrices(params)
        nonnegative(weight_decay=weight_decay, momentum=momentum, eps=eps, ns_steps=ns_steps)
        check_whole("ns_steps", ns_steps)
        if not isinstance(ns_coefficients, tuple | list) or len(ns_coefficients) != 3:
            raise ValueError(f"ns_coefficients: expected three numbers, got {ns_coefficients}")
        for value in ns_coefficients:
            check_number("ns_coefficients", value)
        if not isinstance(adjust_lr_fn, str | None) or adjust_lr_fn not in _ADJUSTMENTS:
            raise ValueError(f"adjust_lr_fn: expected None, 'original' or 'match_rms_adamw', got {adjust_lr_fn!r}")
        self.weight_decay = weight_decay
        self.momentum = momentum
        self.nesterov = nesterov
        self.ns_coefficients = ns_coefficients
        self.eps = eps
        self.ns_steps = ns_steps
        self.adjust_lr_fn = adjust_lr_fn
        self.maximize = maximize

    def start(self, p: Any) -> dict[str, Any]:
        return {"mean": raw_namespace(p).zeros_like(p)}

    def update(self, p: Any, g: Any, state: dict[str, Any]) -> None:
        mean = state["mean"]
        mean *= self.momentum
        mean += (1 - self.momentum) * g
        direction = (1 - self.momentum) * g + self.momentum * mean if self.nesterov else mean
        p *= 1 - self.lr * self.weight_decay
        p -= self._rate(*p.shape) * self._orthogonal(direction)

    def _orthogonal(self, x: Any) -> Any:
        """x (M, N) with its singular values brought near 1: x <- a x + (b x xᵀ + c (x xᵀ)²) x, the shorter axis first."""
        xp = raw_namespace(x)
        a, b, c = self.ns_coefficients
        tall = x.shape[0] > x.shape[1]
        x = x.T if tall else x
        norm = xp.sqrt(xp.sum(x * x))
        x = x / xp.maximum(norm, xp.full_like(norm, self.eps))
        for _ in range(self.ns_steps):
            gram = x @ x.T
            x = a * x + (b * gram + c * gram @ gram) @ x
        return x.T if tall else x

    def _rate(self, rows: int, columns: int) -> float:
        if self.adjust_lr_fn == "match_rms_adamw":
            return self.lr * 0.2 * math.sqrt(max(rows, columns))
        return self.lr * math.sqrt(max(1.0, rows / max(columns, 1)))


def _check_matrices(params: Any) -> None:
    for name, x in tree.flatten(params):
        if is_array(x) and x.ndim != 2:
            raise ValueError(
                f"params: Muon takes arrays of 2 axes, got {name} of shape {x.shape}; give it to another optimiser"
            )
