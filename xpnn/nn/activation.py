"""Activations as modules; as functions, with their formulas, they are in xpnn.ops.

Each class lists its options with torch's defaults, in torch's order. ``inplace`` is accepted for torch's sake: nothing is ever
written into the caller's array.
"""

from __future__ import annotations

from typing import Any

from .. import ops
from ..init import constant
from ..ops._checks import check_number, check_word
from ..random import next_key
from .checks import check_rank, check_sizes
from .module import Module
from .options import Function, options

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


@options
class ReLU(Function):
    """max(x, 0)."""

    function = staticmethod(ops.relu)
    inplace: bool = False


@options
class ReLU6(Function):
    """x, at least 0 and at most 6."""

    function = staticmethod(ops.relu6)
    inplace: bool = False


@options
class LeakyReLU(Function):
    """x where x > 0, negative_slope * x elsewhere."""

    function = staticmethod(ops.leaky_relu)
    negative_slope: float = 0.01
    inplace: bool = False


@options
class ELU(Function):
    """x where x > 0, alpha * (exp(x) - 1) elsewhere."""

    function = staticmethod(ops.elu)
    alpha: float = 1.0
    inplace: bool = False


@options
class CELU(Function):
    """x where x > 0, alpha * (exp(x / alpha) - 1) elsewhere."""

    function = staticmethod(ops.celu)
    alpha: float = 1.0
    inplace: bool = False


@options
class SELU(Function):
    """elu with the two constants that keep mean 0 and variance 1."""

    function = staticmethod(ops.selu)
    inplace: bool = False


@options
class GELU(Function):
    """x * Phi(x), Phi the normal distribution function; approximate="tanh" for the usual approximation."""

    function = staticmethod(ops.gelu)
    approximate: str = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_word("approximate", self.approximate, "none", "tanh")


@options
class SiLU(Function):
    """x * sigmoid(x)."""

    function = staticmethod(ops.silu)
    inplace: bool = False


@options
class Mish(Function):
    """x * tanh(softplus(x))."""

    function = staticmethod(ops.mish)
    inplace: bool = False


@options
class Tanh(Function):
    """tanh(x)."""

    function = staticmethod(ops.tanh)


@options
class Sigmoid(Function):
    """1 / (1 + exp(-x))."""

    function = staticmethod(ops.sigmoid)


@options
class LogSigmoid(Function):
    """log(sigmoid(x))."""

    function = staticmethod(ops.logsigmoid)


@options
class Softplus(Function):
    """log(1 + exp(beta * x)) / beta, linear beyond beta * x > threshold."""

    function = staticmethod(ops.softplus)
    beta: float = 1.0
    threshold: float = 20.0


@options
class Softsign(Function):
    """x / (1 + |x|)."""

    function = staticmethod(ops.softsign)


@options
class Tanhshrink(Function):
    """x - tanh(x)."""

    function = staticmethod(ops.tanhshrink)


@options
class Hardshrink(Function):
    """x where |x| > lambd, 0 elsewhere."""

    function = staticmethod(ops.hardshrink)
    lambd: float = 0.5


@options
class Softshrink(Function):
    """x, brought nearer to 0 by lambd, and 0 where it is as near."""

    function = staticmethod(ops.softshrink)
    lambd: float = 0.5


@options
class Hardtanh(Function):
    """x, at least min_val and at most max_val."""

    function = staticmethod(ops.hardtanh)
    min_val: float = -1.0
    max_val: float = 1.0
    inplace: bool = False


@options
class Hardsigmoid(Function):
    """x / 6 + 1/2, at least 0 and at most 1."""

    function = staticmethod(ops.hardsigmoid)
    inplace: bool = False


@options
class Hardswish(Function):
    """x * hardsigmoid(x)."""

    function = staticmethod(ops.hardswish)
    inplace: bool = False


@options
class Threshold(Function):
    """x where x > threshold, value elsewhere."""

    function = staticmethod(ops.threshold)
    threshold: float
    value: float
    inplace: bool = False


# ---- along an axis


@options
class _AlongDim(Function):
    dim: int = -1

    def forward(self, x: Any) -> Any:
        return type(self).function(x, axis=self.dim)


class Softmax(_AlongDim):
    """exp(x) / sum(exp(x)) along dim."""

    function = staticmethod(ops.softmax)


class Softmin(_AlongDim):
    """softmax(-x) along dim."""

    function = staticmethod(ops.softmin)


class LogSoftmax(_AlongDim):
    """log(softmax(x)) along dim."""

    function = staticmethod(ops.log_softmax)


class GLU(_AlongDim):
    """The first half of dim times the sigmoid of the second half."""

    function = staticmethod(ops.glu)


class Softmax2d(Module):
    """softmax over the channels, for each place: x (N, C, H, W) or (C, H, W) -> y of the same shape."""

    def forward(self, x: Any) -> Any:
        check_rank(self, x, (3, 4), "(N, C, H, W) or (C, H, W)")
        return ops.softmax(x, axis=-3)


# ---- with more than options


class PReLU(Module):
    """x where x > 0, weight * x elsewhere; weight (num_parameters,): one slope, or one for each channel on axis 1."""

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: str | None = None, dtype: Any = None
    ) -> None:
        check_sizes(num_parameters=num_parameters)
        check_number("init", init)
        self.num_parameters = num_parameters
        self.weight = constant(None, (num_parameters,), init, dtype=dtype, device=device)

    def forward(self, x: Any) -> Any:
        return ops.prelu(x, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


@options
class RReLU(Function):
    """x where x > 0, elsewhere x times a slope: in training a random one from lower to upper, else the mean of the two."""

    lower: float = 1 / 8
    upper: float = 1 / 3
    inplace: bool = False

    def forward(self, x: Any) -> Any:
        return ops.rrelu(x, self.lower, self.upper, key=next_key() if self.training else None)


class Identity(Module):
    """x; takes any arguments and heeds none, so that it can stand in for any layer."""

    def __init__(self, *args: Any, **options: Any) -> None:
        pass

    def forward(self, x: Any) -> Any:
        return x
