"""group_norm: groups of channels brought to mean 0 and variance 1 in each sample."""

from __future__ import annotations

from typing import Any

from ..compiled import row_norm as compiled
from ..cpu import group_norm as cpu
from ..cuda import group_norm as cuda
from ..namespace import namespace
from ..primitive import Primitive
from ._activations import activated, check_activation
from ._checks import check_whole
from ._normalise import (
    affine,
    check_eps,
    check_floating,
    check_parameters,
    standardised,
    widened,
)

__all__ = ["group_norm"]


def reference(
    x: Any, weight: Any = None, bias: Any = None, *, num_groups: int, eps: float = 1e-5, activation: str | None = None
) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias, mean and var over a sample's group of channels (Wu and He 2018).

    x (N, C, *S) -> y of the same shape; weight and bias (C,) or None. The C channels are num_groups groups of neighbours.
    float16 is computed in float32. activation: None, "relu", "tanh" or "sigmoid", applied to the result.
    """
    xp = namespace(x, weight, bias)
    check_floating(xp, x)
    if x.ndim < 2:
        raise ValueError(f"x: expected shape (N, C, *S), got {tuple(x.shape)}")
    n, channels, *sizes = x.shape
    check_whole("num_groups", num_groups)
    if num_groups < 1 or channels % num_groups:
        raise ValueError(f"num_groups: expected a divisor of the {channels} channels, got {num_groups}")
    check_parameters((channels,), weight=weight, bias=bias)
    check_eps(eps)
    check_activation(activation)
    grouped = xp.reshape(widened(xp, x), (n, num_groups, channels // num_groups, *sizes))
    y, _, _ = standardised(xp, grouped, tuple(range(2, grouped.ndim)), eps)
    y = affine(xp, xp.reshape(y, x.shape), weight, bias, (channels,) + (1,) * len(sizes), x.dtype)
    return activated(y, activation)


group_norm = Primitive(reference, name="group_norm")
group_norm.add("numpy", compiled.group_norm)
group_norm.add("numpy", cpu)
group_norm.add("cupy", cuda)
