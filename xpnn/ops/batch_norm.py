"""batch_norm: channels brought to mean 0 and variance 1 over a batch; batch_norm_eval does so with given statistics."""

from __future__ import annotations

import math
from typing import Any

from ..compiled import batch_norm as compiled
from ..cpu import batch_norm as cpu
from ..cpu import batch_norm_eval as cpu_eval
from ..cuda import batch_norm as cuda
from ..cuda import batch_norm_eval as cuda_eval
from ..namespace import namespace
from ..primitive import Primitive
from ._activations import activated, check_activation
from ._normalise import (
    affine,
    check_eps,
    check_floating,
    check_parameters,
    standardised,
    widened,
)

__all__ = ["batch_norm", "batch_norm_eval"]


def reference(
    x: Any, weight: Any = None, bias: Any = None, *, eps: float = 1e-5, activation: str | None = None
) -> tuple[Any, Any, Any]:
    """(x - mean) / sqrt(var + eps) * weight + bias, mean and var over all axes but the channels' (Ioffe and Szegedy 2015).

    x (N, C, *S) -> y of the same shape, mean (C,) and var (C,), which has no correction; weight and bias (C,) or None. A
    single value per channel is a ValueError, for it would give 0; of none, mean and var are 0. float16 is computed in
    float32, and so are mean and var. activation: None, "relu", "tanh" or "sigmoid", applied to y.
    """
    xp = namespace(x, weight, bias)
    _check(xp, x, eps, activation, weight=weight, bias=bias)
    channels = x.shape[1]
    axes = (0, *range(2, x.ndim))
    if math.prod(x.shape[axis] for axis in axes) == 1:
        raise ValueError(f"x: expected more than 1 value per channel, got shape {tuple(x.shape)}")
    y, mean, var = standardised(xp, widened(xp, x), axes, eps)
    y = affine(xp, y, weight, bias, (channels,) + (1,) * (x.ndim - 2), x.dtype)
    return activated(y, activation), xp.reshape(mean, (channels,)), xp.reshape(var, (channels,))


def eval_reference(
    x: Any, mean: Any, var: Any, weight: Any = None, bias: Any = None, *, eps: float = 1e-5,
    activation: str | None = None,
) -> Any:  # fmt: skip
    """(x - mean) / sqrt(var + eps) * weight + bias.

    x (N, C, *S) -> y of the same shape; mean and var (C,); weight and bias (C,) or None. activation as in batch_norm.
    """
    xp = namespace(x, mean, var, weight, bias)
    _check(xp, x, eps, activation, mean=mean, var=var, weight=weight, bias=bias)
    shape = (x.shape[1],) + (1,) * (x.ndim - 2)
    centred = widened(xp, x) - xp.reshape(mean, shape)
    y = affine(xp, centred / xp.sqrt(xp.reshape(var, shape) + eps), weight, bias, shape, x.dtype)
    return activated(y, activation)


batch_norm = Primitive(reference, name="batch_norm")
batch_norm.add("numpy", compiled.training)
batch_norm.add("numpy", cpu)
batch_norm.add("cupy", cuda)
batch_norm_eval = Primitive(eval_reference, name="batch_norm_eval")
batch_norm_eval.add("numpy", compiled.evaluation)
batch_norm_eval.add("numpy", cpu_eval)
batch_norm_eval.add("cupy", cuda_eval)


def _check(xp: Any, x: Any, eps: float, activation: str | None, **arrays: Any) -> None:
    check_floating(xp, x)
    if x.ndim < 2:
        raise ValueError(f"x: expected shape (N, C, *S), got {tuple(x.shape)}")
    check_parameters((x.shape[1],), **arrays)
    check_eps(eps)
    check_activation(activation)
