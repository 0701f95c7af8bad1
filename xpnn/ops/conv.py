"""conv: convolution over one, two or three axes; conv1d, conv2d and conv3d take torch's arguments."""

from __future__ import annotations

from math import prod
from typing import Any

from ..compiled import conv as compiled
from ..cpu import conv as cpu
from ..cuda import conv as cuda
from ..cuda import conv_depthwise, conv_depthwise_last
from ..namespace import namespace
from ..primitive import Primitive
from ._activations import activated, check_activation
from ._windows import Pairs, channels_of, convolved, fitting_sizes, pad, per_axis, taps, zero_padding

__all__ = ["conv", "conv1d", "conv2d", "conv3d"]


def reference(
    x: Any,
    weight: Any,
    bias: Any = None,
    scale: Any = None,
    residual: Any = None,
    *,
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int = 1,
    data_format: str = "channels_first",
    activation: str | None = None,
) -> Any:
    """y[n, k, o] = act(scale[k] sum over c, t of weight[k, c, t] x[n, c, o stride + t dilation] + bias[k] + residual[n, k, o]).

    x (N, C, *S), weight (K, C / groups, *kernel), bias (K,) or None -> y (N, K, *O); with data_format="channels_last"
    x (N, *S, C) -> y (N, *O, K), the weight as before. One to three axes S; a tuple entry for each of them.
    padding: (before, after) for each axis. groups: output channels k see the input channels of their group only.
    x is padded with zeros. scale (K,) and residual, of the shape of y, may be None. activation: None, "relu", "tanh" or "sigmoid".
    """
    _check(x, weight, groups, data_format, bias=bias, scale=scale)
    check_activation(activation)
    xp = namespace(x, weight, bias, scale, residual)
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
    if scale is not None:
        y = y * xp.reshape(scale, (filters, *(1,) * len(out)))
    if bias is not None:
        y = y + xp.reshape(bias, (filters, *(1,) * len(out)))
    y = xp.moveaxis(y, 1, -1) if data_format == "channels_last" else y
    if residual is not None:
        if residual.shape != y.shape:
            raise ValueError(
                f"residual: expected the shape {tuple(y.shape)} of the output, got {tuple(residual.shape)}"
            )
        y = y + residual
    return activated(y, activation)


conv = Primitive(reference, name="conv")
conv.add("numpy", compiled)
conv.add("numpy", cpu)
conv.add("cupy", conv_depthwise_last)
conv.add("cupy", conv_depthwise)
conv.add("cupy", cuda)


def conv1d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1,
    *, data_format: str = "channels_first", activation: str | None = None, scale: Any = None,
    residual: Any = None,
) -> Any:  # fmt: skip
    """Convolution over one axis: x (N, C, L) or (C, L), weight (K, C / groups, kernel) -> y (N, K, O) or (K, O)."""
    return _conv(1, x, weight, bias, stride, padding, dilation, groups, data_format, activation, scale, residual)


def conv2d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1,
    *, data_format: str = "channels_first", activation: str | None = None, scale: Any = None,
    residual: Any = None,
) -> Any:  # fmt: skip
    """Convolution over two axes: x (N, C, H, W) or (C, H, W), weight (K, C / groups, kh, kw) -> y (N, K, OH, OW).

    stride, padding, dilation: an integer, or one for each axis. padding may be "valid" (none) or "same" (stride 1 only).
    scale (K,) multiplies the sums before the bias is added; residual, of the shape of y, is added before the activation.
    """
    return _conv(2, x, weight, bias, stride, padding, dilation, groups, data_format, activation, scale, residual)


def conv3d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1,
    *, data_format: str = "channels_first", activation: str | None = None, scale: Any = None,
    residual: Any = None,
) -> Any:  # fmt: skip
    """Convolution over three axes: x (N, C, D, H, W) or (C, D, H, W), weight (K, C / groups, kd, kh, kw) -> y."""
    return _conv(3, x, weight, bias, stride, padding, dilation, groups, data_format, activation, scale, residual)


def _conv(
    axes: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int, data_format: str,
    activation: str | None, scale: Any, residual: Any,
) -> Any:  # fmt: skip
    """conv with its arguments in normal form; an x without a batch axis gets one meanwhile."""
    xp, x, had_batch = convolved(axes, x, weight, bias, groups, "outputs, inputs / groups")
    stride = per_axis("stride", stride, axes)
    dilation = per_axis("dilation", dilation, axes)
    padding = zero_padding(padding, tuple(weight.shape[2:]), stride, dilation)
    if residual is not None and not had_batch:
        residual = xp.expand_dims(residual, axis=0)
    y = conv(
        x,
        weight,
        bias,
        scale,
        residual,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        data_format=data_format,
        activation=activation,
    )
    return y if had_batch else xp.squeeze(y, axis=0)


def _check(x: Any, weight: Any, groups: int, data_format: str, **of_channels: Any) -> None:
    channels = channels_of(x, weight, groups, data_format, "outputs")
    filters, inner = weight.shape[:2]
    if channels != inner * groups:
        raise ValueError(
            f"x: expected {inner * groups} channels ({inner} x {groups} groups), got {channels} in {x.shape}"
        )
    for name, array in of_channels.items():
        if array is not None and array.shape != (filters,):
            raise ValueError(f"{name}: expected shape ({filters},), got {array.shape}")
