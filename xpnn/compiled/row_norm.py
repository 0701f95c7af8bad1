"""layer_norm, rms_norm and group_norm by compiled loops: a row is in the cache while all of its passes are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from types import ModuleType
from typing import Any

import numpy as np

from ..cpu import group_norm as plain_group_norm
from ..cpu import layer_norm as plain_layer_norm
from ..cpu import rms_norm as plain_rms_norm
from .activation import activate, pulled
from .loops import contiguous, numbers, refuse, share

__all__ = ["group_norm", "layer_norm", "rms_norm"]

_PARTS = 16  # of the rows, for the sums of the gradients of weight and bias


@dataclass(frozen=True)
class RowNorm:
    """An implementation for Primitive.add of a norm whose plain form refuses what does not fit."""

    plain: ModuleType
    eps: float = 1e-5
    centre: bool = True
    __name__ = __name__

    def refusal(self, x: Any, *parameters: Any, **static: Any) -> str | None:
        return refuse(x, *parameters) or self.plain.refusal(x, *parameters, **static)

    def forward(
        self, x: Any, weight: Any, bias: Any = None, *, normalized_shape: tuple[int, ...] = (), num_groups: int = 1,
        eps: float | None = None, activation: str | None = None, need: tuple[bool, ...],
    ) -> tuple[Any, Any]:  # fmt: skip
        from .norm_loops import forward

        x = contiguous(x)
        shape = (num_groups, prod(normalized_shape) if normalized_shape else x.shape[1] // num_groups)
        size = shape[1] * (1 if normalized_shape else prod(x.shape[2:]))
        rows, y = x.reshape(-1, size), np.empty(x.shape, x.dtype)
        w = np.ones(shape, x.dtype) if weight is None else contiguous(weight).reshape(shape)
        b = np.zeros(shape, x.dtype) if bias is None else contiguous(bias).reshape(shape)
        kept = np.empty((len(rows), 3), x.dtype)
        least = self.eps if eps is None else eps
        shared = (numbers(len(rows)), rows, y.reshape(-1, size), kept)
        share(forward, x.size, shared, w, b, np.float32(least), self.centre)
        activate(y, activation)
        if True not in need:
            return y, None
        parameters = x.shape[1:2] if not normalized_shape else tuple(normalized_shape)
        return y, (rows, kept, w, y if activation else None, x.shape, parameters, activation)

    def backward(self, residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, ...]:
        from .norm_loops import backward

        rows, kept, w, y, shape, parameters, activation = residuals
        g = pulled(contiguous(g), y, activation).reshape(rows.shape)
        dx = np.empty(rows.shape, rows.dtype)
        bounds = _parts(len(rows))
        dw, db = np.zeros((2, len(bounds), *w.shape), rows.dtype)
        share(backward, rows.size, (bounds, dw, db), rows, g, dx, kept, w, self.centre)
        gradients = dx.reshape(shape), *(np.add.reduce(d, axis=0).reshape(parameters) for d in (dw, db))
        return tuple(d if wanted else None for d, wanted in zip(gradients, need, strict=False))


layer_norm = RowNorm(plain_layer_norm)
group_norm = RowNorm(plain_group_norm)
rms_norm = RowNorm(plain_rms_norm, eps=float(np.finfo(np.float32).eps), centre=False)


@lru_cache(256)
def _parts(rows: int) -> Any:
    """The bounds of at most _PARTS parts, (P, 2)."""
    some = max(1, min(_PARTS, rows))
    edges = np.arange(some + 1) * rows // some
    return np.stack((edges[:-1], edges[1:]), axis=1)
