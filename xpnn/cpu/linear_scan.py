"""linear_scan for NumPy: a loop over time in place, and the same loop in the other direction for the gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .dtypes import refuse_dtypes

__all__ = ["backward", "forward", "refusal"]


def refusal(a: Any, b: Any, h0: Any, *, reverse: bool = False) -> str | None:
    if a.ndim == 0 or b.shape != a.shape or (h0 is not None and h0.shape != a.shape[1:]):
        return "shapes"
    return refuse_dtypes(a, b, h0)


def forward(a: Any, b: Any, h0: Any, *, reverse: bool = False, need: tuple[bool, ...]) -> tuple[Any, Any]:
    out = np.empty(a.shape, a.dtype)
    h = np.zeros(a.shape[1:], a.dtype) if h0 is None else h0
    for t in _times(a, reverse):
        new = out[t, ...]
        np.multiply(a[t], h, new)
        np.add(new, b[t], new)
        h = new
    return out, (a, out, h0, reverse) if True in need else None


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, Any, Any]:
    """dh_t = g_t + a_{t+1} dh_{t+1} = db_t, da_t = dh_t h_{t-1}, dh0 = a_0 dh_0."""
    a, h, h0, reverse = residuals
    dh = np.array(g, a.dtype, order="C")
    times = _times(a, not reverse)
    for t, after in zip(times[1:], times[:-1], strict=True):
        dh[t] += a[after] * dh[after]
    da = _times_before(dh, h, h0, reverse) if need[0] else None
    dh0 = None
    if need[2]:
        dh0 = a[times[-1]] * dh[times[-1]] if len(a) else np.zeros_like(h0)
    return da, dh if need[1] else None, dh0


def _times(a: Any, reverse: bool) -> range:
    return range(len(a) - 1, -1, -1) if reverse else range(len(a))


def _times_before(dh: Any, h: Any, h0: Any, reverse: bool) -> Any:
    """dh, each step multiplied by the state before it."""
    da = np.empty_like(dh)
    later, earlier = (slice(None, -1), slice(1, None)) if reverse else (slice(1, None), slice(None, -1))
    np.multiply(dh[later], h[earlier], da[later])
    first = slice(-1, None) if reverse else slice(None, 1)
    np.multiply(dh[first], 0 if h0 is None else h0, da[first])
    return da
