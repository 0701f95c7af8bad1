"""Where random arrays are made: the library, its device, and the dtype."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from math import prod
from typing import Any

import array_api_compat

from xpnn.backend import get_default_dtype, on_device
from xpnn.namespace.array import unbox
from xpnn.namespace.libraries import raw_namespace
from xpnn.random.key import whole


@contextmanager
def place(xp: Any, device: Any) -> Iterator[tuple[Any, Any]]:
    """Run the block where arrays of `xp` on `device` are made, and give both in the library's own terms.

    Without `xp` the current backend decides, or the backend that `device` names ("cpu", "gpu:1").
    """
    if xp is None:
        with on_device(device) as chosen:
            yield chosen, None
        return
    if xp.__name__.startswith("xpnn.diff."):  # random numbers carry no gradient: the library itself makes them
        xp = raw_namespace(unbox(xp.zeros(0)))
    enter = device is not None and array_api_compat.is_cupy_namespace(xp)  # CuPy computes on its current device
    with device if enter else nullcontext():
        yield xp, device


def float_dtype(xp: Any, dtype: Any) -> Any:
    """The floating-point dtype of `xp` for a dtype, its name, or None (the default dtype)."""
    dtype = named_dtype(xp, get_default_dtype() if dtype is None else dtype)
    try:
        known = xp.isdtype(dtype, "real floating")
    except (TypeError, ValueError):  # which is no dtype
        known = False
    if not known:
        raise TypeError(f"dtype: expected a real floating-point dtype, got {dtype}")
    return dtype


def named_dtype(xp: Any, dtype: Any) -> Any:
    """A dtype of `xp` by its name; a dtype stays what it is."""
    if isinstance(dtype, str):
        if not hasattr(xp, dtype):
            raise ValueError(f"dtype: expected a dtype of {xp.__name__}, got {dtype!r}")
        return getattr(xp, dtype)
    return dtype


def shape_of(shape: int | Sequence[int]) -> tuple[tuple[int, ...], int]:
    """A shape as a tuple of integers, and the number of its elements."""
    sizes = tuple(whole("shape", n, 62) for n in (shape if isinstance(shape, Sequence) else (shape,)))
    return sizes, prod(sizes)
