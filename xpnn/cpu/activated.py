"""Activations behind another operation, for NumPy: in place forward, by the slope that their value tells backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .pointwise import sigmoid_into

__all__ = ["ACTIVATIONS", "activate", "pulled"]

_APPLY: dict[str, Callable[[Any], Any]] = {
    "relu": lambda y: np.maximum(y, 0, out=y),
    "tanh": lambda y: np.tanh(y, y),
    "sigmoid": lambda y: sigmoid_into(y, y),
}
_SLOPE: dict[str, Callable[[Any], Any]] = {
    "relu": lambda y: y > 0,
    "tanh": lambda y: 1 - y * y,
    "sigmoid": lambda y: y * (1 - y),
}
ACTIVATIONS = frozenset((None, *_APPLY))


def activate(y: Any, activation: str | None) -> None:
    """y = activation(y)."""
    if activation is not None:
        _APPLY[activation](y)


def pulled(g: Any, y: Any, activation: str | None) -> Any:
    """The gradient before the activation, of that behind it, whose value is y; without one g itself."""
    return g if activation is None else g * _SLOPE[activation](y)
