"""Sorting and set functions: the gradient of a selected value goes to the place that it was selected from."""

from __future__ import annotations

from typing import Any

from ..array import Array
from ..rule import Composite


def _sort(xp: Any, x: Any, axis: int, descending: bool, stable: bool) -> Any:
    return xp.take_along_axis(x, xp.argsort(x, axis=axis, descending=descending, stable=stable), axis=axis)


def _unique_all(xp: Any, x: Any) -> Any:
    """Of equal values the first gets the gradient."""
    found = xp.unique_all(Array(x._value))
    return found._replace(values=xp.take(xp.reshape(x, (-1,)), xp.reshape(found.indices, (-1,)), axis=0))


def _unique_counts(xp: Any, x: Any) -> Any:
    found = _unique_all(xp, x)
    return xp.unique_counts(Array(x._value))._replace(values=found.values, counts=found.counts)


def _unique_inverse(xp: Any, x: Any) -> Any:
    found = _unique_all(xp, x)
    return xp.unique_inverse(Array(x._value))._replace(values=found.values, inverse_indices=found.inverse_indices)


RULES: dict[str, Any] = {
    "sort": Composite("x, /, *, axis=-1, descending=False, stable=True", _sort),
    "unique_all": Composite("x, /", _unique_all),
    "unique_counts": Composite("x, /", _unique_counts),
    "unique_inverse": Composite("x, /", _unique_inverse),
    "unique_values": Composite("x, /", lambda xp, x: _unique_all(xp, x).values),
}
