"""What becomes of the losses of the elements: their mean, their sum, or they themselves."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["check_reduction", "over", "reduced"]


def check_reduction(reduction: Any, *more: str) -> None:
    """Raises ValueError unless reduction is "mean", "sum", "none" or one of ``more``."""
    known = ("mean", "sum", "none", *more)
    if not isinstance(reduction, str) or reduction not in known:
        words = [f'"{word}"' for word in known]
        raise ValueError(f"reduction: expected {', '.join(words[:-1])} or {words[-1]}, got {reduction!r}")


def reduced(xp: Any, losses: Any, reduction: str, counts: Any = None) -> Any:
    """The mean is over all elements, or weighted: the sum of losses over the sum of ``counts``. That of nothing is nan."""
    if reduction == "none":
        return losses
    total = xp.sum(losses, dtype=losses.dtype)
    if reduction == "sum":
        return total
    return over(total, math.prod(losses.shape)) if counts is None else total / _never_zero(xp, counts)


def over(total: Any, count: int) -> Any:
    """total / count; nan for a count of 0, where NumPy would warn."""
    return total / count if count else total * math.nan


def _never_zero(xp: Any, counts: Any) -> Any:
    """The sum of counts, nan instead of 0."""
    count = xp.sum(counts, dtype=counts.dtype)
    return xp.where(count == 0, xp.full_like(count, math.nan), count)
