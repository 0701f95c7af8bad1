"""Indexing functions. (x[key] and x[key] = value are in namespace/operators.py.)"""

from __future__ import annotations

import math
from typing import Any

from ..rule import Rule
from ..scatter import add_taken, add_taken_along


def _take(xp: Any, g: Any, _out: Any, _x: Any, indices: Any, axis: int | None) -> Any:
    if axis is None:  # x is taken as flat
        return xp.reshape(add_taken(g, indices, (math.prod(_x.shape),), 0), _x.shape)
    return add_taken(g, indices, _x.shape, axis % _x.ndim)


def _take_along_axis(xp: Any, g: Any, _out: Any, _x: Any, indices: Any, axis: int) -> Any:
    return add_taken_along(g, indices, _x.shape[axis], axis)


RULES: dict[str, Any] = {
    "take": Rule("x, indices, /, *, axis=None", x=_take),
    "take_along_axis": Rule("x, indices, /, *, axis=-1", x=_take_along_axis),
}
