"""Convolutions and transposed convolutions of 1, 2 and 3 dimensions."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from .. import ops
from ..ops._activations import check_activation
from ..ops._checks import check_flags, check_whole
from ..ops._windows import Pairs, first_axis, per_axis, transposed_sizes, zero_padding
from . import parameters
from .checks import check_features, check_rank, check_sizes
from .module import Module

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Windows(Module):
    """What convolutions and transposed ones share; ``dims`` is the number of spatial dimensions."""

    dims: ClassVar[int]

    def _set_options(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, dilation: Any, groups: int, data_format: str
    ) -> None:  # fmt: skip
        check_sizes(in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"groups: expected a divisor of in_channels {in_channels} and out_channels {out_channels}, got {groups}"
            )
        first_axis(data_format)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = per_axis("kernel_size", kernel_size, self.dims)
        self.stride = per_axis("stride", stride, self.dims)
        self.dilation = per_axis("dilation", dilation, self.dims)
        self.groups = groups
        self.data_format = data_format

    def _draw(self, outer: int, inner: int, bias: bool, dtype: Any, device: str | None) -> None:
        """The weight (outer, inner / groups, *kernel_size) and the bias."""
        check_flags(bias=bias)
        shape = (outer, inner // self.groups, *self.kernel_size)
        fan_in = math.prod(shape[1:])
        self.weight = parameters.uniform(shape, fan_in, dtype, device)
        self.bias = parameters.uniform((self.out_channels,), fan_in, dtype, device) if bias else None

    def _check_input(self, x: Any) -> None:
        check_rank(self, x, (self.dims + 1, self.dims + 2), f"(N, C, *S) or (C, *S) with {self.dims} dimensions S")
        axis = -1 if self.data_format == "channels_last" else -self.dims - 1
        check_features(self, x, axis, self.in_channels, "in_channels")

    def _repr(self, padding: Any, more: str = "") -> str:
        options = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={padding!r}{more}"
        if self.dilation != (1,) * self.dims:
            options += f", dilation={self.dilation}"
        if self.groups != 1:
            options += f", groups={self.groups}"
        return f"{self.in_channels}, {self.out_channels}, {options}, bias={self.bias is not None}"


class _Conv(_Windows):
    """What the convolutions share; ``dims`` is the number of spatial dimensions.

    x (N, in_channels, *S) or (in_channels, *S) -> y (N, out_channels, *S'); weight (out_channels, in_channels/groups,
    *kernel_size), bias (out_channels,). stride, padding and dilation: an integer or one per dimension; padding also "same"
    or "valid". S' = (S + 2*padding - dilation*(kernel_size - 1) - 1) // stride + 1. padding_mode: what the padding consists of,
    "zeros", or as in ops.pad "reflect", "replicate" or "circular".
    ``layer(x, activation="relu")`` (or "tanh", "sigmoid") applies an activation in the same step, as Sequential asks for.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | tuple[int, ...], stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] | str = 0, dilation: int | tuple[int, ...] = 1, groups: int = 1, bias: bool = True,
        padding_mode: str = "zeros", device: str | None = None, dtype: Any = None, *, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        self._set_options(in_channels, out_channels, kernel_size, stride, dilation, groups, data_format)
        self.padding = padding if isinstance(padding, str) else per_axis("padding", padding, self.dims, 0)
        self._amounts()  # raises for words that there are not
        if not isinstance(padding_mode, str) or padding_mode not in _PADDING_MODES:
            words = '"zeros", "reflect", "replicate" or "circular"'
            raise ValueError(f"padding_mode: expected {words}, got {padding_mode!r}")
        self.padding_mode = padding_mode
        self._draw(out_channels, in_channels, bias, dtype, device)

    def forward(self, x: Any, activation: str | None = None) -> Any:
        self._check_input(x)
        check_activation(activation)
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = self._padded(x), "valid"
        options: dict[str, Any] = {
            "stride": self.stride,
            "padding": padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }
        convolve = (ops.conv1d, ops.conv2d, ops.conv3d)[self.dims - 1]
        return convolve(x, self.weight, self.bias, **options, data_format=self.data_format, activation=activation)

    def _amounts(self) -> Pairs:
        """(before, after) for each dimension."""
        return zero_padding(self.padding, self.kernel_size, self.stride, self.dilation)

    def _padded(self, x: Any) -> Any:
        """x made longer by what its padding_mode finds in it."""
        amounts = [n for pair in reversed(self._amounts()) for n in pair]
        return ops.pad(x, [0, 0, *amounts] if self.data_format == "channels_last" else amounts, self.padding_mode)

    def extra_repr(self) -> str:
        mode = "" if self.padding_mode == "zeros" else f", padding_mode={self.padding_mode}"
        return self._repr(self.padding) + mode


class Conv1d(_Conv):
    __doc__ = _Conv.__doc__
    dims = 1


class Conv2d(_Conv):
    __doc__ = _Conv.__doc__
    dims = 2


class Conv3d(_Conv):
    __doc__ = _Conv.__doc__
    dims = 3


class _ConvTranspose(_Windows):
    """What the transposed convolutions share; ``dims`` is the number of spatial dimensions.

    x (N, in_channels, *S) or (in_channels, *S) -> y (N, out_channels, *S'); weight (in_channels, out_channels/groups,
    *kernel_size), bias (out_channels,). stride, padding, output_padding and dilation: an integer or one per dimension.
    S' = (S - 1)*stride - 2*padding + dilation*(kernel_size - 1) + 1 + output_padding; ``layer(x, output_size)`` chooses the
    output_padding that gives this S' (or shape of y). ``layer(x, activation="relu")`` (or "tanh", "sigmoid") applies an
    activation in the same step, as Sequential asks for.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | tuple[int, ...], stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] = 0, output_padding: int | tuple[int, ...] = 0, groups: int = 1, bias: bool = True,
        dilation: int | tuple[int, ...] = 1, padding_mode: str = "zeros",
        device: str | None = None, dtype: Any = None, *, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        if not isinstance(padding_mode, str) or padding_mode != "zeros":
            raise ValueError(f'padding_mode: expected "zeros" for a transposed convolution, got {padding_mode!r}')
        self._set_options(in_channels, out_channels, kernel_size, stride, dilation, groups, data_format)
        self.padding = per_axis("padding", padding, self.dims, 0)
        self.output_padding = per_axis("output_padding", output_padding, self.dims, 0)
        self.padding_mode = padding_mode
        self._draw(in_channels, out_channels, bias, dtype, device)

    def forward(self, x: Any, output_size: Any = None, activation: str | None = None) -> Any:
        self._check_input(x)
        check_activation(activation)
        last = self.data_format == "channels_last"
        more = self.output_padding if output_size is None else self._reaching(x, output_size, last)
        options: dict[str, Any] = {"groups": self.groups, "dilation": self.dilation, "data_format": self.data_format}
        convolve = (ops.conv_transpose1d, ops.conv_transpose2d, ops.conv_transpose3d)[self.dims - 1]
        return convolve(x, self.weight, self.bias, self.stride, self.padding, more, **options, activation=activation)

    def _reaching(self, x: Any, output_size: Any, last: bool) -> tuple[int, ...]:
        """The output_padding with which the output has this size: its dimensions S', or its shape."""
        if not isinstance(output_size, list | tuple):
            raise TypeError(f"output_size: expected {self.dims} sizes, or {x.ndim}, got {type(output_size).__name__}")
        for n in output_size:
            check_whole("output_size", n)
        size = tuple(output_size)
        if len(size) == x.ndim:
            size = size[-self.dims - 1 : -1] if last else size[-self.dims :]
        if len(size) != self.dims:
            raise ValueError(f"output_size: expected {self.dims} sizes, or {x.ndim}, got {output_size!r}")
        seen = x.shape[-self.dims - 1 : -1] if last else x.shape[-self.dims :]
        padding, none = tuple((p, p) for p in self.padding), (0,) * self.dims
        least = transposed_sizes(seen, self.kernel_size, self.stride, padding, none, self.dilation)
        more = tuple(n - m for n, m in zip(size, least, strict=True))
        if any(not 0 <= n < move for n, move in zip(more, self.stride, strict=True)):
            most = tuple(n + move - 1 for n, move in zip(least, self.stride, strict=True))
            raise ValueError(f"output_size: expected sizes from {least} to {most} for x {tuple(x.shape)}, got {size}")
        return more

    def extra_repr(self) -> str:
        more = f", output_padding={self.output_padding}" if any(self.output_padding) else ""
        return self._repr(self.padding, more)


class ConvTranspose1d(_ConvTranspose):
    __doc__ = _ConvTranspose.__doc__
    dims = 1


class ConvTranspose2d(_ConvTranspose):
    __doc__ = _ConvTranspose.__doc__
    dims = 2


class ConvTranspose3d(_ConvTranspose):
    __doc__ = _ConvTranspose.__doc__
    dims = 3
