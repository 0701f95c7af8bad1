"""Dropout."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..random import next_key
from .checks import check_probability
from .module import Module

__all__ = ["Dropout"]


class Dropout(Module):
    """In training, zeroes each element with probability p and scales the others by 1/(1-p); else the identity."""

    def __init__(self, p: float = 0.5) -> None:
        check_probability(p)
        self.p = p

    def forward(self, x: Any) -> Any:
        return ops.dropout(x, self.p, key=next_key()) if self.training and self.p else x

    def extra_repr(self) -> str:
        return f"p={self.p}"
