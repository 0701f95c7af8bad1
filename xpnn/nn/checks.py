"""Checks of what layers are given: one line that names the layer, what came and what was expected."""

from __future__ import annotations

from typing import Any

from ..ops._checks import check_number

__all__ = ["check_eps", "check_features", "check_probability", "check_rank", "check_sizes"]


def check_sizes(**sizes: Any) -> None:
    """Raises unless every size is a positive integer."""
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name}: expected an integer, got {type(value).__name__}")
        if value < 1:
            raise ValueError(f"{name}: expected 1 or more, got {value}")


def check_probability(p: Any, name: str = "p") -> None:
    """Raises unless p is a number with 0 <= p <= 1."""
    check_number(name, p)
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: expected a probability in [0, 1], got {p}")


def check_eps(eps: Any, name: str = "eps") -> None:
    """Raises unless eps is a number >= 0."""
    check_number(name, eps)
    if not eps >= 0:
        raise ValueError(f"{name}: expected 0 or more, got {eps}")


def check_rank(layer: Any, x: Any, ranks: tuple[int, ...], shapes: str, argument: str = "x") -> None:
    """Raises unless x has one of the numbers of dimensions."""
    if len(_shape(layer, x, argument)) not in ranks:
        raise ValueError(f"{type(layer).__name__}: {argument} has shape {tuple(x.shape)}, expected {shapes}")


def check_features(layer: Any, x: Any, axis: int, size: int, name: str, argument: str = "x") -> None:
    """Raises unless x has ``size`` elements along ``axis``."""
    shape = _shape(layer, x, argument)
    if len(shape) < (axis + 1 if axis >= 0 else -axis) or shape[axis] != size:
        got = f"{argument} has shape {tuple(shape)}"
        raise ValueError(f"{type(layer).__name__}: {got}, expected {name} = {size} on axis {axis}")


def _shape(layer: Any, x: Any, argument: str) -> Any:
    try:
        return x.shape
    except AttributeError:
        raise TypeError(f"{type(layer).__name__}: {argument} is {type(x).__name__}, expected an array") from None
