"""What the tests of the normalisations share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

__all__ = ["draw", "exact", "far", "short"]


def draw(shape: tuple[int, ...], dtype: Any = np.float64, seed: int = 0) -> Any:
    """Normal numbers about 0.5."""
    return (np.random.default_rng([seed, *shape]).normal(size=shape) + 0.5).astype(dtype)


def exact(x: Any, axes: tuple[int, ...], eps: float) -> Any:
    """x standardised over some axes in float128 or what stands in for it, as float64."""
    x = np.asarray(x, np.longdouble)
    centred = x - x.mean(axis=axes, keepdims=True)
    return (centred / np.sqrt((centred**2).mean(axis=axes, keepdims=True) + eps)).astype(np.float64)


def far(shape: tuple[int, ...], dtype: Any) -> Any:
    """Normal numbers about 5 with a deviation of 0.05."""
    return (draw(shape) * 0.05 + 5).astype(dtype)


def short(name: str) -> Any:
    """The dtype float16 or bfloat16 of NumPy."""
    return np.dtype(name if name == "float16" else pytest.importorskip("ml_dtypes").bfloat16)
