"""conv: convolution over one, two or three axes; conv1d, conv2d and conv3d take torch's arguments."""

from __future__ import annotations

from math import prod
from typing import Any

from ..compiled import conv as compiled
from ..cpu import conv as cpu
from ..cuda import conv as cuda
from ..cuda import conv_depthwise
from ..namespace import namespace
from ..primitive import Primitive
from ._activations import activated, check_activation
from ._windows import Pairs, channels_of, convolved, fitting_sizes, pad, per_axis, taps, zero_padding

__all__ = ["conv", "conv1d", "conv2d", "conv3d"]


def reference(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int = 1,
    data_format: str = "channels_first",
    activation: str | None = None,
) -> Any:
    """y[n, k, o] = act(bias[k] + sum over c, t of weight[k, c, t] x[n, c, o stride + t dilation]), x padded with zeros.

    x (N, C, *S), weight (K, C / groups, *kernel), bias (K,) or None -> y (N, K, *O); with data_format="channels_last"
    x (N, *S, C) -> y (N, *O, K), the weight as before. One to three axes S; a tuple entry for each of them.
    padding: (before, after) for each axis. groups: output channels k see the input channels of their group only.
    activation: None, "relu", "tanh" or "sigmoid".
    """
    _check(x, weight, bias, groups, data_format)
    check_activation(activation)
    xp = namespace(x, weight, bias)
    if data_format == "channels_last":
        x = xp.moveaxis(x, -1, 1)
    n, channels, *sizes = x.shape
    filters, inner, *kernel = weight.shape
    out = fitting_sizes(tuple(sizes), tuple(kernel), stride, padding, dilation)
    by_tap = xp.permute_dims(weight, (*range(2, weight.ndim), 0, 1))
    weights = xp.unstack(xp.reshape(by_tap, (prod(kernel), groups, filters // groups, inner)))
    y = None
    for w, seen in zip(weights, taps(pad(xp, x, padding, 0.0), tuple(kernel), out, stride, dilation), strict=True):
        part = xp.matmul(w, xp.reshape(seen, (n, groups, channels // groups, prod(out))))
        y = part if y is None else y + part
    y = xp.reshape(y, (n, filters, *out))
    if bias is not None:
        y = y + xp.reshape(bias, (filters, *(1,) * len(out)))
    y = activated(y, activation)
    return xp.moveaxis(y, 1, -1) if data_format == "channels_last" else y


conv = Primitive(reference, name="conv")
conv.add("numpy", compiled)
conv.add("numpy", cpu)
conv.add("cupy", conv_depthwise)
conv.add("cupy", cuda)


def conv1d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1,
    *, data_format: str = "channels_first", activation: str | None = None,
) -> Any:  # fmt: skip
    """Convolution over one axis: x (N, C, L) or (C, L), weight (K, C / groups, kernel) -> y (N, K, O) or (K, O)."""
    return _conv(1, x, weight, bias, stride, padding, dilation, groups, data_format, activation)


def conv2d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1,
    *, data_format: str = "channels_first", activation: str | None = None,
) -> Any:  # fmt: skip
    """Convolution over two axes: x (N, C, H, W) or (C, H, W), weight (K, C / groups, kh, kw) -> y (N, K, OH, OW).

    stride, padding, dilation: an integer, or one for each axis. padding may be "valid" (none) or "same" (stride 1 only).
    """
    return _conv(2, x, weight, bias, stride, padding, dilation, groups, data_format, activation)


def conv3d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1,
    *, data_format: str = "channels_first", activation: str | None = None,
) -> Any:  # fmt: skip
    """Convolution over three axes: x (N, C, D, H, W) or (C, D, H, W), weight (K, C / groups, kd, kh, kw) -> y."""
    return _conv(3, x, weight, bias, stride, padding, dilation, groups, data_format, activation)


def _conv(
    axes: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int, data_format: str,
    activation: str | None,
) -> Any:  # fmt: skip
    """conv with its arguments in normal form; an x without a batch axis gets one meanwhile."""
    xp, x, had_batch = convolved(axes, x, weight, bias, groups, "outputs, inputs / groups")
    stride = per_axis("stride", stride, axes)
    dilation = per_axis("dilation", dilation, axes)
    padding = zero_padding(padding, tuple(weight.shape[2:]), stride, dilation)
    y = conv(
        x,
        weight,
        bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        data_format=data_format,
        activation=activation,
    )
    return y if had_batch else xp.squeeze(y, axis=0)


def _check(x: Any, weight: Any, bias: Any, groups: int, data_format: str) -> None:
    channels = channels_of(x, weight, groups, data_format, "outputs")
    filters, inner = weight.shape[:2]
    if channels != inner * groups:
        raise ValueError(
            f"x: expected {inner * groups} channels ({inner} x {groups} groups), got {channels} in {x.shape}"
        )
    if bias is not None and bias.shape != (filters,):
        raise ValueError(f"bias: expected shape ({filters},), got {bias.shape}")
