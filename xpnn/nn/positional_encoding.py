"""PositionalEncoding: where in a sequence a step is."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..namespace import namespace
from ..ops._checks import check_floating
from ..random import next_key
from ..random.place import float_dtype, place
from .checks import check_features, check_probability, check_rank, check_sizes
from .module import Buffer, Module

__all__ = ["PositionalEncoding"]


class PositionalEncoding(Module):
    """x plus sines and cosines of the position (Vaswani et al. 2017, section 3.5), then dropout in training.

    x (T, N, d_model), (N, T, d_model) with batch_first, or (T, d_model), T at most max_len -> y of the same shape.
    pe[t, 2i] = sin(t / 10000^(2i / d_model)), pe[t, 2i + 1] the cosine of the same; pe (max_len, d_model) is a buffer.
    torch has no such layer; its tutorial has one of this name.
    """

    def __init__(
        self, d_model: int, dropout: float = 0.1, max_len: int = 5000, batch_first: bool = False,
        device: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        check_sizes(d_model=d_model, max_len=max_len)
        check_probability(dropout, "dropout")
        self.d_model, self.dropout, self.max_len, self.batch_first = d_model, dropout, max_len, batch_first
        self.pe = Buffer(_table(max_len, d_model, dtype, device))

    def forward(self, x: Any) -> Any:
        check_rank(self, x, (2, 3), "(N, T, E) or (T, E)" if self.batch_first else "(T, N, E) or (T, E)")
        check_features(self, x, -1, self.d_model, "d_model")
        check_floating("x", x)
        length = x.shape[1 if self.batch_first and len(x.shape) == 3 else 0]
        if length > self.max_len:
            raise ValueError(f"x: expected at most max_len = {self.max_len} steps, got shape {tuple(x.shape)}")
        xp = namespace(x, self.pe.value)
        pe = self.pe.value[:length, ...]
        y = x + xp.astype(pe if len(x.shape) == 2 or self.batch_first else xp.expand_dims(pe, axis=1), x.dtype)
        return ops.dropout(y, self.dropout, key=next_key()) if self.training and self.dropout else y

    def extra_repr(self) -> str:
        return f"{self.d_model}, dropout={self.dropout}, max_len={self.max_len}"


def _table(length: int, width: int, dtype: Any, device: str | None) -> Any:
    """(length, width), computed in float64: angles up to length are too coarse in less."""
    with place(None, device) as (xp, where):
        place_of = {"dtype": xp.float64, "device": where}
        rates = xp.exp(xp.arange(0, width, 2, **place_of) * (-math.log(10000.0) / width))
        angles = xp.expand_dims(xp.arange(length, **place_of), axis=1) * rates
        pairs = xp.stack([xp.sin(angles), xp.cos(angles)], axis=2)
        table = xp.reshape(pairs, (length, 2 * rates.shape[0]))[:, :width]
        return xp.astype(table, float_dtype(xp, dtype))
