"""Utility functions: differences. (``all`` and ``any`` stand in zero.py.)"""

from __future__ import annotations

from typing import Any

from ..rule import Composite
from .helpers import along


def _diff(xp: Any, x: Any, axis: int, n: int, prepend: Any, append: Any) -> Any:
    parts = [part for part in (prepend, x, append) if part is not None]
    x = xp.concat(parts, axis=axis) if len(parts) > 1 else x
    for _ in range(n):
        size = x.shape[axis]
        x = x[along(axis, x.ndim, slice(min(size, 1), None))] - x[along(axis, x.ndim, slice(0, max(size - 1, 0)))]
    return x


RULES: dict[str, Any] = {
    "diff": Composite("x, /, *, axis=-1, n=1, prepend=None, append=None", _diff),
}
