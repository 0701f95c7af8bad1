"""linear: an affine map of the last axis, and an activation."""

from __future__ import annotations

from typing import Any

from ..cpu import linear as cpu
from ..cuda import linear as cuda
from ..namespace import namespace
from ..primitive import Primitive
from ._activations import activated, check_activation
from ._checks import check_array, check_floating

__all__ = ["linear"]


def reference(x: Any, weight: Any, bias: Any = None, *, activation: str | None = None) -> Any:
    """y = activation(x @ weight.T + bias).

    x (..., I), weight (O, I), bias (O,) or None -> y (..., O), all of one floating-point dtype.
    activation: None, "relu", "tanh" or "sigmoid". Raises ValueError for shapes that do not fit together.
    """
    _check(x, weight, bias, activation)
    xp = namespace(x, weight, bias)
    y = xp.matmul(x, xp.matrix_transpose(weight))
    return activated(y if bias is None else y + bias, activation)


linear = Primitive(reference, name="linear")
linear.add("numpy", cpu)
linear.add("cupy", cuda)


def _check(x: Any, weight: Any, bias: Any, activation: str | None) -> None:
    check_floating("x", x)
    check_array("weight", weight)
    if weight.ndim != 2:
        raise ValueError(f"weight: expected shape (outputs, inputs), got {weight.shape}")
    outputs, inputs = weight.shape
    if x.ndim == 0 or x.shape[-1] != inputs:
        raise ValueError(f"x: expected shape (..., {inputs}) for a weight of shape {weight.shape}, got {x.shape}")
    if bias is not None and bias.shape != (outputs,):
        raise ValueError(f"bias: expected shape ({outputs},), got {bias.shape}")
    check_activation(activation)
