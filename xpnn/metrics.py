"""Metrics: plain numbers that tell how good a prediction is. They carry no gradient."""

from __future__ import annotations

from typing import Any

from .backend import follow
from .namespace import namespace

__all__ = ["accuracy", "mean_absolute_error"]


def accuracy(prediction: Any, target: Any) -> Any:
    """The share of rows of ``prediction`` (N, C) whose largest entry is at ``target`` (N,), as a 0-d array."""
    xp = namespace(prediction)
    hits = xp.argmax(prediction, axis=1) == follow(target, prediction)
    return xp.mean(xp.astype(hits, prediction.dtype))


def mean_absolute_error(prediction: Any, target: Any) -> Any:
    """The mean of |prediction - target|, as a 0-d array."""
    xp = namespace(prediction, target)
    return xp.mean(xp.abs(prediction - target))
