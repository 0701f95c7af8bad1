"""Padding of 1, 2 and 3 dimensions; as a function of any number of them it is xpnn.ops.pad."""

from __future__ import annotations

from operator import index
from typing import Any, ClassVar

from .. import ops
from ..ops._checks import check_number
from .checks import check_rank
from .module import Module

__all__ = [
    *("CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d"),
    *("ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d"),
    *("ReplicationPad3d", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d"),
]


class _Pad(Module):
    """``dims`` is the number of spatial dimensions, ``mode`` what ops.pad calls it."""

    dims: ClassVar[int]
    mode: ClassVar[str]

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        count = 2 * self.dims
        try:
            amounts = (index(padding),) * count if hasattr(padding, "__index__") else tuple(map(index, padding))
        except TypeError:
            amounts = ()
        if len(amounts) != count or isinstance(padding, bool):
            raise ValueError(f"padding: expected an integer or {count} of them, got {padding!r}")
        self.padding = amounts

    def forward(self, x: Any) -> Any:
        check_rank(self, x, (self.dims + 1, self.dims + 2), f"(N, C, *S) or (C, *S) with {self.dims} dimensions S")
        return ops.pad(x, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """x with ``value`` around its last dimensions.

    x (..., *S) -> y (..., *S'). padding: an integer, or one for each end, (before, after) of the last dimension first; a
    negative one cuts off.
    """

    mode = "constant"

    def __init__(self, padding: int | tuple[int, ...], value: float) -> None:
        super().__init__(padding)
        check_number("value", value)
        self.value = value

    def forward(self, x: Any) -> Any:
        return ops.pad(x, self.padding, value=self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_ConstantPad):
    """x with zeros around its last dimensions.

    x (..., *S) -> y (..., *S'). padding: an integer, or one for each end, (before, after) of the last dimension first; a
    negative one cuts off.
    """

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ReflectionPad(_Pad):
    """x mirrored at the first and last elements of its last dimensions, which are not repeated.

    x (N, C, *S) or (C, *S) -> y with S longer by the padding: an integer, or one for each end, (before, after) of the last
    dimension first; each less than the dimension's size.
    """

    mode = "reflect"


class _ReplicationPad(_Pad):
    """x with the first and last elements of its last dimensions repeated.

    x (N, C, *S) or (C, *S) -> y with S longer by the padding: an integer, or one for each end, (before, after) of the last
    dimension first.
    """

    mode = "replicate"


class _CircularPad(_Pad):
    """x with its last dimensions continued from their other ends.

    x (N, C, *S) or (C, *S) -> y with S longer by the padding: an integer, or one for each end, (before, after) of the last
    dimension first; each at most the dimension's size.
    """

    mode = "circular"


class ConstantPad1d(_ConstantPad):
    __doc__ = _ConstantPad.__doc__
    dims = 1


class ConstantPad2d(_ConstantPad):
    __doc__ = _ConstantPad.__doc__
    dims = 2


class ConstantPad3d(_ConstantPad):
    __doc__ = _ConstantPad.__doc__
    dims = 3


class ZeroPad1d(_ZeroPad):
    __doc__ = _ZeroPad.__doc__
    dims = 1


class ZeroPad2d(_ZeroPad):
    __doc__ = _ZeroPad.__doc__
    dims = 2


class ZeroPad3d(_ZeroPad):
    __doc__ = _ZeroPad.__doc__
    dims = 3


class ReflectionPad1d(_ReflectionPad):
    __doc__ = _ReflectionPad.__doc__
    dims = 1


class ReflectionPad2d(_ReflectionPad):
    __doc__ = _ReflectionPad.__doc__
    dims = 2


class ReflectionPad3d(_ReflectionPad):
    __doc__ = _ReflectionPad.__doc__
    dims = 3


class ReplicationPad1d(_ReplicationPad):
    __doc__ = _ReplicationPad.__doc__
    dims = 1


class ReplicationPad2d(_ReplicationPad):
    __doc__ = _ReplicationPad.__doc__
    dims = 2


class ReplicationPad3d(_ReplicationPad):
    __doc__ = _ReplicationPad.__doc__
    dims = 3


class CircularPad1d(_CircularPad):
    __doc__ = _CircularPad.__doc__
    dims = 1


class CircularPad2d(_CircularPad):
    __doc__ = _CircularPad.__doc__
    dims = 2


class CircularPad3d(_CircularPad):
    __doc__ = _CircularPad.__doc__
    dims = 3
