"""The double's ndarray: memory, indexing, and the ways back to the host; functions.py gives it operators and methods.

Checked against CuPy's own sources (_core/core.pyx, _core/_routines_indexing.pyx): x[0] is a view, also of a vector; index
arrays wrap around instead of raising, and masks ask the host how many are true; what is assigned is an array of the same
library or a scalar; there is no __index__, to_device or __array_namespace__.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from .cuda import Device, current_device
from .sync import note_upload, note_wait

__all__ = ["ndarray", "new", "raw", "refuse_host", "upload", "wrap"]

_DTYPES = "?bhilqBHILQefdFDE"  # the last is that of bfloat16, CuPy's since version 14


class ndarray:
    """Stands for cupy.ndarray."""

    __slots__ = ("__weakref__", "_a", "_device")
    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]
    _a: np.ndarray[Any, Any]
    _device: int

    def __new__(cls, shape: Any, dtype: Any = float) -> ndarray:
        return new(np.empty(shape, dtype))

    # ---- what the host must not do

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_function__(self, function: Any, *_: Any) -> Any:
        raise TypeError(
            f"numpy.{function.__name__} of a CuPy array (CuPy would redirect it; the library should not ask)"
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """NumPy scalars may stand left of an operator; NumPy's arrays and functions may not have ours."""
        for x in inputs:
            refuse_host(x)
        if method != "__call__" or not any(isinstance(x, np.generic) for x in inputs):
            raise TypeError(
                f"numpy.{ufunc.__name__} of a CuPy array (CuPy would redirect it; the library should not ask)"
            )
        return wrap(ufunc(*[raw(x) for x in inputs], **options))

    # ---- attributes

    shape = property(lambda self: self._a.shape)
    dtype = property(lambda self: self._a.dtype)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    nbytes = property(lambda self: self._a.nbytes)
    itemsize = property(lambda self: self._a.itemsize)
    strides = property(lambda self: self._a.strides)
    flags = property(lambda self: self._a.flags)
    T = property(lambda self: wrap(self._a.T))
    mT = property(lambda self: wrap(self._a.mT))
    real = property(lambda self: wrap(self._a.real))
    imag = property(lambda self: wrap(self._a.imag))
    device = property(lambda self: Device(self._device))
    data = property(lambda self: SimpleNamespace(ptr=self._a.ctypes.data))
    __cuda_array_interface__ = property(lambda self: {"shape": self.shape, "typestr": self.dtype.str, "version": 3})

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self._device

    def __dlpack__(self, **_: Any) -> Any:
        raise BufferError("the double of CuPy gives its memory to itself only")

    # ---- indexing

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return self.shape[0]  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[ndarray]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(self.shape[0]))

    def __getitem__(self, key: Any) -> ndarray:
        here, key = raw(self), self._key(key, "x[mask]")
        return wrap(here[key if Ellipsis in [k for k in key if type(k) is type(...)] else (*key, ...)])

    def __setitem__(self, key: Any, value: Any) -> None:
        if not isinstance(value, ndarray | bool | int | float | complex | np.generic):
            refuse_host(value)
            raise TypeError(f"Unsupported type {type(value)}: only arrays of CuPy and scalars are assigned")
        raw(self)[self._key(key, "x[mask] = y")] = raw(value)

    def _key(self, key: Any, what: str) -> tuple[Any, ...]:
        """The key for NumPy, with integer arrays wrapped around."""
        parts = key if type(key) is tuple else (key,)
        kept: list[Any] = []
        axis, free = 0, self.ndim - sum(map(_axes_taken, parts))
        for part in parts:
            taken = _axes_taken(part)
            if isinstance(part, ndarray):
                index = raw(part)
                if index.dtype.kind == "b":
                    note_wait(what)
                elif index.dtype.kind in "iu" and axis < self.ndim and self.shape[axis]:
                    index = index % self.shape[axis]
                kept.append(index)
            else:
                refuse_host(part)
                if not isinstance(part, slice | int | np.integer | type(...) | list | None):
                    raise IndexError(f"no index for a CuPy array: {type(part)}")
                kept.append(part)
            axis += free if part is ... else taken
        return tuple(kept)

    # ---- ways to the host, each of which waits

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> Any:
        note_wait("get")
        return self._a.copy()

    def set(self, values: np.ndarray[Any, Any], stream: Any = None) -> None:
        note_upload("set")
        if stream is None:
            self._a[...] = values
        else:  # the values are read when the copy is done: until then they must stay
            stream.put(lambda: self._a.__setitem__(..., values))

    def item(self) -> Any:
        note_wait("item")
        return self._a.item()

    def tolist(self) -> Any:
        note_wait("tolist")
        return self._a.tolist()

    def tobytes(self, order: str = "C") -> bytes:
        note_wait("tobytes")
        return self._a.tobytes()

    __bool__ = lambda self: _scalar(self, bool)  # noqa: E731
    __int__ = lambda self: _scalar(self, int)  # noqa: E731
    __float__ = lambda self: _scalar(self, float)  # noqa: E731
    __complex__ = lambda self: _scalar(self, complex)  # noqa: E731

    def __repr__(self) -> str:
        note_wait("repr")
        return repr(self._a)

    def __str__(self) -> str:
        note_wait("str")
        return str(self._a)

    def __format__(self, spec: str) -> str:
        note_wait("format")
        return format(self._a.item() if not self.ndim else self._a, spec)

    def __reduce__(self) -> Any:
        note_wait("pickle")
        return upload, (self._a,)

    # ---- copies

    def __copy__(self) -> ndarray:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> ndarray:
        return self.copy()

    def copy(self, order: str = "C") -> ndarray:
        """On the current device, wherever the array is."""
        return new(self._a.copy(order))  # type: ignore[arg-type]

    def astype(
        self, dtype: Any, order: str = "K", casting: str | None = None, subok: Any = None, copy: bool = True
    ) -> ndarray:
        same = np.dtype(dtype) == self.dtype
        return self if same and not copy else wrap(raw(self).astype(_supported(np.dtype(dtype))))

    def view(self, dtype: Any = None) -> ndarray:
        return wrap(raw(self).view() if dtype is None else raw(self).view(dtype))

    def fill(self, value: Any) -> None:
        self[...] = value

    def flatten(self, order: str = "C") -> ndarray:
        return wrap(raw(self).flatten())

    def reshape(self, *shape: Any, order: str = "C", copy: Any = None) -> ndarray:
        wanted = shape[0] if len(shape) == 1 and not isinstance(shape[0], int | np.integer) else shape
        return wrap(raw(self).reshape(wanted))

    def transpose(self, *axes: Any) -> ndarray:
        return wrap(raw(self).transpose(*axes))

    def sort(self, axis: int = -1, kind: Any = None) -> None:
        raw(self).sort(axis=axis)


ndarray.__module__ = "cupy"


def _axes_taken(part: Any) -> int:
    if part is None or part is ...:
        return 0
    return part.ndim if isinstance(part, ndarray) and part.dtype.kind == "b" else 1


def _scalar(x: ndarray, kind: Callable[[Any], Any]) -> Any:
    note_wait(f"{kind.__name__}()")
    if x.size != 1:
        raise ValueError("The truth value of an array with more than one element is ambiguous.")
    return kind(x._a.item())


def new(a: np.ndarray[Any, Any]) -> ndarray:
    """The double around a NumPy array, on the current device."""
    x = object.__new__(ndarray)
    x._a, x._device = a, current_device()
    return x


def upload(a: Any, dtype: Any = None) -> ndarray:
    """A copy of memory of the host."""
    note_upload("array")
    a = np.array(a, dtype)
    _supported(a.dtype)
    return new(a)


def _supported(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.char not in _DTYPES:
        raise ValueError(f"Unsupported dtype {dtype}")
    return dtype


def refuse_host(x: Any) -> None:
    """Raises for a NumPy array: CuPy takes none without being asked to."""
    if isinstance(x, np.ndarray):
        raise TypeError(f"Unsupported type {type(x)}")


def raw(x: Any) -> Any:
    """What NumPy computes with: the memory of an array on the current device; scalars, shapes and dtypes as they are."""
    if isinstance(x, ndarray):
        if x._device != current_device():
            raise ValueError(f"Array device must be same as the current device: {x._device} != {current_device()}")
        return x._a
    refuse_host(x)
    if isinstance(x, list | tuple):
        return type(x)(*map(raw, x)) if hasattr(x, "_fields") else type(x)(map(raw, x))
    return x


def wrap(x: Any) -> Any:
    """NumPy's result as CuPy's: arrays also where NumPy gives scalars."""
    if isinstance(x, np.ndarray):
        return new(x)
    if isinstance(x, np.generic):
        return new(np.asarray(x))
    if isinstance(x, list | tuple):
        return tuple(map(wrap, x)) if isinstance(x, tuple) else list(map(wrap, x))
    return x
