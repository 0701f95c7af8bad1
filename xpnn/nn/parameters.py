"""First values of the parameters of layers, as torch draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import init
from ..random import next_key

__all__ = ["ones", "uniform", "zeros"]


def uniform(shape: Sequence[int], fan_in: int, dtype: Any, device: str | None) -> Any:
    """Uniform in ±1/sqrt(fan_in): torch's default of Linear, Conv and the recurrent layers. -> ``shape``"""
    bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
    return init.uniform(next_key(), shape, -bound, bound, dtype=dtype, device=device)


def zeros(shape: Sequence[int], dtype: Any, device: str | None) -> Any:
    """Zeros. -> ``shape``"""
    return init.zeros(None, shape, dtype=dtype, device=device)


def ones(shape: Sequence[int], dtype: Any, device: str | None) -> Any:
    """Ones. -> ``shape``"""
    return init.ones(None, shape, dtype=dtype, device=device)
