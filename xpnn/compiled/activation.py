"""Activations by compiled loops: one pass forward, one backward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .loops import contiguous, refuse, share

__all__ = ["Activation", "elu", "gelu", "leaky_relu", "relu", "sigmoid", "silu", "softplus", "tanh"]


@dataclass(frozen=True)
class Activation:
    """An implementation for Primitive.add; options: names and defaults of its numbers; of_value: backward reads y."""

    kind: str
    options: tuple[tuple[str, float], ...] = ()
    of_value: bool = False
    __name__ = __name__

    def refusal(self, x: Any, **static: Any) -> str | None:
        for name, value in static.items():
            if not isinstance(value, int | float):
                return f"{name} of {type(value).__name__}"
        return refuse(x)

    def forward(self, x: Any, *, need: tuple[bool, ...], **static: Any) -> tuple[Any, Any]:
        numbers = (*(static.get(name, default) for name, default in self.options), 0.0, 0.0)
        return _forward(self.kind, contiguous(x), numbers[0], numbers[1], self.of_value, need[0])

    def backward(self, residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any]:
        return (_backward(residuals, contiguous(g)),)


@dataclass(frozen=True)
class Gelu(Activation):
    """gelu, whose option names one of two kinds."""

    def refusal(self, x: Any, *, approximate: str = "none") -> str | None:  # type: ignore[override]
        return refuse(x) if approximate in ("none", "tanh") else f"approximate {approximate}"

    def forward(self, x: Any, *, approximate: str = "none", need: tuple[bool, ...]) -> tuple[Any, Any]:  # type: ignore[override]
        kind = "gelu_tanh" if approximate == "tanh" else "gelu"
        return _forward(kind, contiguous(x), 0.0, 0.0, self.of_value, need[0])


relu = Activation("relu", of_value=True)
tanh = Activation("tanh", of_value=True)
sigmoid = Activation("sigmoid", of_value=True)
silu = Activation("silu")
gelu = Gelu("gelu")
softplus = Activation("softplus", (("beta", 1.0), ("threshold", 20.0)))
elu = Activation("elu", (("alpha", 1.0),))
leaky_relu = Activation("leaky_relu", (("negative_slope", 0.01),))


def _forward(kind: str, x: Any, a: float, b: float, of_value: bool, need: bool) -> tuple[Any, Any]:
    from .activation_loops import LOOPS

    y = np.empty(x.shape, x.dtype)
    share(LOOPS[kind][0], x.size, (x.reshape(-1), y.reshape(-1)), np.float32(a), np.float32(b))
    return y, (kind, y if of_value else x, a, b) if need else None


def _backward(residuals: Any, g: Any) -> Any:
    from .activation_loops import LOOPS

    kind, saved, a, b = residuals
    dx = np.empty(saved.shape, saved.dtype)
    shared = (saved.reshape(-1), g.reshape(-1), dx.reshape(-1))
    share(LOOPS[kind][1], g.size, shared, np.float32(a), np.float32(b))
    return dx
