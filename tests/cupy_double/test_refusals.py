"""That the double refuses what CuPy refuses, gives what CuPy gives, and notices what waits: it is only as good as that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_compat
import array_api_compat.cupy as xp
import cupy
import numpy as np
import pytest

import xpnn
from tests.cupy_double.sync import counting
from xpnn.namespace.libraries import library_name, raw_namespace

pytestmark = pytest.mark.gpu
HOST = np.arange(6.0).reshape(2, 3)


def there() -> Any:
    return cupy.asarray(HOST)


REFUSED: dict[str, Callable[[Any], Any]] = {
    "np.asarray": np.asarray,
    "np.exp": np.exp,
    "np.sum": np.sum,
    "np.concatenate": lambda x: np.concatenate([x, x]),
    "array + NumPy": lambda x: x + HOST,
    "NumPy + array": lambda x: HOST + x,
    "array @ NumPy": lambda x: x @ HOST.T,
    "NumPy @ array": lambda x: HOST @ x.T,
    "array += NumPy": lambda x: x.__iadd__(HOST),
    "array == list": lambda x: x == [1, 2],
    "exp of NumPy": lambda x: cupy.exp(HOST),
    "exp of a list": lambda x: cupy.exp([1.0]),
    "sum of NumPy": lambda x: cupy.sum(HOST),
    "sum of a number": lambda x: cupy.sum(1.0),
    "sum with where": lambda x: cupy.sum(x, where=x > 0),
    "stack of NumPy": lambda x: cupy.stack([HOST, HOST]),
    "concat of both": lambda x: cupy.concatenate([x, HOST]),
    "take by NumPy": lambda x: cupy.take(x, np.array([0]), axis=0),
    "where of NumPy": lambda x: cupy.where(HOST > 0, x, x),
    "assigned NumPy": lambda x: x.__setitem__(..., HOST),
    "assigned list": lambda x: x.__setitem__(0, [1.0, 2.0, 3.0]),
    "an index": lambda x: "abc"[cupy.asarray(1)],
    "hash": hash,
    "objects": lambda x: cupy.asarray([None]),
    "iteration over 0-d": lambda x: list(cupy.sum(x)),
    "a truth of many": lambda x: bool(x),
    "logic of complex numbers": lambda x: cupy.logical_not(x + 1j),
    "atomics of int64": lambda x: cupy.add.at(cupy.zeros(3, dtype=np.int64), cupy.asarray([0]), 1),
    "another device": lambda x: x + _on_second(),
    "float of many": lambda x: float(x),
    "float64 into int64": lambda x: cupy.asarray([1, 2]).__iadd__(0.5),
}


def _on_second() -> Any:
    with cupy.cuda.Device(1):
        return there()


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str) -> None:
    with pytest.raises((TypeError, ValueError, IndexError)):
        REFUSED[what](there())


def test_functions_that_cupy_lacks_are_missing() -> None:
    for name in ("unstack", "vecdot", "__array_namespace_info__", "bitwise_xnor", "linalg.vector_norm"):
        owner = cupy.linalg if name.startswith("linalg.") else cupy
        assert not hasattr(owner, name.rpartition(".")[2]), name
    for name in ("__array_namespace__", "__index__", "to_device"):
        assert not hasattr(there(), name), name
    assert len(xp.unstack(there())) == 2  # of array-api-compat


def test_array_api_compat_and_xpnn_take_it_for_cupy() -> None:
    x = there()
    assert array_api_compat.is_cupy_array(x) and array_api_compat.is_cupy_namespace(raw_namespace(x))
    assert raw_namespace(x) is xp and library_name(x) == "cupy" and xpnn.namespace(x) is xp


def test_results_are_arrays_and_views_where_cupy_s_are() -> None:
    x = there()
    for y in (cupy.sum(x), x[0, 0], x.max(), cupy.count_nonzero(x), -x[1, 1], cupy.exp(1.0), np.float64(2) * x):
        assert type(y) is cupy.ndarray
    element = x[1, 2]
    element += 10.0  # of NumPy's x[1, 2] it would be a copy
    assert x.get()[1, 2] == 15.0
    assert (x * np.float64(2)).dtype == np.float64
    assert (cupy.zeros(2, dtype=np.float32) * 2.0).dtype == np.float32
    assert (cupy.zeros(2, dtype=np.float32) * np.float64(2)).dtype == np.float64
    assert np.isnan(cupy.empty(3).get()).all()


def test_index_arrays_wrap_around_and_integers_do_not() -> None:
    x = cupy.asarray(np.arange(4))
    i = cupy.asarray([5, -1, -6])
    for taken in (x[i], cupy.take(x, i), cupy.take_along_axis(x, i, 0)):
        np.testing.assert_array_equal(taken.get(), [1, 3, 2])
    x[cupy.asarray([4])] = 9
    assert x.get()[0] == 9
    with pytest.raises(IndexError):
        x[4]


WAITING: dict[str, Callable[[Any], Any]] = {
    "bool": lambda x: bool(x[0, 0]),
    "int": lambda x: int(x[0, 0]),
    "float": lambda x: float(x[0, 0]),
    "item": lambda x: x[0, 0].item(),
    "tolist": lambda x: x.tolist(),
    "get": lambda x: x.get(),
    "asnumpy": cupy.asnumpy,
    "repr": repr,
    "str": str,
    "format": lambda x: f"{x[0, 0]:.3f}",
    "nonzero": cupy.nonzero,
    "unique": xp.unique_values,
    "mask": lambda x: x[x > 1],
    "assignment by mask": lambda x: x.__setitem__(x > 1, 0.0),
    "if": lambda x: 1 if cupy.any(x) else 0,
    "Device.synchronize": lambda x: cupy.cuda.Device().synchronize(),
}


@pytest.mark.parametrize("what", WAITING)
def test_what_waits_is_counted_with_its_place(what: str) -> None:
    x = there()
    with counting() as account:
        WAITING[what](x)
    assert account.waits and all("tests.cupy_double" not in wait for wait in account.waits), account.waits


def test_what_does_not_wait_is_not_counted() -> None:
    x = there()
    with counting() as account:
        y = cupy.where(x > 1, x, 0.0) @ x.T
        y[0, :] = cupy.sum(y, axis=0)
        y *= 2.0
        xp.take_along_axis(y, xp.argsort(y, axis=1), axis=1)
        repr(y.shape), y.dtype, len(y)
    assert account.waits == [] and account.uploads == []
    with counting() as account:
        cupy.asarray(HOST)
    assert len(account.uploads) == 1
