"""What the normalisations share: stable statistics, wider arithmetic for short floats, and checks of arguments."""

from __future__ import annotations

import math
from typing import Any

from ..gradients import stop_gradient
from ._checks import check_number

__all__ = [
    "affine",
    "check_eps",
    "check_floating",
    "check_parameters",
    "mean",
    "standardised",
    "widened",
]


def mean(xp: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """The mean over some axes, which stay with size 1; 0 of no elements."""
    count = math.prod(x.shape[axis] for axis in axes)
    return xp.sum(x, axis=axes, keepdims=True) / max(count, 1)


def standardised(xp: Any, x: Any, axes: tuple[int, ...], eps: float) -> tuple[Any, Any, Any]:
    """((x - mean) / sqrt(var + eps), mean, var) over some axes, var the mean of squares of x - mean.

    A mean that is far from zero is rounded more coarsely than x varies. So x is centred twice: about the rounded mean,
    which is a constant that nothing depends on, and then about what remains.
    """
    near = stop_gradient(mean(xp, x, axes))
    centred = x - near
    rest = mean(xp, centred, axes)
    centred = centred - rest
    var = mean(xp, centred * centred, axes)
    return centred / xp.sqrt(var + eps), near + rest, var


def affine(xp: Any, x: Any, weight: Any, bias: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """x * weight + bias in a dtype, weight and bias brought to ``shape``; None stands for 1 and 0."""
    if weight is not None:
        x = x * xp.reshape(weight, shape)
    if bias is not None:
        x = x + xp.reshape(bias, shape)
    return xp.astype(x, dtype, copy=False)


def widened(xp: Any, x: Any) -> Any:
    """x, in float32 if its dtype is shorter: the squares of float16 overflow from 256 on."""
    return xp.astype(x, xp.float32) if _is_short(x) else x


def check_floating(xp: Any, x: Any) -> None:
    """Raises TypeError unless x is real floating point."""
    if not _is_short(x) and not xp.isdtype(x.dtype, "real floating"):
        raise TypeError(f"x: expected a real floating-point dtype, got {x.dtype}")


def _is_short(x: Any) -> bool:
    """Whether x is float16 or bfloat16, by name: the standard knows neither of them."""
    return str(x.dtype).rpartition(".")[2] in ("float16", "bfloat16")


def check_eps(eps: float) -> None:
    """Raises unless eps is a number >= 0."""
    check_number("eps", eps)
    if not eps >= 0:
        raise ValueError(f"eps: expected 0 or more, got {eps}")


def check_parameters(shape: tuple[int, ...], **arrays: Any) -> None:
    """Raises ValueError unless all arrays have a shape; None among them is passed over."""
    for name, array in arrays.items():
        if array is not None and tuple(array.shape) != shape:
            raise ValueError(f"{name}: expected shape {shape}, got {tuple(array.shape)}")
