"""What a kernel is given: one struct by value, laid out in Python as the C++ compiler lays it out, and proven so.

One argument costs the host less than many, and a struct has names on both sides. `Layout.assertions` is compiled with every kernel:
a field that differs between the two sides in name, type or place is a compile error, never a wrong number.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..backend import asarray, device_of
from ..errors import DeviceMismatchError
from .dtypes import dtype_name

__all__ = ["ELEMENTS", "Arguments", "Layout", "Pointers", "address"]

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
_MAP, _MAP_ALIGNMENT = "ptx::TensorMap", 64
_SAME = """\
#ifndef XPNN_SAME
#define XPNN_SAME
template <class A, class B> struct xpnn_same { static constexpr bool value = false; };
template <class A> struct xpnn_same<A, A> { static constexpr bool value = true; };
#endif
"""


class _Kind(NamedTuple):
    """A field's type, taken apart: the dtype that it points to (None for a number), and whether that is only read."""

    dtype: str | None
    constant: bool
    table: bool  # T* const*: a pointer to pointers
    room: int  # T*[room]: pointers in the struct itself; 0 for a single one
    map: bool = False  # ptx::TensorMap: an array that boxes are fetched of


class Pointers(NamedTuple):
    """Addresses of arrays in memory of the device, for more arrays that stay where they are than a struct has room for."""

    memory: Any  # (arrays), int64
    arrays: Sequence[Any]
    dtype: str

    @classmethod
    def of(cls, arrays: Sequence[Any]) -> Pointers:
        """To these arrays, at least one, of one dtype and on one device, which the addresses are copied to."""
        device, dtype = device_of(arrays[0]), dtype_name(arrays[0].dtype)
        for x in arrays:
            if device_of(x) != device:
                raise DeviceMismatchError(f"arrays of one launch are on {device} and on {device_of(x)}")
        addresses = np.array([_checked("Pointers", x, dtype) for x in arrays], np.int64)
        return cls(asarray(addresses, device=device), arrays, dtype)


@dataclass(frozen=True)
class Layout:
    """A struct of the kernel file: its name in C++ and its fields, pairs (name, type in C++'s words), in order.

    `const T*` is an array that is only read, `T*` one that is written; `const T*[N]` are up to N arrays whose pointers are in
    the struct, `const T* const*` any number whose pointers are on the device; `ptx::TensorMap` is an array that is only read, with
    what TMA must know of it; anything else is a number passed by value, `int[3]` three of them.
    """

    struct: str
    fields: tuple[tuple[str, str], ...]

    @functools.cached_property
    def dtype(self) -> np.dtype[Any]:
        """The struct as a NumPy dtype, aligned as C++ aligns it. Tensor maps, which have an alignment of their own, come first."""
        plain = np.dtype([(name, _numpy(kind)) for name, kind in self.fields], align=True)
        if not any(kind.map for kind in self.kinds.values()):
            return plain
        assert plain.fields is not None
        formats, offsets = zip(*(plain.fields[name][:2] for name, _ in self.fields), strict=True)
        names = [name for name, _ in self.fields]
        size = -(-plain.itemsize // _MAP_ALIGNMENT) * _MAP_ALIGNMENT
        return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})

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
    def kinds(self) -> dict[str, _Kind]:
        """The fields' types, taken apart."""
        return {name: _kind(kind) for name, kind in self.fields}

    def __call__(self, **values: Any) -> Arguments:
        """The struct with these values: an array, or None for a null pointer, for each pointer, else a number.

        For `T*[N]` a sequence of arrays, for `T* const*` Pointers or None. Raises ValueError for an array that is not
        C-contiguous or of the pointer's dtype: a kernel sees no strides.
        """
        kinds = self.kinds
        if list(values) != list(kinds):
            raise TypeError(f"{self.struct}: expected {list(kinds)}, got {list(values)}")
        raw = tuple(
            [
                v if kind.dtype is None else self._pointer(name, v, kind)
                for (name, v), kind in zip(values.items(), kinds.values(), strict=True)
            ]
        )
        return Arguments(self, values, raw)

    def _pointer(self, name: str, value: Any, kind: _Kind) -> Any:
        """What the struct holds for a field that is no number."""
        if kind.map:
            return value.words()
        where, dtype = f"{self.struct}.{name}", kind.dtype
        assert dtype is not None
        if kind.room:
            if len(value) > kind.room:
                raise ValueError(f"{where}: expected at most {kind.room} arrays, got {len(value)}")
            held = np.zeros(kind.room, "u8")
            held[: len(value)] = [_checked(where, x, dtype) for x in value]
            return held
        if kind.table and value is not None:
            if value.dtype != dtype:
                raise ValueError(f"{where}: expected arrays of {dtype}, got {value.dtype}")
            return address(value.memory)
        return _checked(where, value, dtype)


class Arguments(NamedTuple):
    """What an executor gets beside the plan: a layout, the values of its fields, and these as numbers and addresses."""

    layout: Layout
    values: dict[str, Any]
    raw: tuple[Any, ...]

    @property
    def arrays(self) -> dict[str, Any]:
        """The arrays that the struct points to, by the names of their fields (`g[0]`, ... of several); no null pointers."""
        found: dict[str, Any] = {}
        for (name, kind), x in zip(self.layout.kinds.items(), self.values.values(), strict=True):
            if kind.dtype is None or x is None:
                continue
            if kind.room:
                found.update((f"{name}[{i}]", y) for i, y in enumerate(x))
            elif kind.map:
                found[name] = x.array
            else:
                found[name] = x.memory if kind.table else x
        return found

    @property
    def behind(self) -> dict[str, Any]:
        """The arrays that tables of pointers point to: `p[0]`, ... of the field p."""
        return {
            f"{name}[{i}]": x
            for name, kind in self.layout.kinds.items()
            if kind.table and self.values[name] is not None
            for i, x in enumerate(self.values[name].arrays)
        }

    def written(self, name: str) -> bool:
        """Whether the kernel may write into an array of this name."""
        field, index, _ = name.partition("[")
        kind = self.layout.kinds[field]
        return not kind.constant and not (kind.table and not index)

    def packed(self) -> np.ndarray[Any, Any]:
        """The struct as a 0-d structured array, which CuPy passes by value."""
        return np.array(self.raw, self.layout.dtype)


def address(x: Any) -> int:
    """Where the elements of a NumPy or CuPy array begin; 0 for None."""
    if x is None:
        return 0
    return int(x.ctypes.data if isinstance(x, np.ndarray) else x.data.ptr)


_POINTER = re.compile(r"(const )?([\w ]+)\*( const\*|\[(\d+)\])?")


@functools.cache
def _kind(text: str) -> _Kind:
    """A type in C++'s words, taken apart."""
    if text == _MAP:
        return _Kind(text, True, False, 0, map=True)
    found = _POINTER.fullmatch(text)
    if found is None:
        return _Kind(None, False, False, 0)
    return _Kind(ELEMENTS[found[2]], found[1] is not None, found[3] == " const*", int(found[4] or 0))


def _numpy(text: str) -> Any:
    """The NumPy dtype of a field of this type."""
    kind = _kind(text)
    if kind.map:
        return ("u8", (16,))
    if kind.dtype is None:
        word, _, count = text.rstrip("]").partition("[")
        return (ELEMENTS[word], (int(count),)) if count else ELEMENTS[word]
    return ("u8", (kind.room,)) if kind.room else "u8"


def _checked(where: str, x: Any, dtype: str) -> int:
    """The address of an array that the kernel can read."""
    if x is None:
        return 0
    place = address(x)
    if dtype_name(x.dtype) != dtype:
        problem = f"an array of {dtype}, got {x.dtype}"
    elif not x.flags.c_contiguous:
        problem = f"a C-contiguous array, got shape {x.shape} with strides {x.strides}"
    elif place % x.dtype.itemsize:
        problem = f"an address that is a multiple of {x.dtype.itemsize}, got {place:#x}"
    else:
        return place
    raise ValueError(f"{where}: expected {problem}")
