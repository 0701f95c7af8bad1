"""Metrics: plain numbers that tell how good a prediction is. They carry no gradient."""

from __future__ import annotations

from typing import Any

from .backend import follow
from .namespace import namespace
from .ops._checks import check_array

__all__ = ["accuracy", "mean_absolute_error"]


def accuracy(prediction: Any, target: Any) -> Any:
    """The share of rows of ``prediction`` (N, C) whose largest entry is at ``target`` (N,), as a 0-d array."""
    check_array("prediction", prediction)
    if prediction.ndim < 2:
        raise ValueError(f"prediction: expected shape (N, C), got {tuple(prediction.shape)}")
    target = follow(target, prediction, "target")
    expected = (prediction.shape[0], *prediction.shape[2:])
    if tuple(target.shape) != expected:
        raise ValueError(f"target: expected shape {expected}, got {tuple(target.shape)}")
    xp = namespace(prediction)
    hits = xp.argmax(prediction, axis=1) == target
    return xp.mean(xp.astype(hits, prediction.dtype))


def mean_absolute_error(prediction: Any, target: Any) -> Any:
    """The mean of |prediction - target|, as a 0-d array."""
    check_array("prediction", prediction)
    check_array("target", target)
    if target.shape != prediction.shape:
        raise ValueError(
            f"target: expected the shape of prediction, {tuple(prediction.shape)}, got {tuple(target.shape)}"
        )
    xp = namespace(prediction, target)
    return xp.mean(xp.abs(prediction - target))
