"""local_response_norm: each element divided by what its neighbouring channels hold in the same place."""

from __future__ import annotations

from typing import Any

from ..namespace import namespace
from ._checks import check_floating
from ._windows import pad, taps

__all__ = ["local_response_norm"]


def local_response_norm(x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """y = x / (k + alpha * mean of x² over size neighbouring channels)^beta, zeros beyond the ends (Krizhevsky et al. 2012).

    x (N, C, *S) -> y of the same shape; the channels size // 2 before to (size - 1) // 2 after.
    """
    if size < 1:
        raise ValueError(f"size: expected 1 or more, got {size}")
    check_floating("x", x)
    if x.ndim < 3:
        raise ValueError(f"x: expected shape (N, C, *S), got {tuple(x.shape)}")
    xp = namespace(x)
    squares = pad(xp, x * x, ((size // 2, (size - 1) // 2),), 0.0, 1)
    total = sum(taps(squares, (size,), (x.shape[1],), (1,), (1,), 1))
    return x / (k + total * (alpha / size)) ** beta
