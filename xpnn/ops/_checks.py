"""Checks of arguments: one line that names the argument, what came and what was expected."""

from __future__ import annotations

import functools
from collections.abc import Callable
from numbers import Real
from operator import index
from typing import Any

from ..namespace.array import unbox
from ..namespace.libraries import is_array, raw_namespace

__all__ = [
    "check_array",
    "check_axis",
    "check_flags",
    "check_floating",
    "check_number",
    "check_probability",
    "check_whole",
    "check_word",
    "floating",
]

_INEXACT = ("real floating", "complex floating")


def check_array(name: str, x: Any) -> None:
    """Raises TypeError unless x is an array, raw or traced."""
    if not is_array(unbox(x)):
        raise TypeError(f"{name}: expected an array, got {type(x).__name__}")


def check_floating(name: str, x: Any, kinds: tuple[str, ...] = _INEXACT) -> None:
    """Raises TypeError unless x is an array of floating-point dtype."""
    check_array(name, x)
    if not _is_kind(raw_namespace(unbox(x)), x.dtype, kinds):
        raise TypeError(f"{name}: expected a floating-point dtype, got {x.dtype}")


def check_number(name: str, value: Any) -> None:
    """Raises TypeError unless value is a real number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")


def check_probability(p: Any, name: str = "p") -> None:
    """Raises unless p is a number with 0 <= p <= 1."""
    check_number(name, p)
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: expected a probability in [0, 1], got {p}")


def check_whole(name: str, value: Any) -> None:
    """Raises TypeError unless value is an integer."""
    try:
        whole = not isinstance(value, bool) and index(value) is not None
    except TypeError:
        whole = False
    if not whole:
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}")


def check_flags(**flags: Any) -> None:
    """Raises TypeError unless every value is True or False, of Python or of NumPy, or 1 or 0."""
    for name, value in flags.items():
        kind = type(value)
        if kind is not bool and kind.__name__ not in ("bool", "bool_") and not (kind is int and value in (0, 1)):
            raise TypeError(f"{name}: expected True or False, got {value if kind is int else kind.__name__}")


def check_word(name: str, value: Any, *words: str) -> None:
    """Raises ValueError unless value is one of the words."""
    if not isinstance(value, str) or value not in words:
        known = [f'"{word}"' for word in words]
        raise ValueError(f"{name}: expected {', '.join(known[:-1])} or {known[-1]}, got {value!r}")


def check_axis(x: Any, axis: Any) -> None:
    """Raises unless axis is one of the axes of x."""
    check_whole("axis", axis)
    if not -x.ndim <= index(axis) < x.ndim:
        raise ValueError(f"axis: expected one of the {x.ndim} axes of x {tuple(x.shape)}, got {axis}")


def floating(reference: Callable[..., Any]) -> Callable[..., Any]:
    """A function of an array x and more that first checks that x is floating point."""

    @functools.wraps(reference)
    def checked(x: Any, *more: Any, **options: Any) -> Any:
        check_floating("x", x)
        return reference(x, *more, **options)

    return checked


@functools.cache
def _is_kind(xp: Any, dtype: Any, kinds: tuple[str, ...]) -> bool:
    """float16 and bfloat16 by name: the standard knows neither of them."""
    return str(dtype).rpartition(".")[2] in ("float16", "bfloat16") or xp.isdtype(dtype, kinds)
