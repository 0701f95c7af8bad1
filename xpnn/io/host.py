"""Arrays of any library and device as NumPy arrays, bfloat16 too, which is no kind of number to NumPy itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import device_of, to_numpy
from ..namespace.libraries import is_array, library_name

__all__ = ["bfloat16", "host", "is_bfloat16"]


def host(x: Any) -> np.ndarray[Any, Any]:
    """x as a NumPy array, contiguous and in the machine's byte order; copied only if it must be."""
    if is_array(x) and library_name(x) == "torch":
        return _of_torch(x.detach().cpu())
    if is_bfloat16(x):
        y: np.ndarray[Any, Any] = x.get() if device_of(x) != "cpu" else np.asarray(x)
    else:
        y = to_numpy(x)
    return np.ascontiguousarray(y).reshape(y.shape).astype(y.dtype.newbyteorder("="), copy=False)


def is_bfloat16(x: Any) -> bool:
    """Whether x is an array of bfloat16, of NumPy or CuPy."""
    return str(getattr(x, "dtype", "")) == "bfloat16"


def bfloat16() -> Any:
    """The dtype bfloat16 of the package ml_dtypes, None where that is not installed."""
    try:
        import ml_dtypes
    except ModuleNotFoundError:
        return None
    return np.dtype(ml_dtypes.bfloat16)


def _of_torch(x: Any) -> np.ndarray[Any, Any]:
    x = x.resolve_conj().resolve_neg().contiguous()
    if str(x.dtype) != "torch.bfloat16":
        return np.asarray(x)
    kind = bfloat16()
    return np.asarray(x.float()) if kind is None else np.asarray(x.view(_int16(x))).view(kind)


def _int16(x: Any) -> Any:
    """torch's int16, without an import of torch."""
    import sys

    return sys.modules["torch"].int16
