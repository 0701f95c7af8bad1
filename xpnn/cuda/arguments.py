"""What a kernel is given: one struct by value, laid out in Python as the C++ compiler lays it out, and proven so.

One argument costs the host less than many, and a struct has names on both sides. `Layout.assertions` is compiled with every kernel:
a field that differs between the two sides in name, type or place is a compile error, never a wrong number.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .dtypes import dtype_name

__all__ = ["ELEMENTS", "Arguments", "Layout"]

# C++'s word for an element -> NumPy's and CuPy's name of the dtype.
ELEMENTS = {
    "float": "float32",
    "double": "float64",
    "__half": "float16",
    "__nv_bfloat16": "bfloat16",
    "int": "int32",
    "long long": "int64",
    "unsigned": "uint32",
    "unsigned char": "uint8",
}
_SAME = """\
#ifndef XPNN_SAME
#define XPNN_SAME
template <class A, class B> struct xpnn_same { static constexpr bool value = false; };
template <class A> struct xpnn_same<A, A> { static constexpr bool value = true; };
#endif
"""


@dataclass(frozen=True)
class Layout:
    """A struct of the kernel file: its name in C++ and its fields, pairs (name, type in C++'s words), in order.

    `const T*` is an array that is only read, `T*` one that is written; anything else is a number passed by value, `int[3]` three.
    """

    struct: str
    fields: tuple[tuple[str, str], ...]

    @functools.cached_property
    def dtype(self) -> np.dtype[Any]:
        """The struct as a NumPy dtype, aligned as C++ aligns it."""
        return np.dtype([(name, *_number(kind)) for name, kind in self.fields], align=True)

    @property
    def assertions(self) -> str:
        """C++ that does not compile unless the kernel's struct is this one."""
        size = [f'static_assert(sizeof({self.struct}) == {self.dtype.itemsize}, "size of {self.struct}");']
        for name, kind in self.fields:
            assert self.dtype.fields is not None
            offset = self.dtype.fields[name][1]
            size.append(
                f"static_assert(xpnn_same<decltype({self.struct}::{name}), {kind}>::value && "
                f'__builtin_offsetof({self.struct}, {name}) == {offset}, "{self.struct}::{name}");'
            )
        return _SAME + "\n".join(size) + "\n"

    @functools.cached_property
    def pointers(self) -> dict[str, str | None]:
        """For each field the name of the dtype that it points to, None for a number."""
        return {name: ELEMENTS[element] if (element := _element(kind)) else None for name, kind in self.fields}

    def __call__(self, **values: Any) -> Arguments:
        """The struct with these values: an array, or None for a null pointer, for each pointer, else a number.

        Raises ValueError for an array that is not C-contiguous or of the pointer's dtype: a kernel sees no strides.
        """
        pointers = self.pointers
        if list(values) != list(pointers):
            raise TypeError(f"{self.struct}: expected {list(pointers)}, got {list(values)}")
        raw = tuple(
            [
                v if p is None else _checked(self, n, v, p)
                for (n, v), p in zip(values.items(), pointers.values(), strict=True)
            ]
        )
        return Arguments(self, values, raw)


class Arguments(NamedTuple):
    """What an executor gets beside the plan: a layout, the values of its fields, and these as numbers and addresses."""

    layout: Layout
    values: dict[str, Any]
    raw: tuple[Any, ...]

    @property
    def arrays(self) -> dict[str, Any]:
        """The arrays by the names of their fields; null pointers left out."""
        pointers = self.layout.pointers
        return {name: x for name, x in self.values.items() if x is not None and pointers[name] is not None}

    def packed(self) -> np.ndarray[Any, Any]:
        """The struct as a 0-d structured array, which CuPy passes by value."""
        return np.array(self.raw, self.layout.dtype)


def address(x: Any) -> int:
    """Where the elements of a NumPy or CuPy array begin; 0 for None."""
    if x is None:
        return 0
    return int(x.ctypes.data if isinstance(x, np.ndarray) else x.data.ptr)


def _element(kind: str) -> str | None:
    """What a pointer points to, None for a number."""
    return kind.removeprefix("const ").rstrip("* ") if kind.endswith("*") else None


def _number(kind: str) -> tuple[Any, ...]:
    """NumPy's words for a field that is an address, a number or several of them."""
    if _element(kind):
        return ("u8",)
    word, _, count = kind.rstrip("]").partition("[")
    return (ELEMENTS[word], (int(count),)) if count else (ELEMENTS[word],)


def _checked(layout: Layout, name: str, x: Any, dtype: str) -> int:
    """The address of an array that the kernel can read."""
    if x is None:
        return 0
    where = address(x)
    if dtype_name(x.dtype) != dtype:
        problem = f"an array of {dtype}, got {x.dtype}"
    elif not x.flags.c_contiguous:
        problem = f"a C-contiguous array, got shape {x.shape} with strides {x.strides}"
    elif where % x.dtype.itemsize:
        problem = f"an address that is a multiple of {x.dtype.itemsize}, got {where:#x}"
    else:
        return where
    raise ValueError(f"{layout.struct}.{name}: expected {problem}")
