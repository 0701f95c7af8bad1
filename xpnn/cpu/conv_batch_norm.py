"""conv_batch_norm for NumPy: the passes of conv and of batch_norm, one behind the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import batch_norm, conv
from .activated import ACTIVATIONS
from .dtypes import refuse_dtypes

__all__ = ["backward", "forward", "refusal"]


def refusal(
    x: Any, weight: Any, bias: Any, gain: Any, shift: Any, *, eps: float = 1e-5, activation: str | None = None,
    **options: Any,
) -> str | None:  # fmt: skip
    if why := conv.refusal(x, weight, bias, **options) or refuse_dtypes(x, gain, shift):
        return why
    if activation not in ACTIVATIONS:
        return f"activation {activation}"
    if not eps >= 0 or any(a is not None and a.shape != weight.shape[:1] for a in (gain, shift)):
        return "shapes of the parameters, or eps"
    return "a single value per channel" if conv.positions(x, weight, **options) == 1 else None


def forward(
    x: Any, weight: Any, bias: Any, gain: Any, shift: Any, *, eps: float = 1e-5, activation: str | None = None,
    need: tuple[bool, ...], **options: Any,
) -> tuple[Any, Any]:  # fmt: skip
    z, kept = conv.forward(x, weight, bias, **options, need=need[:3])
    last = options.get("data_format") == "channels_last"
    rows = z.reshape(-1, z.shape[-1]) if last else z
    (y, mean, var), norm = batch_norm.forward(rows, gain, shift, eps=eps, activation=activation, need=need)
    return (y.reshape(z.shape), mean, var), (kept, z.shape, rows.shape, norm)


def backward(residuals: Any, gs: Any, need: Sequence[bool]) -> tuple[Any, ...]:
    kept, shape, rows, norm = residuals
    dy, dmean, dvar = gs
    dy = None if dy is None else np.ascontiguousarray(dy).reshape(rows)
    behind = True in need[:3]
    dz, dgain, dshift = batch_norm.backward(norm, (dy, dmean, dvar), (behind, need[3], need[4]))
    before = conv.backward(kept, dz.reshape(shape), need[:3]) if behind else (None,) * 3
    return *before, dgain, dshift
