"""Activations behind another operation: those whose slope can be told from their value, so that a fused backward needs no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .activations import tanh
from .relu import reference as relu
from .sigmoid import reference as sigmoid

__all__ = ["activated", "check_activation"]

_ACTIVATIONS: dict[str | None, Callable[[Any], Any]] = {
    None: lambda y: y,
    "relu": relu,
    "tanh": tanh.reference,
    "sigmoid": sigmoid,
}


def activated(y: Any, activation: str | None) -> Any:
    """y behind the activation."""
    return _ACTIVATIONS[activation](y)


def check_activation(activation: str | None) -> None:
    """Raises ValueError for an activation that there is not."""
    if not isinstance(activation, str | None) or activation not in _ACTIVATIONS:
        raise ValueError(f'activation: expected None, "relu", "tanh" or "sigmoid", got {activation!r}')
