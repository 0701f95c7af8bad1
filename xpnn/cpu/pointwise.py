"""Functions of single elements, computed in place without overflow warnings."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["sigmoid_into"]

# exp(x) is finite up to here, and 1 / (1 + exp(x)) is not yet zero.
_LARGEST: dict[Any, Any] = {np.dtype(np.float32): np.float32(88.0), np.dtype(np.float64): np.float64(709.0)}


def sigmoid_into(x: Any, out: Any) -> None:
    """out = 1 / (1 + exp(-x)), accurate in both tails; out may be x."""
    np.negative(x, out)
    np.minimum(out, _LARGEST[out.dtype], out=out)
    np.exp(out, out)
    np.add(out, 1, out)
    np.reciprocal(out, out)
