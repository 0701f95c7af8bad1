"""What array-api-compat does for CuPy by way of masks, for which the host waits, done without."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from .lean_numpy import is_kind

__all__ = ["without_waiting"]


def without_waiting(compat: Any) -> ModuleType:
    """array_api_compat.cupy with a clip and a sign of their own, the same in values and dtypes; and NumPy's isdtype.

    CuPy (14.2) has no loop of bfloat16 for where, and gives float32: here bfloat16 stays what it is.
    """

    def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
        if not is_kind(x.dtype, "real floating") or (min is None and max is None):
            return compat.clip(x, min, max)
        y = x if min is None else compat.maximum(x, min)
        y = y if max is None else compat.minimum(y, max)
        return y.astype(x.dtype, copy=False)

    def where(condition: Any, x1: Any, x2: Any, /) -> Any:
        y = compat.where(condition, x1, x2)
        if y.dtype.char != "f":
            return y
        kinds = {x.dtype.char: x.dtype for x in (x1, x2) if hasattr(x, "dtype")}
        return y.astype(kinds["E"]) if list(kinds) == ["E"] else y

    def sign(x: Any, /) -> Any:
        if not is_kind(x.dtype, ("real floating", "complex floating")):
            return compat.sign(x)
        if is_kind(x.dtype, "complex floating"):
            return compat.where(x == 0, compat.zeros_like(x), x / compat.abs(x))
        return where((x == 0) | compat.isnan(x), x, compat.copysign(compat.ones_like(x), x))

    lean = ModuleType(compat.__name__, compat.__doc__)
    lean.__dict__.update({**vars(compat), "clip": clip, "sign": sign, "where": where, "isdtype": is_kind})
    return lean
