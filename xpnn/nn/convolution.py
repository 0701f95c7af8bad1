"""Convolutions of 1, 2 and 3 dimensions."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from .. import ops
from ..ops._windows import per_axis
from . import parameters
from .checks import check_features, check_rank, check_sizes
from .module import Module

__all__ = ["Conv1d", "Conv2d", "Conv3d"]


class _Conv(Module):
    """What the convolutions share; ``dims`` is the number of spatial dimensions.

    x (N, in_channels, *S) or (in_channels, *S) -> y (N, out_channels, *S'); weight (out_channels, in_channels/groups,
    *kernel_size), bias (out_channels,). stride, padding and dilation: an integer or one per dimension; padding also "same"
    or "valid". S' = (S + 2*padding - dilation*(kernel_size - 1) - 1) // stride + 1.
    ``layer(x, activation="relu")`` (or "tanh", "sigmoid") applies an activation in the same step, as Sequential asks for.
    """

    dims: ClassVar[int]

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | tuple[int, ...], stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] | str = 0, dilation: int | tuple[int, ...] = 1, groups: int = 1, bias: bool = True,
        *, device: str | None = None, dtype: Any = None, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        check_sizes(in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"groups: {groups} divides not both in_channels {in_channels} and out_channels {out_channels}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = per_axis("kernel_size", kernel_size, self.dims)
        self.stride = per_axis("stride", stride, self.dims)
        self.padding = padding if isinstance(padding, str) else per_axis("padding", padding, self.dims, 0)
        self.dilation = per_axis("dilation", dilation, self.dims)
        self.groups = groups
        self.data_format = data_format
        fan_in = in_channels // groups * math.prod(self.kernel_size)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = parameters.uniform(shape, fan_in, dtype, device)
        self.bias = parameters.uniform((out_channels,), fan_in, dtype, device) if bias else None

    def forward(self, x: Any, activation: str | None = None) -> Any:
        check_rank(self, x, (self.dims + 1, self.dims + 2), f"(N, C, *S) or (C, *S) with {self.dims} dimensions S")
        axis = -1 if self.data_format == "channels_last" else -self.dims - 1
        check_features(self, x, axis, self.in_channels, "in_channels")
        options: dict[str, Any] = {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }
        convolve = (ops.conv1d, ops.conv2d, ops.conv3d)[self.dims - 1]
        return convolve(x, self.weight, self.bias, **options, data_format=self.data_format, activation=activation)

    def extra_repr(self) -> str:
        options = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding!r}"
        if self.dilation != (1,) * self.dims:
            options += f", dilation={self.dilation}"
        if self.groups != 1:
            options += f", groups={self.groups}"
        return f"{self.in_channels}, {self.out_channels}, {options}, bias={self.bias is not None}"


class Conv1d(_Conv):
    __doc__ = _Conv.__doc__
    dims = 1


class Conv2d(_Conv):
    __doc__ = _Conv.__doc__
    dims = 2


class Conv3d(_Conv):
    __doc__ = _Conv.__doc__
    dims = 3
