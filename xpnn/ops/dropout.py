"""Dropout with a mask from counter-based random numbers."""

from __future__ import annotations

from typing import Any

from .. import random
from ..cuda import dropout as cuda
from ..namespace import namespace
from ..namespace.array import unbox
from ..namespace.libraries import array_device, raw_namespace
from ..primitive import Primitive
from ._checks import check_floating, check_number

__all__ = ["dropout"]


def dropout(x: Any, p: float = 0.5, *, key: random.Key) -> Any:
    """x with each element zeroed with probability p and the others divided by 1 - p (Srivastava et al. 2014).

    x (...) floating point -> y of the same shape and dtype. The mask depends on the key and the shape alone: it is the same
    on every library and device.
    """
    check_number("p", p)
    if not 0 <= p <= 1:
        raise ValueError(f"p: expected a probability in [0, 1], got {p}")
    if not isinstance(key, random.Key):
        raise TypeError(f"key: expected a Key of xpnn.random, got {type(key).__name__}")
    check_floating("x", x)
    return masked(x, p=p, key=key)


def reference(x: Any, *, p: float, key: random.Key) -> Any:
    """x * mask / (1 - p), the mask from the key; all of it zero for p = 1."""
    raw = unbox(x)
    xp = raw_namespace(raw)
    if p == 1:
        return x * 0.0
    mask = random.dropout_mask(key, raw.shape, 1 - p, xp=xp, device=array_device(raw))
    scale = xp.astype(mask, raw.dtype) * (1 / (1 - p))
    return namespace(x).multiply(x, scale)


masked = Primitive(reference, name="dropout")
masked.add("cupy", cuda)
