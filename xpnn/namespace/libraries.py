"""Which array library a raw array belongs to: its standard namespace and its differentiable one, by type."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import array_api_compat
import numpy as np

__all__ = ["array_device", "diff_of", "is_array", "library_name", "raw_namespace"]

_RAISE = object()
_raw: dict[type, Any] = {}
_diff: dict[type, ModuleType] = {}
_names: dict[type, str] = {}
_others: set[type] = set()
# xpnn.namespace.diff sets this; the box needs it, and lies below it.
make_diff: Callable[[Any], ModuleType] | None = None


def raw_namespace(x: Any, default: Any = _RAISE) -> Any:
    """The array API namespace of a raw array's library (array-api-compat's wrapper where it has one).

    NumPy scalars count as 0-d arrays. Anything else raises TypeError, or gives ``default``.
    """
    kind = type(x)
    known = _raw.get(kind)
    if known is not None:
        return known
    if kind in _others or (not array_api_compat.is_array_api_obj(x) and not isinstance(x, np.generic)):
        _others.add(kind)
        if default is not _RAISE:
            return default
        raise TypeError(f"expected an array of an array API library, got {kind.__module__}.{kind.__qualname__}")
    xp = _raw[kind] = _find(x)
    return xp


def _find(x: Any) -> Any:
    if isinstance(x, np.ndarray | np.generic):
        import array_api_compat.numpy as xp

        return xp
    return array_api_compat.array_namespace(x)


def diff_of(x: Any) -> ModuleType:
    """The differentiable namespace over the library of a raw array."""
    try:
        return _diff[type(x)]
    except KeyError:
        assert make_diff is not None
        module = _diff[type(x)] = make_diff(raw_namespace(x))
        return module


def is_array(x: Any) -> bool:
    """Whether x is an array of a conforming library, or a NumPy scalar."""
    return type(x) in _raw or raw_namespace(x, None) is not None


def library_name(x: Any) -> str:
    """The library of a raw array in one word: "numpy", "cupy", "array_api_strict", …"""
    kind = type(x)
    try:
        return _names[kind]
    except KeyError:
        return _names.setdefault(kind, kind.__module__.partition(".")[0])


def array_device(x: Any) -> Any:
    """The device of a raw array, in its library's terms, for the creation functions of the standard."""
    return array_api_compat.device(x) if type(x) is not np.ndarray and not isinstance(x, np.generic) else "cpu"
