"""The differentiable array API: boxes, rules, and the namespace that a set of arrays computes in."""

from __future__ import annotations

from typing import Any

from .array import Array
from .diff import diff
from .libraries import diff_of, raw_namespace

__all__ = ["Array", "diff", "namespace"]


_NUMBERS = frozenset((bool, int, float, complex))  # not isinstance: np.float64 is a float, and an array


def namespace(*arrays: Any) -> Any:
    """The array API namespace to compute with the given arrays in; None and Python scalars among them are passed over.

    Raw arrays: NumPy's, CuPy's, … (array-api-compat's wrapper where it has one). As soon as one is traced: the
    differentiable namespace over the same library, which takes raw arrays too. TypeError if they are of several
    libraries, or if none is an array.
    """
    xp = None
    traced = False
    for x in arrays:
        if type(x) is Array:
            traced = True
            x = x._value
        elif x is None or type(x) in _NUMBERS:
            continue
        own = raw_namespace(x)
        if xp is None:
            xp, first = own, x
        elif own is not xp:
            raise TypeError(f"arrays of different libraries: {own.__name__} and {xp.__name__}; convert one of them")
    if xp is None:
        raise TypeError("namespace() needs at least one array")
    return diff_of(first) if traced else xp
