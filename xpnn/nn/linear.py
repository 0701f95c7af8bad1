"""Linear: the layer of neurons, weights and biases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import ops
from ..namespace import namespace
from ..ops._activations import check_activation
from ..ops._checks import check_array, check_flags, check_whole
from . import parameters
from .checks import check_features, check_sizes
from .module import Module

__all__ = ["Bilinear", "Flatten", "Linear", "Unflatten"]


class Linear(Module):
    """y = x @ weight.T + bias.

    x (..., in_features) -> y (..., out_features); weight (out_features, in_features), bias (out_features,).
    ``layer(x, activation="relu")`` (or "tanh", "sigmoid") applies an activation in the same step, as Sequential asks for.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: str | None = None, dtype: Any = None
    ) -> None:
        check_sizes(in_features=in_features, out_features=out_features)
        check_flags(bias=bias)
        self.in_features = in_features
        self.out_features = out_features
        self.weight = parameters.uniform((out_features, in_features), in_features, dtype, device)
        self.bias = parameters.uniform((out_features,), in_features, dtype, device) if bias else None

    def forward(self, x: Any, activation: str | None = None) -> Any:
        check_features(self, x, -1, self.in_features, "in_features")
        check_activation(activation)
        return ops.linear(x, self.weight, self.bias, activation=activation)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """y[o] = x1 @ weight[o] @ x2 + bias[o].

    x1 (..., in1_features), x2 (..., in2_features) -> y (..., out_features); weight (out_features, in1_features, in2_features),
    bias (out_features,).
    """

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True,
        device: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        check_sizes(in1_features=in1_features, in2_features=in2_features, out_features=out_features)
        check_flags(bias=bias)
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        self.weight = parameters.uniform((out_features, in1_features, in2_features), in1_features, dtype, device)
        self.bias = parameters.uniform((out_features,), in1_features, dtype, device) if bias else None

    def forward(self, x1: Any, x2: Any) -> Any:
        return ops.bilinear(x1, x2, self.weight, self.bias)

    def extra_repr(self) -> str:
        sizes = f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"


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


class Unflatten(Module):
    """Splits dimension dim into several. x (N, C*H*W) -> y (N, C, H, W); one of the sizes may be -1."""

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        check_whole("dim", dim)
        if not isinstance(unflattened_size, list | tuple):
            raise TypeError(f"unflattened_size: expected a tuple of sizes, got {type(unflattened_size).__name__}")
        for n in unflattened_size:
            check_whole("unflattened_size", n)
        sizes = tuple(unflattened_size)
        if not sizes or sizes.count(-1) > 1 or min(sizes) < -1:
            raise ValueError(f"unflattened_size: expected sizes, one of them -1 at most, got {unflattened_size}")
        self.dim = dim
        self.unflattened_size = sizes

    def forward(self, x: Any) -> Any:
        check_array("x", x)
        shape = tuple(x.shape)
        if not -len(shape) <= self.dim < len(shape):
            raise ValueError(f"Unflatten: x has shape {shape}, expected one with a dimension {self.dim}")
        dim = self.dim % len(shape)
        known = math.prod(n for n in self.unflattened_size if n != -1)
        sizes = tuple(shape[dim] // known if n == -1 and known else n for n in self.unflattened_size)
        if math.prod(sizes) != shape[dim]:
            raise ValueError(f"Unflatten: x has shape {shape}, expected a dimension {dim} that splits into {sizes}")
        return namespace(x).reshape(x, (*shape[:dim], *sizes, *shape[dim + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
