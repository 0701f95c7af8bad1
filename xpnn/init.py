"""Initialisers: first values of parameters, as functions of a key and a shape.

Names, arguments and defaults are those of `torch.nn.init`. Every function ends with the keywords `dtype`, `xp` and
`device` of `xpnn.random`, and the same key gives the same bits on every library and device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

import numpy as np

from xpnn import random
from xpnn.random import Key
from xpnn.random.place import float_dtype, place, shape_of

Shape = int | Sequence[int]


class Where(TypedDict, total=False):
    """What is made, and where: see `xpnn.random.distributions`."""

    dtype: Any
    xp: Any
    device: Any


def constant(key: Key | None, shape: Shape, value: float, **where: Unpack[Where]) -> Any:
    """`value` everywhere; the key is not used. -> `shape`"""
    with place(where.get("xp"), where.get("device")) as (xp, device):
        return xp.full(shape_of(shape)[0], value, dtype=float_dtype(xp, where.get("dtype")), device=device)


def zeros(key: Key | None, shape: Shape, **where: Unpack[Where]) -> Any:
    """0 everywhere; the key is not used. -> `shape`"""
    return constant(key, shape, 0.0, **where)


def ones(key: Key | None, shape: Shape, **where: Unpack[Where]) -> Any:
    """1 everywhere; the key is not used. -> `shape`"""
    return constant(key, shape, 1.0, **where)


def uniform(key: Key, shape: Shape, a: float = 0.0, b: float = 1.0, **where: Unpack[Where]) -> Any:
    """Uniform in [a, b). -> `shape`"""
    return random.uniform(key, shape, low=a, high=b, **where)


def normal(key: Key, shape: Shape, mean: float = 0.0, std: float = 1.0, **where: Unpack[Where]) -> Any:
    """Normal. -> `shape`"""
    return random.normal(key, shape, mean=mean, std=std, **where)


def trunc_normal(
    key: Key,
    shape: Shape,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    **where: Unpack[Where],
) -> Any:
    """Normal, given a <= x <= b; `mean` and `std` are those before the cut. -> `shape`"""
    return random.truncated_normal(key, shape, a, b, mean=mean, std=std, **where)


def xavier_uniform(key: Key, shape: Shape, gain: float = 1.0, **where: Unpack[Where]) -> Any:
    """Uniform of standard deviation gain * sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio, 2010). -> `shape`"""
    bound = math.sqrt(3.0) * _xavier_std(shape, gain)
    return uniform(key, shape, -bound, bound, **where)


def xavier_normal(key: Key, shape: Shape, gain: float = 1.0, **where: Unpack[Where]) -> Any:
    """Normal of standard deviation gain * sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio, 2010). -> `shape`"""
    return normal(key, shape, 0.0, _xavier_std(shape, gain), **where)


def kaiming_uniform(
    key: Key,
    shape: Shape,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    **where: Unpack[Where],
) -> Any:
    """Uniform of standard deviation gain / sqrt(fan) (He et al., 2015). -> `shape`

    a: the slope of the leaky ReLU; linear layers and convolutions use sqrt(5), so that the bound is 1 / sqrt(fan_in).
    mode: "fan_in" keeps the variance of activations, "fan_out" that of gradients.
    """
    bound = math.sqrt(3.0) * _kaiming_std(shape, a, mode, nonlinearity)
    return uniform(key, shape, -bound, bound, **where)


def kaiming_normal(
    key: Key,
    shape: Shape,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    **where: Unpack[Where],
) -> Any:
    """Normal of standard deviation gain / sqrt(fan) (He et al., 2015), as `kaiming_uniform`. -> `shape`"""
    return normal(key, shape, 0.0, _kaiming_std(shape, a, mode, nonlinearity), **where)


def orthogonal(key: Key, shape: Shape, gain: float = 1.0, **where: Unpack[Where]) -> Any:
    """gain times a random orthogonal matrix (Saxe et al., 2014). -> `shape`, (rows, ...) seen as (rows, columns)

    The shorter of rows and columns are orthonormal. Computed in float64 on the host, wherever the result goes.
    """
    sizes, size = shape_of(shape)
    if len(sizes) < 2:
        raise ValueError(f"shape: expected at least 2 axes, got {sizes}")
    rows, columns = sizes[0], size // max(sizes[0], 1)
    normals = random.normal(key, (max(rows, columns), min(rows, columns)), dtype="float64", xp=np)
    q, r = np.linalg.qr(normals)
    # With a positive diagonal of r the factors are unique, and q is uniform over all orthogonal matrices.
    q = q * np.where(np.linalg.diagonal(r) < 0.0, -gain, gain)
    q = np.reshape(q if rows >= columns else q.T, sizes)
    with place(where.get("xp"), where.get("device")) as (xp, device):
        dtype = float_dtype(xp, where.get("dtype"))
        return xp.asarray(np.ascontiguousarray(q), dtype=dtype, device=device)


def fans(shape: Shape) -> tuple[int, int]:
    """Inputs and outputs of one unit, fan_in and fan_out, of a weight (outputs, inputs, *kernel)."""
    sizes, _ = shape_of(shape)
    if len(sizes) < 2:
        raise ValueError(f"shape: expected a weight of at least 2 axes, got {sizes}")
    kernel = math.prod(sizes[2:])
    return sizes[1] * kernel, sizes[0] * kernel


def gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through an activation; `param` is the slope of a leaky ReLU (default 0.01)."""
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1.0 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"nonlinearity: expected 'leaky_relu' or one of {', '.join(_GAINS)}, got {nonlinearity!r}")
    return _GAINS[nonlinearity]


_LINEAR = (
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "sigmoid",
)
_GAINS = {**dict.fromkeys(_LINEAR, 1.0), "tanh": 5.0 / 3.0, "relu": math.sqrt(2.0), "selu": 0.75}


def _xavier_std(shape: Shape, gain: float) -> float:
    return gain * math.sqrt(2.0 / max(sum(fans(shape)), 1))


def _kaiming_std(shape: Shape, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode: expected 'fan_in' or 'fan_out', got {mode!r}")
    fan = fans(shape)[mode == "fan_out"]
    return gain(nonlinearity, a) / math.sqrt(max(fan, 1))
