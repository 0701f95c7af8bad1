"""conv_transpose: the transposed convolution over one, two or three axes; conv_transpose1d to 3d take torch's arguments."""

from __future__ import annotations

from math import prod
from typing import Any

from ..cpu import conv_transpose as cpu
from ..cpu.windows import fits_output_padding
from ..cuda import conv_transpose as cuda
from ..cuda import conv_transpose_depthwise
from ..namespace import namespace
from ..primitive import Primitive
from ._activations import activated, check_activation
from ._windows import Pairs, channels_of, convolved, per_axis, transposed_sizes

__all__ = ["conv_transpose", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


def reference(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    stride: tuple[int, ...],
    padding: Pairs,
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int = 1,
    data_format: str = "channels_first",
    activation: str | None = None,
) -> Any:
    """y[n, k, i stride + t dilation - before] = act(bias[k] + sum over c of weight[c, k, t] x[n, c, i]): conv's gradient of x.

    x (N, C, *S), weight (C, K / groups, *kernel), bias (K,) or None -> y (N, K, *O) with
    O = (S - 1) stride - before - after + dilation (kernel - 1) + 1 + output_padding; with data_format="channels_last"
    x (N, *S, C) -> y (N, *O, K). padding: (before, after) for each axis, which is cut off. output_padding: places more at
    the end. activation: None, "relu", "tanh" or "sigmoid".
    """
    _check(x, weight, bias, groups, data_format)
    check_activation(activation)
    xp = namespace(x, weight, bias)
    if data_format == "channels_last":
        x = xp.moveaxis(x, -1, 1)
    n, channels, *sizes = x.shape
    _, inner, *kernel = weight.shape
    out = _sizes(tuple(sizes), tuple(kernel), stride, padding, output_padding, dilation)
    by_tap = xp.permute_dims(weight, (*range(2, weight.ndim), 1, 0))
    split = xp.permute_dims(xp.reshape(by_tap, (prod(kernel), inner, groups, channels // groups)), (0, 2, 1, 3))
    columns = xp.matmul(split, xp.reshape(x, (n, 1, groups, channels // groups, prod(sizes))))
    y = xp.reshape(columns, (n, *kernel, groups * inner, *sizes))
    for axis in range(len(sizes)):
        y = _spread(xp, y, axis, len(sizes), stride[axis], dilation[axis], padding[axis][0], out[axis])
    if bias is not None:
        y = y + xp.reshape(bias, (groups * inner, *(1,) * len(out)))
    y = activated(y, activation)
    return xp.moveaxis(y, 1, -1) if data_format == "channels_last" else y


conv_transpose = Primitive(reference, name="conv_transpose")
conv_transpose.add("numpy", cpu)
conv_transpose.add("cupy", conv_transpose_depthwise)
conv_transpose.add("cupy", cuda)


def _spread(xp: Any, y: Any, axis: int, axes: int, stride: int, dilation: int, before: int, out: int) -> Any:
    """Columns y (N, taps, *more taps, K, *O, S, *rest) added up along axis S: (N, *more taps, K, *O, O of this axis, *rest).

    A tap's elements stand ``stride`` apart, with zeros between them, from tap * dilation on.
    """
    place = y.ndim - axes + axis
    size = y.shape[place]
    apart = xp.expand_dims(y, axis=place + 1)
    if stride > 1:
        gap = (*apart.shape[: place + 1], stride - 1, *apart.shape[place + 2 :])
        apart = xp.concat([apart, xp.zeros(gap, dtype=y.dtype, device=y.device)], axis=place + 1)
    apart = xp.reshape(apart, (*y.shape[:place], size * stride, *y.shape[place + 1 :]))
    total = None
    for tap, part in enumerate(xp.unstack(apart, axis=1)):
        part = _shifted(xp, part, place - 1, tap * dilation - before, out)
        total = part if total is None else total + part
    return total


def _shifted(xp: Any, x: Any, axis: int, by: int, out: int) -> Any:
    """x moved along an axis by some places, with ``out`` places in all; what is not of x is zero."""
    size = x.shape[axis]
    first, last = max(-by, 0), min(size, out - by)
    if first >= last:
        return xp.zeros((*x.shape[:axis], out, *x.shape[axis + 1 :]), dtype=x.dtype, device=x.device)
    inside = x[(*(slice(None),) * axis, slice(first, last), ...)]
    around = [
        xp.zeros((*x.shape[:axis], n, *x.shape[axis + 1 :]), dtype=x.dtype, device=x.device)
        for n in (first + by, out - by - last)
    ]
    parts = [part for part in (around[0], inside, around[1]) if part.shape[axis]]
    return inside if len(parts) == 1 else xp.concat(parts, axis=axis)


def _sizes(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[int, ...]:
    """The sizes of y; ValueError where there is nothing left of it, or output_padding is too large."""
    if not fits_output_padding(output_padding, stride, dilation):
        raise ValueError(
            f"output_padding: expected less than the stride {stride} or the dilation {dilation}, got {output_padding}"
        )
    out = transposed_sizes(sizes, kernel, stride, padding, output_padding, dilation)
    if any(n < 1 for n in out):
        raise ValueError(f"x: axes {sizes} are too small for the kernel {kernel} with padding {padding}, expected more")
    return out


def conv_transpose1d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1,
    dilation: Any = 1, *, data_format: str = "channels_first", activation: str | None = None,
) -> Any:  # fmt: skip
    """Transposed convolution over one axis: x (N, C, L) or (C, L), weight (C, K / groups, kernel) -> y (N, K, O)."""
    return _transpose(1, x, weight, bias, stride, padding, output_padding, groups, dilation, data_format, activation)


def conv_transpose2d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1,
    dilation: Any = 1, *, data_format: str = "channels_first", activation: str | None = None,
) -> Any:  # fmt: skip
    """Transposed convolution over two axes: x (N, C, H, W) or (C, H, W), weight (C, K / groups, kh, kw) -> y.

    stride, padding, output_padding, dilation: an integer, or one for each axis.
    """
    return _transpose(2, x, weight, bias, stride, padding, output_padding, groups, dilation, data_format, activation)


def conv_transpose3d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1,
    dilation: Any = 1, *, data_format: str = "channels_first", activation: str | None = None,
) -> Any:  # fmt: skip
    """Transposed convolution over three axes: x (N, C, D, H, W) or (C, D, H, W), weight (C, K / groups, kd, kh, kw) -> y."""
    return _transpose(3, x, weight, bias, stride, padding, output_padding, groups, dilation, data_format, activation)


def _transpose(
    axes: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any, groups: int, dilation: Any,
    data_format: str, activation: str | None,
) -> Any:  # fmt: skip
    """conv_transpose with its arguments in normal form; an x without a batch axis gets one meanwhile."""
    xp, x, had_batch = convolved(axes, x, weight, bias, groups, "inputs, outputs / groups")
    y = conv_transpose(
        x,
        weight,
        bias,
        stride=per_axis("stride", stride, axes),
        padding=tuple((p, p) for p in per_axis("padding", padding, axes, least=0)),
        output_padding=per_axis("output_padding", output_padding, axes, least=0),
        dilation=per_axis("dilation", dilation, axes),
        groups=groups,
        data_format=data_format,
        activation=activation,
    )
    return y if had_batch else xp.squeeze(y, axis=0)


def _check(x: Any, weight: Any, bias: Any, groups: int, data_format: str) -> None:
    own = channels_of(x, weight, groups, data_format, "inputs")
    channels, inner = weight.shape[:2]
    if own != channels:
        raise ValueError(
            f"x: expected {channels} channels for a weight of shape {weight.shape}, got {own} in {x.shape}"
        )
    if bias is not None and bias.shape != (inner * groups,):
        raise ValueError(f"bias: expected shape ({inner * groups},), got {bias.shape}")
