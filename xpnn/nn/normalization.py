"""Normalisation by statistics of each sample: LayerNorm, RMSNorm, GroupNorm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import ops
from ..ops._activations import check_activation
from ..ops._checks import check_flags
from . import parameters
from .checks import check_eps, check_features, check_sizes
from .module import Module

__all__ = ["GroupNorm", "LayerNorm", "RMSNorm"]


class LayerNorm(Module):
    """Each sample brought to mean 0 and variance 1 over its last axes, then scaled and shifted.

    x (..., *normalized_shape) -> y of the same shape; weight and bias normalized_shape, which may be one integer.
    ``layer(x, activation="relu")`` (or "tanh", "sigmoid") applies an activation in the same step, as Sequential asks for.
    """

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float = 1e-5, elementwise_affine: bool = True,
        bias: bool = True, device: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        check_eps(eps)
        check_flags(elementwise_affine=elementwise_affine, bias=bias)
        self.normalized_shape = _sizes(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight = parameters.ones(self.normalized_shape, dtype, device) if elementwise_affine else None
        self.bias = parameters.zeros(self.normalized_shape, dtype, device) if elementwise_affine and bias else None

    def forward(self, x: Any, activation: str | None = None) -> Any:
        _check_trailing(self, x, self.normalized_shape)
        check_activation(activation)
        return ops.layer_norm(
            x, self.weight, self.bias, normalized_shape=self.normalized_shape, eps=self.eps, activation=activation
        )

    def extra_repr(self) -> str:
        options = f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        return f"{self.normalized_shape}, eps={self.eps}, {options}"


class RMSNorm(Module):
    """Each sample divided by its root mean square over its last axes, then scaled.

    x (..., *normalized_shape) -> y of the same shape; weight normalized_shape, which may be one integer. eps None: the
    spacing of the numbers of x's dtype at 1.
    """

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True,
        device: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        if eps is not None:
            check_eps(eps)
        check_flags(elementwise_affine=elementwise_affine)
        self.normalized_shape = _sizes(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight = parameters.ones(self.normalized_shape, dtype, device) if elementwise_affine else None

    def forward(self, x: Any) -> Any:
        _check_trailing(self, x, self.normalized_shape)
        return ops.rms_norm(x, self.weight, normalized_shape=self.normalized_shape, eps=self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Groups of neighbouring channels brought to mean 0 and variance 1 in each sample, then scaled and shifted.

    x (N, num_channels, *S) -> y of the same shape; weight and bias (num_channels,). ``activation`` as in LayerNorm.
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True,
        device: str | None = None, dtype: Any = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        check_sizes(num_groups=num_groups, num_channels=num_channels)
        check_eps(eps)
        check_flags(affine=affine, bias=bias)
        if num_channels % num_groups:
            raise ValueError(f"num_groups: expected a divisor of num_channels {num_channels}, got {num_groups}")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self.weight = parameters.ones((num_channels,), dtype, device) if affine else None
        self.bias = parameters.zeros((num_channels,), dtype, device) if affine and bias else None

    def forward(self, x: Any, activation: str | None = None) -> Any:
        check_features(self, x, 1, self.num_channels, "num_channels")
        check_activation(activation)
        return ops.group_norm(
            x, self.weight, self.bias, num_groups=self.num_groups, eps=self.eps, activation=activation
        )

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


def _sizes(shape: Any) -> tuple[int, ...]:
    """normalized_shape as a tuple of positive integers."""
    sizes = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    if not sizes:
        raise ValueError("normalized_shape: expected one size or more, got ()")
    for size in sizes:
        check_sizes(normalized_shape=size)
    return sizes


def _check_trailing(layer: Any, x: Any, sizes: tuple[int, ...]) -> None:
    """Raises unless the shape of x ends with sizes."""
    for axis, size in zip(range(-len(sizes), 0), sizes, strict=True):
        check_features(layer, x, axis, size, "normalized_shape")
