"""What kernels want of the arrays that they are given: contiguous, and aligned where whole vectors are to move."""

from __future__ import annotations

from typing import Any

from .arguments import address

__all__ = ["VECTOR", "begin_alike", "contiguous", "is_aligned"]

VECTOR = 16  # bytes that one load or store moves at most


def contiguous(x: Any) -> Any:
    """x, or a copy of it in C order: kernels see no strides."""
    return x if x.flags.c_contiguous else x.copy(order="C")


def is_aligned(*arrays: Any) -> bool:
    """Whether all arrays begin at multiples of VECTOR bytes; None among them is passed over."""
    return all(address(x) % VECTOR == 0 for x in arrays)


def begin_alike(*arrays: Any) -> bool:
    """Whether all arrays begin at the same place within VECTOR bytes; None among them is passed over."""
    return len({address(x) % VECTOR for x in arrays if x is not None}) <= 1
