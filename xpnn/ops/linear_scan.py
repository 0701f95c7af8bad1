"""linear_scan: the linear recurrence h = a h + b, along time."""

from __future__ import annotations

from typing import Any

from ..cpu import linear_scan as cpu
from ..cuda import linear_scan as cuda
from ..namespace import namespace
from ..primitive import Primitive

__all__ = ["linear_scan"]


def reference(a: Any, b: Any, h0: Any = None, *, reverse: bool = False) -> Any:
    """h_t = a_t h_{t-1} + b_t along the first axis, with h_{-1} = h0.

    a, b (T, ...), h0 (...) or None for zeros -> h (T, ...), for each of the other elements on its own.
    reverse: from the last step to the first, h_t = a_t h_{t+1} + b_t with h_T = h0.

    NOTE: step by step, not in log2(T) steps of doubling reach: those multiply products of a with states, and a product that
    overflows makes nan of a state of 0.
    """
    _check(a, b, h0)
    xp = namespace(a, b, h0)
    h = xp.zeros(b.shape[1:], dtype=b.dtype, device=b.device) if h0 is None else h0
    steps = list(zip(xp.unstack(a), xp.unstack(b), strict=True))
    states = []
    for factor, value in reversed(steps) if reverse else steps:
        h = factor * h + value
        states.append(h)
    if not states:
        return xp.zeros_like(b)
    return xp.stack(states[::-1] if reverse else states)


def _check(a: Any, b: Any, h0: Any) -> None:
    if a.ndim == 0:
        raise ValueError("a: expected shape (T, ...), got ()")
    if b.shape != a.shape:
        raise ValueError(f"b: expected shape {a.shape}, as a, got {b.shape}")
    if h0 is not None and h0.shape != a.shape[1:]:
        raise ValueError(f"h0: expected shape {a.shape[1:]} for a {a.shape}, got {h0.shape}")


linear_scan = Primitive(reference, name="linear_scan")
linear_scan.add("numpy", cpu)
linear_scan.add("cupy", cuda)
