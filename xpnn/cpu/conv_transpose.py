"""conv_transpose for NumPy: the passes of conv with x in the place of the gradient of its output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import conv
from .activated import ACTIVATIONS, activate, pulled
from .dtypes import refuse_dtypes
from .im2col import geometry
from .windows import Pairs, adjoint_padding, fits_output_padding, transposed_sizes

__all__ = ["backward", "forward", "refusal", "refuse_arguments"]


def refusal(x: Any, weight: Any, bias: Any, **options: Any) -> str | None:
    return refuse_arguments(x, weight, bias, **options) or refuse_dtypes(x, weight, bias)


def refuse_arguments(
    x: Any,
    weight: Any,
    bias: Any,
    *,
    stride: tuple[int, ...],
    padding: Pairs,
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int = 1,
    data_format: str = "channels_first",
    activation: str | None = None,
) -> str | None:
    """What is wrong with the arguments, whatever the library, in words."""
    if data_format not in ("channels_first", "channels_last"):
        return f"data_format {data_format}"
    if activation not in ACTIVATIONS:
        return f"activation {activation}"
    last = data_format == "channels_last"
    if not 3 <= x.ndim == weight.ndim <= 5 or groups < 1 or weight.shape[0] % groups:
        return "shapes"
    if x.shape[-1 if last else 1] != weight.shape[0]:
        return "shapes"
    if bias is not None and bias.shape != (weight.shape[1] * groups,):
        return "shapes"
    if 0 in x.shape or 0 in weight.shape:
        return "size 0"
    sizes, kernel = (x.shape[1:-1] if last else x.shape[2:]), weight.shape[2:]
    if not fits_output_padding(output_padding, stride, dilation):
        return f"output_padding {output_padding}"
    if min(transposed_sizes(sizes, kernel, stride, padding, output_padding, dilation)) < 1:
        return "nothing left of the output"
    return None


def forward(
    x: Any,
    weight: Any,
    bias: Any,
    *,
    stride: tuple[int, ...],
    padding: Pairs,
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int = 1,
    data_format: str = "channels_first",
    activation: str | None = None,
    need: tuple[bool, ...],
) -> tuple[Any, Any]:
    first = conv.first(x, data_format)
    sizes, kernel = first.shape[2:], weight.shape[2:]
    out = transposed_sizes(sizes, kernel, stride, padding, output_padding, dilation)
    pairs = adjoint_padding(sizes, out, kernel, stride, padding, dilation)
    # Places at the end that no window reaches hold the bias alone; the passes of conv do without them.
    reached = tuple(n + min(after, 0) for n, (_, after) in zip(out, pairs, strict=True))
    pairs = tuple((before, max(after, 0)) for before, after in pairs)
    shape = first.shape[0], weight.shape[1] * groups, *reached
    plan = geometry(shape, weight.shape, stride, pairs, dilation, groups)
    y = conv.empty(data_format, (*shape[:2], *out), x.dtype)
    inside = (..., *(slice(n) for n in reached))
    if reached != out:
        y[...] = 0
    conv.sweep(plan, first, weight.reshape(groups, -1, plan.depth), first, y[inside], None)
    if bias is not None:
        y += bias.reshape(-1, *(1,) * len(out))
    activate(y, activation)
    result = y if data_format == "channels_first" else np.moveaxis(y, 1, -1)
    if True not in need:
        return result, None
    return result, (first, weight, plan, inside, data_format, None if activation is None else result, activation)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, Any, Any]:
    x, weight, plan, inside, data_format, y, activation = residuals
    dz = conv.first(pulled(g, y, activation), data_format)
    db = np.add.reduce(dz, axis=(0, *range(2, dz.ndim))) if need[2] else None
    dz = dz[inside]
    options = {"stride": plan.stride, "padding": plan.padding, "dilation": plan.dilation, "groups": plan.groups}
    dx = conv.forward(dz, weight, None, **options, need=(False,) * 3)[0] if need[0] else None
    if dx is not None and data_format == "channels_last":
        dx = np.moveaxis(dx, 1, -1)
    dweight = np.zeros(weight.shape, weight.dtype) if need[1] else None
    if dweight is not None:
        conv.sweep(plan, dz, weight, x, None, dweight.reshape(plan.groups, -1, plan.depth))
    return dx, dweight, db
