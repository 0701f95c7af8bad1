"""What a benchmark case is: a piece of work that xpnn and a peer do on the same arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Case", "normal"]


@dataclass(frozen=True)
class Case:
    """A function of arrays, the same function of torch tensors, and the arrays to call them with.

    make(rng) gives the arrays, NumPy, None where an argument is absent; floating-point ones are differentiated. flops is
    the work of the forward pass, where it is worth a number; a backward pass takes about twice as much.
    """

    name: str
    make: Callable[[np.random.Generator], Sequence[Any]]
    run: Callable[..., Any]
    torch: Callable[..., Any] | None = None
    flops: float = 0.0
    tolerance: float = 1e-3


def normal(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> Any:
    """Normal numbers in float32."""
    return rng.standard_normal(shape, np.float32) * np.float32(scale)
