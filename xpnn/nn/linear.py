"""Linear: the layer of neurons, weights and biases."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..namespace import namespace
from ..ops._checks import check_array, check_whole
from . import parameters
from .checks import check_features, check_sizes
from .module import Module

__all__ = ["Flatten", "Linear"]


class Linear(Module):
    """y = x @ weight.T + bias.

    x (..., in_features) -> y (..., out_features); weight (out_features, in_features), bias (out_features,).
    ``layer(x, activation="relu")`` (or "tanh", "sigmoid") applies an activation in the same step, as Sequential asks for.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: str | None = None, dtype: Any = None
    ) -> None:
        check_sizes(in_features=in_features, out_features=out_features)
        self.in_features = in_features
        self.out_features = out_features
        self.weight = parameters.uniform((out_features, in_features), in_features, dtype, device)
        self.bias = parameters.uniform((out_features,), in_features, dtype, device) if bias else None

    def forward(self, x: Any, activation: str | None = None) -> Any:
        check_features(self, x, -1, self.in_features, "in_features")
        return ops.linear(x, self.weight, self.bias, activation=activation)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Flatten(Module):
    """Joins the dimensions start_dim … end_dim into one. x (N, C, H, W) -> y (N, C*H*W)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        check_whole("start_dim", start_dim)
        check_whole("end_dim", end_dim)
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Any) -> Any:
        check_array("x", x)
        shape = tuple(x.shape)
        start, end = (d + len(shape) if d < 0 else d for d in (self.start_dim, self.end_dim))
        if not 0 <= start <= end < len(shape):
            raise ValueError(f"Flatten: x has shape {shape}, expected dimensions {self.start_dim} to {self.end_dim}")
        size = math.prod(shape[start : end + 1])
        return namespace(x).reshape(x, (*shape[:start], size, *shape[end + 1 :]))

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
