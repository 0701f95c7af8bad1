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
from xpnn.random.key import integer, numbers
from xpnn.random.place import float_dtype, place, shape_of

Shape = int | Sequence[int]


class Where(TypedDict, total=False):
    """What is made, and where: see `xpnn.random.distributions`."""

    dtype: Any
    xp: Any
    device: Any


def constant(key: Key | None, shape: Shape, val: float, **where: Unpack[Where]) -> Any:
    """`val` everywhere; the key is not used. -> `shape`"""
    numbers(val=val)
    with place(where.get("xp"), where.get("device")) as (xp, device):
        return xp.full(shape_of(shape)[0], val, dtype=float_dtype(xp, where.get("dtype")), device=device)


def zeros(key: Key | None, shape: Shape, **where: Unpack[Where]) -> Any:
    """0 everywhere; the key is not used. -> `shape`"""
    return constant(key, shape, 0.0, **where)


def ones(key: Key | None, shape: Shape, **where: Unpack[Where]) -> Any:
    """1 everywhere; the key is not used. -> `shape`"""
    return constant(key, shape, 1.0, **where)


def uniform(key: Key, shape: Shape, a: float = 0.0, b: float = 1.0, **where: Unpack[Where]) -> Any:
    """Uniform in [a, b). -> `shape`"""
    numbers(a=a, b=b)
    if not (a <= b and math.isfinite(b - a)):
        raise ValueError(f"a, b: expected finite numbers, a <= b, got {a} and {b}")
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
    numbers(a=a, b=b)
    if not a < b:
        raise ValueError(f"a, b: expected a < b, got {a} and {b}")
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
    numbers(gain=gain)
    sizes, size = shape_of(shape)
    if len(sizes) < 2:
        raise ValueError(f"shape: expected at least 2 axes, got {sizes}")
    rows, columns = sizes[0], size // max(sizes[0], 1)
    normals = random.normal(key, (max(rows, columns), min(rows, columns)), dtype="float64", xp=np)
    q, r = np.linalg.qr(normals)
    # With a positive diagonal of r the factors are unique, and q is uniform over all orthogonal matrices.
    q = q * np.where(np.linalg.diagonal(r) < 0.0, -gain, gain)
    return _placed(np.reshape(q if rows >= columns else q.T, sizes), where)


def eye(key: Key | None, shape: Shape, **where: Unpack[Where]) -> Any:
    """1 on the diagonal, 0 elsewhere: a linear layer that keeps its inputs; the key is not used. -> `shape`, 2 axes"""
    rows, columns = _matrix(shape)
    with place(where.get("xp"), where.get("device")) as (xp, device):
        return xp.eye(rows, columns, dtype=float_dtype(xp, where.get("dtype")), device=device)


def dirac(key: Key | None, shape: Shape, groups: int = 1, **where: Unpack[Where]) -> Any:
    """1 in the middle of the kernel from an input to the output of its number, 0 elsewhere; the key is not used. -> `shape`

    A convolution of such weights, (outputs, inputs, *kernel) of 3 to 5 axes, keeps as many of its inputs as it can, in
    each of its `groups` of outputs.
    """
    sizes, _ = shape_of(shape)
    if len(sizes) not in (3, 4, 5):
        raise ValueError(f"shape: expected a weight of 3, 4 or 5 axes, got {sizes}")
    if integer("groups", groups) < 1 or sizes[0] % groups:
        raise ValueError(f"groups: expected a divisor of the {sizes[0]} outputs, got {groups}")
    ones = np.zeros((groups, sizes[0] // groups, *sizes[1:]))
    if all(sizes[2:]):
        kept = np.arange(min(sizes[0] // groups, sizes[1]))
        at: tuple[Any, ...] = (slice(None), kept, kept, *(n // 2 for n in sizes[2:]))
        ones[at] = 1.0
    return _placed(np.reshape(ones, sizes), where)


def sparse(key: Key, shape: Shape, sparsity: float, std: float = 0.01, **where: Unpack[Where]) -> Any:
    """Normal, with a fraction `sparsity` of each column, rounded up, set to 0 (Martens, 2010). -> `shape`, 2 axes"""
    rows, columns = _matrix(shape)
    numbers(sparsity=sparsity)
    if not isinstance(key, Key):
        raise TypeError(f"key: expected an xpnn.random.Key, got {type(key).__name__}; make one with Key(seed)")
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity: expected a number in [0, 1], got {sparsity}")
    values, order = key.split()
    weights = normal(values, shape, 0.0, std, **where)
    drawn = random.uniform(order, (rows, columns), dtype="float64", xp=np)
    ranks = np.argsort(np.argsort(drawn, axis=0, stable=True), axis=0)
    kept = np.asarray(ranks >= math.ceil(sparsity * rows), dtype=np.float64)
    weights *= _placed(kept, {**where, "dtype": weights.dtype})
    weights += 0.0  # 0 in place of -0
    return weights


def fans(shape: Shape) -> tuple[int, int]:
    """Inputs and outputs of one unit, fan_in and fan_out, of a weight (outputs, inputs, *kernel)."""
    sizes, _ = shape_of(shape)
    if len(sizes) < 2:
        raise ValueError(f"shape: expected a weight of at least 2 axes, got {sizes}")
    kernel = math.prod(sizes[2:])
    return sizes[1] * kernel, sizes[0] * kernel


def gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through an activation; `param` is the slope of a leaky ReLU (default 0.01)."""
    if not isinstance(nonlinearity, str):
        raise TypeError(f"nonlinearity: expected a word, got {type(nonlinearity).__name__}")
    if nonlinearity == "leaky_relu":
        numbers(**({} if param is None else {"param": param}))
        return math.sqrt(2.0 / (1.0 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"nonlinearity: expected 'leaky_relu' or one of {', '.join(_GAINS)}, got {nonlinearity!r}")
    return _GAINS[nonlinearity]


calculate_gain = gain  # torch's name of it

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


def _matrix(shape: Shape) -> tuple[int, int]:
    sizes, _ = shape_of(shape)
    if len(sizes) != 2:
        raise ValueError(f"shape: expected 2 axes, got {sizes}")
    return sizes[0], sizes[1]


def _placed(x: Any, where: Where) -> Any:
    """x, a NumPy array, as an array of the library, device and dtype that are asked for."""
    with place(where.get("xp"), where.get("device")) as (xp, device):
        dtype = float_dtype(xp, where.get("dtype"))
        return xp.asarray(np.ascontiguousarray(x), dtype=dtype, device=device)


def _check_gain(gain: float) -> None:
    numbers(gain=gain)
    if not 0 <= gain < math.inf:
        raise ValueError(f"gain: expected 0 or more, got {gain}")


def _xavier_std(shape: Shape, gain: float) -> float:
    _check_gain(gain)
    return gain * math.sqrt(2.0 / max(sum(fans(shape)), 1))


def _kaiming_std(shape: Shape, a: float, mode: str, nonlinearity: str) -> float:
    numbers(a=a)
    if not isinstance(mode, str) or mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode: expected 'fan_in' or 'fan_out', got {mode!r}")
    fan = fans(shape)[mode == "fan_out"]
    return gain(nonlinearity, a) / math.sqrt(max(fan, 1))
