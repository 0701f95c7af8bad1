"""batch_norm and batch_norm_eval by compiled loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..cpu import batch_norm as plain
from ..cpu import batch_norm_eval as plain_eval
from . import channels
from .activation import activate, pulled
from .loops import contiguous, refuse

__all__ = ["evaluation", "training"]


class Training:
    """An implementation for Primitive.add, of batch_norm."""

    __name__ = __name__

    def refusal(self, x: Any, weight: Any, bias: Any, **static: Any) -> str | None:
        return refuse(x, weight, bias) or plain.refusal(x, weight, bias, **static)

    def forward(
        self, x: Any, weight: Any, bias: Any, *, eps: float = 1e-5, activation: str | None = None,
        need: tuple[bool, ...],
    ) -> tuple[Any, Any]:  # fmt: skip
        x = contiguous(x)
        near, rest, var = channels.moments(x)
        inverse = 1 / np.sqrt(var + np.float32(eps))
        scale = inverse if weight is None else inverse * weight
        y = channels.affine(x, near, scale, -rest * scale if bias is None else bias - rest * scale)
        activate(y, activation)
        kept = (x, y if activation else None, near, rest, inverse, scale, activation)
        return (y, near + rest, var), kept if True in need else None

    def backward(self, residuals: Any, gs: Any, need: Sequence[bool]) -> tuple[Any, Any, Any]:
        x, y, near, rest, inverse, scale, activation = residuals
        g, dmean, dvar = gs
        g = np.zeros_like(x) if g is None else pulled(contiguous(g), y, activation)
        total, along = channels.sums(x, g, near)
        along = along - rest * total
        dx = None
        if need[0]:
            count = np.float32(x.size // x.shape[1])
            slope = -scale * inverse * inverse * along / count
            offset = -scale * total / count
            if dvar is not None:
                slope = slope + 2 * dvar / count
            offset = offset - rest * slope
            if dmean is not None:
                offset = offset + dmean / count
            dx = channels.pull(x, g, near, scale, slope, offset)
        return dx, along * inverse if need[1] else None, total if need[2] else None


class Evaluation:
    """An implementation for Primitive.add, of batch_norm_eval."""

    __name__ = __name__

    def refusal(self, x: Any, *statistics: Any, **static: Any) -> str | None:
        return refuse(x, *statistics) or plain_eval.refusal(x, *statistics, **static)

    def forward(
        self, x: Any, mean: Any, var: Any, weight: Any, bias: Any, *, eps: float = 1e-5, activation: str | None = None,
        need: tuple[bool, ...],
    ) -> tuple[Any, Any]:  # fmt: skip
        x, mean = contiguous(x), contiguous(mean)
        inverse = 1 / np.sqrt(var + np.float32(eps))
        scale = inverse if weight is None else inverse * weight
        y = channels.affine(x, mean, scale, np.zeros_like(mean) if bias is None else contiguous(bias))
        activate(y, activation)
        return y, (x, y if activation else None, mean, inverse, scale, activation) if True in need else None

    def backward(self, residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, ...]:
        x, y, mean, inverse, scale, activation = residuals
        g = pulled(contiguous(g), y, activation)
        zeros = np.zeros_like(mean)
        dx = channels.affine(g, zeros, scale, zeros) if need[0] else None
        if True not in need[1:]:
            return dx, None, None, None, None
        total, along = channels.sums(x, g, mean)
        gradients = -scale * total, along * scale * inverse * inverse / -2, along * inverse, total
        return dx, *(d if wanted else None for d, wanted in zip(gradients, need[1:], strict=True))


training, evaluation = Training(), Evaluation()
