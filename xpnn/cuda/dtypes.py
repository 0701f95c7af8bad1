"""Which dtypes the kernels take, and how C++ spells them."""

from __future__ import annotations

import functools
from typing import Any

__all__ = ["C_TYPES", "ITEM_SIZE", "dtype_name", "refuse_dtypes"]

C_TYPES = {"float32": "float", "float16": "__half", "bfloat16": "__nv_bfloat16"}
ITEM_SIZE = {"float32": 4, "float16": 2, "bfloat16": 2}


@functools.cache
def dtype_name(dtype: Any) -> str:
    """The name of a dtype; kept, because NumPy composes it anew each time, in microseconds."""
    return str(dtype.name)


def refuse_dtypes(*arrays: Any) -> str | None:
    """Why these arrays are not of one dtype that kernels take, or None if they are; None among them is passed over."""
    first = arrays[0].dtype
    if dtype_name(first) not in C_TYPES:
        return f"dtype {first}"
    for x in arrays:
        if x is not None and x.dtype != first:
            return f"dtypes {first} and {x.dtype}"
    return None
