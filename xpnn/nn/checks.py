"""Checks of what layers are given: one line that names the layer, what came and what was expected."""

from __future__ import annotations

from typing import Any

from ..ops._checks import check_number, check_probability

__all__ = ["check_eps", "check_features", "check_probability", "check_rank", "check_sizes", "pair_of_states"]


def check_sizes(**sizes: Any) -> None:
    """Raises unless every size is a positive integer."""
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name}: expected an integer, got {type(value).__name__}")
        if value < 1:
            raise ValueError(f"{name}: expected 1 or more, got {value}")


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


def pair_of_states(state: Any, names: str) -> list[Any]:
    """The two states of a pair, [None, None] of none; TypeError, with their names, for what is no pair."""
    if state is None:
        return [None, None]
    if not isinstance(state, tuple | list) or len(state) != 2:
        got = f"{type(state).__name__} of {len(state)}" if isinstance(state, tuple | list) else type(state).__name__
        raise TypeError(f"state: expected a pair {names}, got {got}")
    return list(state)
