"""The box: an array of any library with its place on the tape."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import array_api_compat

from ..tape import Node
from .libraries import diff_of, raw_namespace

__all__ = ["Array", "TracedArrayError", "is_traced", "unbox"]


class TracedArrayError(TypeError):
    """A traced array was turned into something that carries no gradient."""


class Array:
    """A traced array: what a function sees in place of the array that it is differentiated by.

    It has the attributes, operators and indexing of the array API standard. ``_value`` is the raw array of NumPy, CuPy
    or any other conforming library; ``_node`` its node on the tape, or None for a constant inside a trace. Assigning to
    elements rebinds the box to a changed copy: neither the caller's array nor what a rule kept is ever written to.
    """

    __slots__ = ("_node", "_value")
    __array_priority__ = 1000
    __array_ufunc__ = None  # NumPy's and CuPy's operators step back; np.exp(traced) raises
    __hash__ = object.__hash__

    def __init__(self, value: Any, node: Node | None = None) -> None:
        self._value = value
        self._node = node

    def _rebind(self, other: Array) -> None:
        """Takes over what another box holds: how in-place operations change a box."""
        self._value, self._node = other._value, other._node

    @property
    def shape(self) -> tuple[int, ...]:
        return self._value.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> Any:
        return self._value.dtype

    @property
    def ndim(self) -> int:
        return self._value.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int | None:
        size: Any = self._value.size
        return int(size()) if callable(size) else size  # torch's size is a method

    @property
    def device(self) -> Any:
        return getattr(self._value, "device", "cpu")

    @property
    def T(self) -> Array:
        if self.ndim != 2:
            raise ValueError(f"x.T needs 2 dimensions, got {self.ndim}; use x.mT or permute_dims")
        return self.__array_namespace__().matrix_transpose(self)  # type: ignore[no-any-return]

    @property
    def mT(self) -> Array:
        return self.__array_namespace__().matrix_transpose(self)  # type: ignore[no-any-return]

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Any:
        return diff_of(self._value)

    def to_device(self, device: Any, /, *, stream: Any = None) -> Array:
        if device == self.device:
            return self
        _forbid_traced(self, "to_device()")
        return Array(array_api_compat.to_device(self._value, device, stream=stream))

    def __dlpack__(self, **options: Any) -> Any:
        _forbid_traced(self, "__dlpack__()")
        return self._value.__dlpack__(**{k: v for k, v in options.items() if v is not None})

    def __dlpack_device__(self) -> Any:
        return self._value.__dlpack_device__()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        _forbid_traced(self, "converting to a NumPy array")
        convert = getattr(self._value, "__array__", None)
        if convert is None:
            raise TypeError(
                f"an array of {type(self._value).__module__} does not convert to NumPy; use xpnn.to_numpy(x)"
            )
        return convert(dtype) if dtype is not None else convert()

    def __bool__(self) -> bool:
        return bool(self._value)

    def __int__(self) -> int:
        return int(self._value)

    def __index__(self) -> int:
        if hasattr(self._value, "__index__"):
            return operator.index(self._value)
        if self.ndim or self.dtype.kind not in "iu":  # CuPy's arrays have int() only, which would take 2.5 as well
            raise TypeError(f"only 0-d integer arrays are an index, got {self.dtype} of shape {self.shape}")
        return int(self._value)

    def __float__(self) -> float:
        _forbid_traced(self, "float()")
        return float(self._value)

    def __complex__(self) -> complex:
        _forbid_traced(self, "complex()")
        return complex(self._value)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a 0-d array")
        return self.shape[0]

    def __iter__(self) -> Iterator[Array]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return iter(self.__array_namespace__().unstack(self))

    def __repr__(self) -> str:
        return f"xpnn.Array({self._value!r}{', traced' if self._node is not None else ''})"


def _forbid_traced(x: Array, what: str) -> None:
    if x._node is not None:
        raise TracedArrayError(
            f"{what} of a traced array would lose its gradient; use xpnn.stop_gradient(x) if that is meant"
        )


def is_traced(x: Any) -> bool:
    """Whether x, or an array inside the list or tuple x, lies on a tape."""
    if type(x) is Array:
        return x._node is not None
    return isinstance(x, list | tuple) and any(map(is_traced, x))


def unbox(x: Any) -> Any:
    """x with raw arrays in place of boxes, inside lists, tuples and named tuples too."""
    kind = type(x)
    if kind is Array:
        return x._value
    if kind is list:
        return [unbox(item) for item in x]
    if isinstance(x, tuple):
        items = [unbox(item) for item in x]
        return kind(*items) if hasattr(x, "_fields") else tuple(items)
    return x


def box(x: Any) -> Any:
    """x with its arrays boxed as constants, inside lists, tuples and named tuples too; other things as they are."""
    kind = type(x)
    if kind is list:
        return [box(item) for item in x]
    if isinstance(x, tuple):
        items = [box(item) for item in x]
        return kind(*items) if hasattr(x, "_fields") else tuple(items)
    return Array(x) if kind is not Array and raw_namespace(x, None) is not None else x
