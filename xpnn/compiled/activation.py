"""Activations by compiled loops: one pass forward, one backward; also behind another operation, whose output is theirs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..cpu.activation_kinds import Activation, every
from .loops import contiguous, refuse, share

__all__ = [
    "activate",
    "activate_part",
    "elu",
    "gelu",
    "leaky_relu",
    "pulled",
    "relu",
    "sigmoid",
    "silu",
    "softplus",
    "tanh",
]


class Loop(Activation):
    """Of one of the LOOPS."""

    __name__ = __name__

    def refuse(self, x: Any) -> str | None:
        return refuse(x)

    def apply(self, kind: str, x: Any, a: float, b: float) -> tuple[Any, Any]:
        x = contiguous(x)
        y = np.empty(x.shape, x.dtype)
        _fill(y, kind, x, a, b)
        return x, y

    def pull(self, kind: str, saved: Any, a: float, b: float, g: Any) -> Any:
        return _pulled(kind, saved, a, b, contiguous(g))


relu, tanh, sigmoid, silu, gelu, softplus, elu, leaky_relu = every(Loop)


def activate(y: Any, activation: str | None) -> None:
    """y = activation(y), contiguous."""
    if activation is not None:
        _fill(y, activation, y)


def activate_part(part: Any, activation: str | None) -> None:
    """The same, in the thread that has just computed the part."""
    if activation is not None:
        from .activation_loops import LOOPS

        flat = part.reshape(-1)
        LOOPS[activation][0](flat, flat, np.float32(0), np.float32(0))


def pulled(g: Any, y: Any, activation: str | None) -> Any:
    """The gradient before the activation, of that behind it, whose value is y, both contiguous; without one g itself."""
    return g if activation is None else _pulled(activation, y, 0.0, 0.0, g)


def _fill(y: Any, kind: str, x: Any, a: float = 0.0, b: float = 0.0) -> None:
    from .activation_loops import LOOPS

    share(LOOPS[kind][0], x.size, (x.reshape(-1), y.reshape(-1)), np.float32(a), np.float32(b))


def _pulled(kind: str, saved: Any, a: float, b: float, g: Any) -> Any:
    from .activation_loops import LOOPS

    dx = np.empty(saved.shape, saved.dtype)
    shared = (saved.reshape(-1), g.reshape(-1), dx.reshape(-1))
    share(LOOPS[kind][1], g.size, shared, np.float32(a), np.float32(b))
    return dx
