"""Checks of what losses are given: one line that names the argument, what came and what was expected.

Values are looked at on NumPy only: anywhere else that would make the host wait.
"""

from __future__ import annotations

import functools
import math
from numbers import Integral, Real
from typing import Any

from ..backend import follow
from ..namespace import namespace
from ..namespace.array import unbox
from ..namespace.lean import lean
from ..namespace.libraries import is_array, library_name, raw_namespace

__all__ = [
    "check_float",
    "check_integer",
    "check_number",
    "check_same_shape",
    "check_signs",
    "check_unit_interval",
    "class_axis",
    "class_weights",
    "element_weights",
    "is_kind",
    "labels",
    "on_numpy",
    "paired",
]


def on_numpy(x: Any) -> bool:
    """Whether x, raw or traced, is an array of NumPy, whose values may be looked at."""
    return library_name(unbox(x)) == "numpy"


def is_kind(x: Any, kind: str | tuple[str, ...]) -> bool:
    """Whether the dtype of an array, raw or traced, is of a kind of the standard's isdtype."""
    return _is_kind(raw_namespace(unbox(x)), x.dtype, kind)


@functools.cache
def _is_kind(xp: Any, dtype: Any, kind: str | tuple[str, ...]) -> bool:
    return lean(xp).isdtype(dtype, kind)  # type: ignore[no-any-return]


def check_float(name: str, x: Any, kind: str | tuple[str, ...] = "real floating") -> None:
    """Raises TypeError unless x is an array of floating-point dtype."""
    if not is_array(unbox(x)):
        raise TypeError(f"{name}: expected an array, got {type(x).__name__}")
    if not is_kind(x, kind):
        raise TypeError(f"{name}: expected a floating-point dtype, got {x.dtype}")


def check_number(
    name: str, value: Any, *, least: float = -math.inf, above: float = -math.inf, most: float = math.inf
) -> None:
    """Raises unless value is a real number with least <= value <= most and value > above."""
    if isinstance(value, bool) or not issubclass(type(value), Real):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    if least <= value <= most and (value > above or above == -math.inf):
        return
    if above > -math.inf:
        wanted = "a positive number" if above == 0 else f"a number above {above}"
    else:
        wanted = f"a number in [{least}, {most}]" if most < math.inf else f"{least} or more"
    raise ValueError(f"{name}: expected {wanted}, got {value}")


def check_integer(name: str, value: Any, least: float = -math.inf, most: float = math.inf) -> None:
    """Raises unless value is an integer in [least, most]."""
    if isinstance(value, bool) or not issubclass(type(value), Integral):
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}")
    if not least <= value <= most:
        raise ValueError(f"{name}: expected an integer in [{least}, {most}], got {value}")


def check_same_shape(name: str, x: Any, like: Any, of: str = "input") -> None:
    """Raises unless x has the shape of ``like``: (N, 1) against (N,) to (N, N) is the classic silent mistake."""
    shape = getattr(x, "shape", None)
    if shape is None:
        raise TypeError(f"{name}: expected an array, got {type(x).__name__}")
    if tuple(shape) != tuple(like.shape):
        raise ValueError(f"{name}: expected the shape of {of}, {tuple(like.shape)}, got {tuple(shape)}")


def paired(
    input: Any, target: Any, kind: str | tuple[str, ...] = "real floating", names: tuple[str, str] = ("input", "target")
) -> tuple[Any, Any]:
    """Both arrays, of one shape, ready to be computed with: if one is traced, the other is a constant of the trace.

    Integers and booleans of the second are converted to the first's dtype. Raises for anything else than arrays that fit.
    """
    check_float(names[0], input, kind)
    check_same_shape(names[1], target, input, names[0])
    xp = namespace(input, target)
    if is_kind(target, ("bool", "integral")):
        return xp.asarray(input), xp.astype(target, input.dtype)
    check_float(names[1], target, kind)
    return xp.asarray(input), xp.asarray(target)


def element_weights(name: str, weight: Any, input: Any) -> Any:
    """Factors (None for none) that broadcast to input's shape, in a floating-point dtype."""
    if weight is None:
        return None
    if not is_array(unbox(weight)):
        raise TypeError(f"{name}: expected an array, got {type(weight).__name__}")
    if not _broadcasts(tuple(weight.shape), tuple(input.shape)):
        raise ValueError(f"{name}: expected a shape that broadcasts to {tuple(input.shape)}, got {tuple(weight.shape)}")
    return _floating(name, weight, input)


def class_weights(weight: Any, input: Any, axis: int) -> Any:
    """Factors (C,) per class (None for none), where input is."""
    if weight is None:
        return None
    weight = follow(weight, input, "weight")
    if tuple(weight.shape) != (input.shape[axis],):
        raise ValueError(f"weight: expected shape ({input.shape[axis]},), got {tuple(weight.shape)}")
    return _floating("weight", weight, input)


def _floating(name: str, weight: Any, input: Any) -> Any:
    if is_kind(weight, ("bool", "integral")):
        return namespace(weight).astype(weight, input.dtype)
    check_float(name, weight)
    return weight


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    own = (1,) * (len(to) - len(shape)) + shape
    return len(own) == len(to) and all(a in (1, b) for a, b in zip(own, to, strict=True))


def class_axis(input: Any, shapes: str = "(N, C), (N, C, d1, …) or (C,)", most: float = math.inf) -> int:
    """The axis of the classes: 1, or 0 of an input without batch. Raises unless there is a class."""
    if not 1 <= input.ndim <= most:
        raise ValueError(f"input: expected shape {shapes}, got {tuple(input.shape)}")
    axis = 0 if input.ndim == 1 else 1
    if not input.shape[axis]:
        raise ValueError(f"input: expected one class or more, got shape {tuple(input.shape)}")
    return axis


def labels(
    target: Any, input: Any, shape: tuple[int, ...], lowest: int, highest: int, ignore_index: int | None = None
) -> Any:
    """target, integers of a shape, where input is. On NumPy all of them are in lowest..highest, or ignore_index."""
    target = follow(target, input, "target")
    if not is_kind(target, "integral"):
        raise TypeError(f"target: expected integers, got dtype {target.dtype}")
    if tuple(target.shape) != shape:
        raise ValueError(f"target: expected integers of shape {shape}, got shape {tuple(target.shape)}")
    if on_numpy(target):
        raw = unbox(target)
        wrong = (raw < lowest) | (raw > highest)
        if ignore_index is not None:
            wrong &= raw != ignore_index
        if wrong.any():
            other = "" if ignore_index is None else f" (or ignore_index {ignore_index})"
            raise ValueError(f"target: expected labels in {lowest}..{highest}{other}, got {raw[wrong][0]}")
    return target


def check_unit_interval(name: str, x: Any) -> None:
    """On NumPy, raises unless all elements are in [0, 1] (or nan)."""
    if on_numpy(x):
        raw = unbox(x)
        wrong = (raw < 0) | (raw > 1)
        if wrong.any():
            raise ValueError(f"{name}: expected numbers in [0, 1], got {raw[wrong][0]}")


def check_signs(target: Any) -> None:
    """On NumPy, raises unless all elements are 1 or -1: labels of 0 and 1 are the usual mistake."""
    if on_numpy(target):
        raw = unbox(target)
        wrong = (raw != 1) & (raw != -1)
        if wrong.any():
            raise ValueError(f"target: expected 1 or -1, got {raw[wrong][0]}")
