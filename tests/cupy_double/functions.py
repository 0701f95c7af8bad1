"""CuPy's functions, computed by NumPy: with CuPy's signatures, for arrays of the double only; and its operators, methods."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from .array import ndarray, new, raw, refuse_host, upload, wrap
from .signatures import FFT, FUNCTIONS, LINALG, UFUNCS
from .sync import note_wait

__all__ = ["fft_functions", "functions", "linalg_functions"]

_SCALARS = (bool, int, float, complex, np.generic)
# Parameters of these names take an array of CuPy and nothing else, if they are the first.
_ARRAY = frozenset("a x x1 ar arr ary condition element array prototype m M z y".split())
# Their results belong to the host anyway.
_OF_HOST = frozenset("ndim shape isscalar iscomplexobj isrealobj isdtype can_cast result_type broadcast_shapes".split())
_WAITS = frozenset("nonzero unique unique_all unique_counts unique_inverse unique_values".split())
# Those without a loop of bfloat16 (CuPy 14.2), which give float32.
_NO_BFLOAT16 = frozenset(("where", "clip"))
# Loops that NumPy has and CuPy (14.2) has not.
_NO_COMPLEX = frozenset(("logical_and", "logical_not", "logical_or", "logical_xor"))
# scatter_add, which ufunc.at is, takes these dtypes only.
_ATOMIC = frozenset("ieIfdLQ")


class Ufunc:
    """cupy.ufunc: of arrays and scalars, without `where`."""

    def __init__(self, name: str) -> None:
        self.__name__ = self.name = name
        self._ufunc: np.ufunc = getattr(np, name)
        self.nin, self.nout = self._ufunc.nin, self._ufunc.nout

    def __call__(self, *args: Any, out: Any = None, dtype: Any = None, casting: str = "same_kind") -> Any:
        for x in args:
            if not isinstance(x, (ndarray, *_SCALARS)):
                raise TypeError(f"Unsupported type {type(x)}")
            if self.name in _NO_COMPLEX and isinstance(x, ndarray) and x.dtype.kind == "c":
                raise TypeError(f"Wrong type ({x.dtype}) of arguments for cupy_{self.name}")
        options: dict[str, Any] = {"casting": casting} | ({} if dtype is None else {"dtype": dtype})
        if out is None:
            result = _quietly(self._ufunc, *map(raw, args), **options)
            return wrap(_sign_of_nan(result) if self.name == "sign" else result)
        _quietly(self._ufunc, *map(raw, args), out=raw(out), **options)
        return out

    def at(self, a: ndarray, indices: Any, b: Any = None) -> None:
        if a.dtype.char not in _ATOMIC:
            raise TypeError("scatter_add only supports int32, float16, float32, float64, uint32, uint64, as data type")
        self._ufunc.at(raw(a), a._key(indices, "ufunc.at"), raw(b))

    def __repr__(self) -> str:
        return f"<ufunc 'cupy_{self.name}'>"


def _quietly(compute: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """A GPU warns of nothing."""
    with np.errstate(all="ignore"):
        return compute(*args, **options)


def _sign_of_nan(signs: Any) -> Any:
    """0 in CuPy (array-api-compat's issue 136)."""
    return np.where(np.isnan(signs), 0, signs).astype(signs.dtype)


def _checked(name: str, signature: inspect.Signature, compute: Callable[..., Any]) -> Callable[..., Any]:
    """A function that takes what CuPy's takes, and gives arrays where CuPy's gives arrays."""
    first = next(iter(signature.parameters))

    def function(*args: Any, **options: Any) -> Any:
        bound = signature.bind(*args, **options)
        given = bound.arguments.get(first)
        if first in _ARRAY and name not in _OF_HOST and not isinstance(given, ndarray):
            raise TypeError(f"cupy.{name}: {first} must be a CuPy array, got {type(given)}")
        if name in _WAITS:
            note_wait(name)
        out = bound.arguments.pop("out", None)
        result = _quietly(compute, *map(raw, bound.args), **{key: raw(x) for key, x in bound.kwargs.items()})
        if name in _NO_BFLOAT16 and {x.dtype.char for x in bound.args if isinstance(x, ndarray)} - {"?"} == {"E"}:
            result = result.astype(np.float32)
        if out is not None:
            out[...] = wrap(result)
            return out
        return result if name in _OF_HOST else wrap(np.asarray(result) if isinstance(result, int | bool) else result)

    function.__name__ = function.__qualname__ = name
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


# ---- those that differ from NumPy's by more than their arguments


def asarray(
    a: Any, dtype: Any = None, order: Any = None, *, copy: bool | None = None, blocking: bool = False
) -> ndarray:
    """From an array, a scalar, NumPy's arrays, or nested lists of one of them."""
    if isinstance(a, ndarray):
        if copy is not True and (dtype is None or np.dtype(dtype) == a.dtype):
            return a
        if copy is False:
            raise ValueError("Unable to avoid copy while creating an array as requested.")
        return wrap(raw(a).astype(a.dtype if dtype is None else dtype))  # type: ignore[no-any-return]
    if isinstance(a, list | tuple) and _holds_arrays(a):
        return new(np.asarray(raw(a), dtype=dtype))
    return upload(a, dtype)


def _holds_arrays(x: Any) -> bool:
    return isinstance(x, ndarray) or (isinstance(x, list | tuple) and any(map(_holds_arrays, x)))


def array(
    obj: Any, dtype: Any = None, copy: bool = True, order: str = "K", subok: bool = False, ndmin: int = 0, *,
    blocking: bool = False,
) -> ndarray:  # fmt: skip
    x = asarray(obj, dtype)
    return x.copy() if copy and x is obj else x


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> Any:
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> ndarray:
    if not isinstance(x, ndarray):
        raise BufferError("not in the memory of a GPU")
    return x.copy() if copy else x


def _empty(shape: Any, dtype: Any = float, order: str = "C") -> Any:
    """Full of what nobody should read."""
    a = np.empty(shape, dtype)
    a.fill(np.nan if a.dtype.kind in "fc" else 1)
    return a


def _astype(x: Any, dtype: Any, /, *, copy: bool = True) -> Any:
    return x.astype(dtype, copy=copy)


def _take(a: Any, indices: Any, axis: Any = None) -> Any:
    """Wraps around; a host's list is as good as an array."""
    if a.size == 0 and np.size(indices):
        raise IndexError("cannot do a non-empty take from an empty axes.")
    return np.take(a, np.asarray(indices, dtype=np.int64 if not np.size(indices) else None), axis=axis, mode="wrap")


def _take_along_axis(a: Any, indices: Any, axis: Any) -> Any:
    if indices.dtype.kind not in "iu":
        raise IndexError("`indices` must be an integer array")
    return np.take_along_axis(a, indices % (a.shape[axis] or 1), axis)


def _repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    if isinstance(repeats, np.ndarray):
        note_wait("repeat by an array")
    return np.repeat(a, repeats, axis)


def _concatenate(tup: Any, axis: Any = 0, *, dtype: Any = None, casting: Any = "same_kind") -> Any:
    if not all(isinstance(x, np.ndarray) for x in tup):
        raise TypeError("Only cupy arrays can be concatenated")
    return np.concatenate(tup, axis, dtype=dtype, casting=casting)


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None or y is None:
        note_wait("where")
        return np.where(condition)
    return np.where(condition, x, y)


def _full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C") -> Any:
    return np.full(shape, fill_value, dtype)


def _diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    return np.diff(a, n, axis, **{k: x for k, x in (("prepend", prepend), ("append", append)) if x is not None})


def _searchsorted(a: Any, v: Any, side: Any = "left", sorter: Any = None) -> Any:
    if a.ndim != 1:
        raise ValueError("object too deep or of too small depth for desired array")
    return np.searchsorted(a, v, side, sorter)


def _unique(name: str) -> Callable[..., Any]:
    return lambda x: tuple(found) if isinstance(found := getattr(np, name)(x), tuple) else found


_OWN: dict[str, Callable[..., Any]] = {
    "empty": _empty,
    "empty_like": lambda prototype, dtype=None, order="K", subok=None, shape=None: _empty(
        prototype.shape if shape is None else shape, dtype or prototype.dtype
    ),
    "astype": _astype,
    "take": _take,
    "take_along_axis": _take_along_axis,
    "repeat": _repeat,
    "concatenate": _concatenate,
    "concat": _concatenate,
    "where": _where,
    "full": _full,
    "diff": _diff,
    "searchsorted": _searchsorted,
    "full_like": lambda a, fill_value, dtype=None, order="K", subok=None, shape=None: np.full_like(
        a, fill_value, dtype, shape=shape
    ),
    "argmax": lambda a, axis=None, dtype=None, keepdims=False: np.argmax(a, axis, keepdims=keepdims),
    "argmin": lambda a, axis=None, dtype=None, keepdims=False: np.argmin(a, axis, keepdims=keepdims),
    "stack": lambda tup, axis=0, *, dtype=None, casting="same_kind": np.stack(_arrays(tup), axis, dtype=dtype),
    "zeros_like": lambda a, dtype=None, order="K", subok=None, shape=None: np.zeros_like(a, dtype, shape=shape),
    "ones_like": lambda a, dtype=None, order="K", subok=None, shape=None: np.ones_like(a, dtype, shape=shape),
    **{name: _unique(name) for name in ("unique_all", "unique_counts", "unique_inverse", "unique_values")},
}  # fmt: skip


def _arrays(xs: Any) -> Any:
    if not all(isinstance(x, np.ndarray) for x in xs):
        raise TypeError("Only cupy arrays can be concatenated")
    return xs


def functions() -> dict[str, Any]:
    """cupy's functions by name."""
    found: dict[str, Any] = {name: Ufunc(name) for name in UFUNCS}
    for name, signature in FUNCTIONS.items():
        found[name] = _checked(name, signature, _OWN.get(name) or getattr(np, name))
    # CuPy asks the arrays only: numbers of Python have no say.
    found["result_type"] = lambda *xs: np.result_type(*[x.dtype if isinstance(x, ndarray) else x for x in xs])
    found["size"] = lambda a, axis=None: a.size if axis is None else a.shape[axis]
    own = (asarray, array, asnumpy, from_dlpack)
    return found | {f.__name__: f for f in own} | {"matmul": _matmul}


def _matmul(x1: Any, x2: Any, /, out: Any = None) -> Any:
    if not isinstance(x1, ndarray) or not isinstance(x2, ndarray):
        raise TypeError(f"Unsupported types {type(x1)} and {type(x2)}")
    if out is None:
        y = np.matmul(raw(x1), raw(x2))
        short = {x.dtype.char: x.dtype for x in (x1, x2)}
        return wrap(y.astype(short["E"]) if list(short) == ["E"] else y)  # cuBLAS gives bfloat16, NumPy float32
    np.matmul(raw(x1), raw(x2), out=raw(out))
    return out


def linalg_functions() -> dict[str, Any]:
    found = {name: _checked(name, signature, getattr(np.linalg, name)) for name, signature in LINALG.items()}
    return found | {"matmul": _matmul}


def fft_functions() -> dict[str, Any]:
    return {name: _checked(name, signature, getattr(np.fft, name)) for name, signature in FFT.items()}


# ---- operators and methods of ndarray

_METHODS = """all any argmax argmin argsort clip cumprod cumsum diagonal dot max mean min nonzero prod ravel repeat round
    searchsorted squeeze std sum swapaxes take trace var""".split()
_BINARY = "add sub mul truediv floordiv mod pow and or xor lshift rshift lt le gt ge eq ne".split()


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *args, **options: function(self, *args, **options)


def _clip(self: ndarray, min: Any = None, max: Any = None, out: Any = None) -> Any:
    return wrap(np.clip(raw(self), raw(min), raw(max)))


def _binary(compute: Callable[[Any, Any], Any], reflected: bool) -> Callable[[Any, Any], Any]:
    def method(self: ndarray, other: Any) -> Any:
        if not isinstance(other, (ndarray, *_SCALARS)):
            if getattr(other, "__array_ufunc__", self) is None:
                return NotImplemented
            refuse_host(other)
            raise TypeError(f"Unsupported type {type(other)}")
        x, y = raw(self), raw(other)
        return wrap(_quietly(compute, y, x) if reflected else _quietly(compute, x, y))

    return method


def _in_place(compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def method(self: ndarray, other: Any) -> Any:
        if not isinstance(other, (ndarray, *_SCALARS)):
            if getattr(other, "__array_ufunc__", self) is None:
                return NotImplemented
            raise TypeError(f"Unsupported type {type(other)}")
        _quietly(compute, raw(self), raw(other))
        return self

    return method


def _attach() -> None:
    known = functions()
    for name in _METHODS:
        setattr(ndarray, name, _method(known[name]))
    ndarray.clip = _clip  # type: ignore[attr-defined]
    ndarray.conj = ndarray.conjugate = _method(known["conj"])  # type: ignore[attr-defined]
    for name in _BINARY:
        compute = getattr(operator, f"{name}_" if name in ("and", "or") else name)
        setattr(ndarray, f"__{name}__", _binary(compute, reflected=False))
        if name not in ("lt", "le", "gt", "ge", "eq", "ne"):
            setattr(ndarray, f"__r{name}__", _binary(compute, reflected=True))
            setattr(ndarray, f"__i{name}__", _in_place(getattr(operator, f"i{name}")))
    ndarray.__matmul__ = _matmul_operator(reflected=False)  # type: ignore[attr-defined]
    ndarray.__rmatmul__ = _matmul_operator(reflected=True)  # type: ignore[attr-defined]
    for name, function in (("neg", operator.neg), ("pos", operator.pos), ("abs", abs), ("invert", operator.invert)):
        setattr(ndarray, f"__{name}__", lambda self, f=function: wrap(f(raw(self))))


def _matmul_operator(reflected: bool) -> Callable[[Any, Any], Any]:
    def method(self: ndarray, other: Any) -> Any:
        if getattr(other, "__array_ufunc__", self) is None:
            return NotImplemented
        return _matmul(other, self) if reflected else _matmul(self, other)

    return method


_attach()
