"""Dropout of elements and of whole channels, with masks from counter-based random numbers."""

from __future__ import annotations

import math
from typing import Any

from .. import random
from ..cuda import dropout as cuda
from ..namespace import namespace
from ..namespace.array import unbox
from ..namespace.libraries import array_device, raw_namespace
from ..primitive import Primitive
from ._checks import check_floating, check_probability

__all__ = ["alpha_dropout", "dropout", "feature_alpha_dropout", "feature_dropout"]

_LEAST = -1.7580993408473766  # of selu: minus scale * alpha


def dropout(x: Any, p: float = 0.5, *, key: random.Key) -> Any:
    """x with each element zeroed with probability p and the others divided by 1 - p (Srivastava et al. 2014).

    x (...) floating point -> y of the same shape and dtype. The mask depends on the key and the shape alone: it is the same
    on every library and device.
    """
    check_probability(p)
    if not isinstance(key, random.Key):
        raise TypeError(f"key: expected a Key of xpnn.random, got {type(key).__name__}")
    check_floating("x", x)
    return masked(x, p=p, key=key)


def feature_dropout(x: Any, p: float = 0.5, *, key: random.Key) -> Any:
    """x with each channel of each sample zeroed with probability p and the others divided by 1 - p (Tompson et al. 2015).

    x (N, C, *S) -> y of the same shape; the mask is that of dropout for the shape (N, C).
    """
    check_probability(p)
    check_floating("x", x)
    raw = unbox(x)
    ones = raw_namespace(raw).ones(_features(raw.shape), dtype=raw.dtype, device=array_device(raw))
    return namespace(x).multiply(x, masked(ones, p=p, key=key))


def alpha_dropout(x: Any, p: float = 0.5, *, key: random.Key) -> Any:
    """x with elements set to selu's least value with probability p, then scaled and shifted (Klambauer et al. 2017).

    x (...) of mean 0 and variance 1 -> y of the same shape, mean and variance; for p = 1 zeros. The mask is that of dropout.
    """
    check_floating("x", x)
    return _alpha_dropout(x, tuple(x.shape), p, key)


def feature_alpha_dropout(x: Any, p: float = 0.5, *, key: random.Key) -> Any:
    """alpha_dropout of whole channels: x (N, C, *S) -> y of the same shape; the mask is that of dropout for (N, C)."""
    check_floating("x", x)
    return _alpha_dropout(x, _features(x.shape), p, key)


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


def _alpha_dropout(x: Any, shape: tuple[int, ...], p: float, key: random.Key) -> Any:
    """alpha_dropout with a mask of a shape that broadcasts to that of x."""
    check_probability(p)
    if p == 1:
        return x * 0.0
    raw = unbox(x)
    mask = random.dropout_mask(key, shape, 1 - p, xp=raw_namespace(raw), device=array_device(raw))
    scale = 1 / math.sqrt((1 - p) * (1 + p * _LEAST**2))
    kept = raw_namespace(raw).astype(mask, raw.dtype)
    return namespace(x).multiply(x, kept * scale) + ((1 - kept) - p) * (_LEAST * scale)


def _features(shape: Any) -> tuple[int, ...]:
    """One number for each channel of each sample."""
    if len(shape) < 2:
        raise ValueError(f"x: expected shape (N, C, *S), got {tuple(shape)}")
    return (*shape[:2], *(1,) * (len(shape) - 2))
