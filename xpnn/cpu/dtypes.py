"""Which dtypes the NumPy implementations take."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["refuse_dtypes"]

_SINGLE, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


def refuse_dtypes(*arrays: Any) -> str | None:
    """Why these arrays are not all float32 or all float64, or None if they are; None among them is passed over."""
    first = arrays[0].dtype
    if first is not _SINGLE and first is not _DOUBLE and first not in (_SINGLE, _DOUBLE):
        return f"dtype {first}"
    for x in arrays:
        if x is not None and x.dtype is not first and x.dtype != first:
            return f"dtypes {first} and {x.dtype}"
    return None
