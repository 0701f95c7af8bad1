"""linear: an affine map of the last axis, and an activation; bilinear: a map of two inputs, linear in each."""

from __future__ import annotations

from typing import Any

from ..cpu import linear as cpu
from ..cuda import linear as cuda
from ..namespace import namespace
from ..primitive import Primitive
from ._activations import activated, check_activation
from ._checks import check_array, check_floating

__all__ = ["bilinear", "linear"]


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


def bilinear(x1: Any, x2: Any, weight: Any, bias: Any = None) -> Any:
    """y[o] = sum over i and j of x1[i] weight[o, i, j] x2[j], + bias[o].

    x1 (..., I), x2 (..., J), weight (O, I, J), bias (O,) or None -> y (..., O).
    """
    outputs, inputs1, inputs2 = _bilinear_sizes(x1, x2, weight, bias)
    xp = namespace(x1, x2, weight, bias)
    by_input = xp.reshape(xp.permute_dims(weight, (1, 0, 2)), (inputs1, outputs * inputs2))
    rows = xp.reshape(xp.matmul(x1, by_input), (*x1.shape[:-1], outputs, inputs2))
    y = xp.sum(rows * xp.expand_dims(x2, axis=-2), axis=-1)
    return y if bias is None else y + bias


def _bilinear_sizes(x1: Any, x2: Any, weight: Any, bias: Any) -> Any:
    if weight.ndim != 3:
        raise ValueError(f"weight: expected shape (outputs, inputs1, inputs2), got {tuple(weight.shape)}")
    for name, x, inputs in (("x1", x1, weight.shape[1]), ("x2", x2, weight.shape[2])):
        check_floating(name, x)
        if x.ndim == 0 or x.shape[-1] != inputs:
            raise ValueError(f"{name}: expected shape (..., {inputs}), got {tuple(x.shape)}")
    if x1.shape[:-1] != x2.shape[:-1]:
        raise ValueError(f"x2: expected shape ({', '.join(map(str, x1.shape[:-1]))}, …) as x1, got {tuple(x2.shape)}")
    if bias is not None and bias.shape != (weight.shape[0],):
        raise ValueError(f"bias: expected shape ({weight.shape[0]},), got {tuple(bias.shape)}")
    return weight.shape


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
