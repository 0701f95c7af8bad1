"""conv_batch_norm: a convolution and the batch norm of its output in training, which takes its statistics from the convolution."""

from __future__ import annotations

from typing import Any

from ..cpu import conv_batch_norm as cpu
from ..cuda import conv_batch_norm as cuda
from ..namespace import namespace
from ..primitive import Primitive
from ._windows import Pairs
from .batch_norm import reference as batch_norm
from .conv import reference as conv

__all__ = ["conv_batch_norm"]


def reference(
    x: Any,
    weight: Any,
    bias: Any = None,
    gain: Any = None,
    shift: Any = None,
    *,
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int = 1,
    data_format: str = "channels_first",
    eps: float = 1e-5,
    activation: str | None = None,
) -> tuple[Any, Any, Any]:
    """batch_norm(conv(x, weight, bias), gain, shift), with the options of both.

    x (N, C, *S), weight (K, C / groups, *kernel), bias, gain, shift (K,) or None -> y (N, K, *O), mean (K,) and var (K,) of the
    convolution, var without correction; with data_format="channels_last" x (N, *S, C) -> y (N, *O, K).
    """
    options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    z = conv(x, weight, bias, **options, data_format=data_format)
    last = data_format == "channels_last"
    xp = namespace(z)
    y, mean, var = batch_norm(xp.moveaxis(z, -1, 1) if last else z, gain, shift, eps=eps, activation=activation)
    return xp.moveaxis(y, 1, -1) if last else y, mean, var


conv_batch_norm = Primitive(reference, name="conv_batch_norm")
conv_batch_norm.add("numpy", cpu)
conv_batch_norm.add("cupy", cuda)
