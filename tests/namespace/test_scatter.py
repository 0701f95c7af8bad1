"""scatter_add and its kin against np.add.at, and the gradients of indexing by arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.conftest import Library
from xpnn import check_gradient, grad, namespace
from xpnn.namespace import scatter

_SHAPE = (4, 3, 5)
_I = np.asarray([0, 3, 0, -1, 0])
_J = np.asarray([2, 0, 2, 1, 2])
_MASK = np.arange(60).reshape(_SHAPE) % 3 == 0

# Keys that NumPy takes; those of the standard are taken by every library.
_NUMPY_KEYS: dict[str, Any] = {
    "rows": _I,
    "rows in two axes": np.asarray([[0, 1], [3, 0]]),
    "rows and slice": (_I, slice(1, None)),
    "slice and columns": (slice(None), _J),
    "two index arrays": (_I, _J),
    "two index arrays around a slice": (_I, slice(None), _J),
    "index array and int": (_I, 1),
    "int and index array": (1, _J, -1),
    "broadcast index arrays": (np.asarray([[0], [0]]), _J),
    "newaxis": (None, _I, ..., None),
    "ellipsis": (..., _J),
    "list": [0, 0, 1],
    "list in a tuple": ([0, 0, 1], slice(None), 2),
    "mask of rows": np.asarray([True, False, True, True]),
    "mask and slice": (slice(None), np.asarray([True, False, True])),
    "mask and index array": (np.asarray([True, False, True, False]), np.asarray([0, 0])),
}
_STANDARD_KEYS: dict[str, Any] = {
    "mask": _MASK,
    "ints": (1, -1, 0),
    "slices": (slice(None, None, 2), slice(None), slice(4, 1, -1)),
    "mixed": (None, 1, ..., slice(0, 2)),
    "index arrays for every axis": (_I, _J, np.asarray([4, 4, 4, 0, 4])),
    "index arrays and ints": (_I, _J, 2),
    "0-d index array": (np.asarray(2), 1, 0),
    "no index": (np.zeros(0, dtype=np.int64),) * 3,
}


def _key(lib: Library, key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(_key(lib, part) for part in key)
    return lib.asarray(key) if isinstance(key, np.ndarray) else key


def _added(g: np.ndarray[Any, Any], key: Any, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    zeros = np.zeros(shape)
    np.add.at(zeros, key, g)
    return zeros


@pytest.mark.parametrize("name", [*_NUMPY_KEYS, *_STANDARD_KEYS])
def test_scatter_add_is_numpy_s_add_at(name: str, rng: np.random.Generator) -> None:
    key = {**_NUMPY_KEYS, **_STANDARD_KEYS}[name]
    g = rng.normal(size=np.empty(_SHAPE)[key].shape)
    np.testing.assert_allclose(scatter.scatter_add(g, key, _SHAPE), _added(g, key, _SHAPE), rtol=1e-14, atol=1e-14)
    check_gradient(lambda x: x[key] ** 2, rng.normal(size=_SHAPE), order=2)


@pytest.mark.parametrize("name", _STANDARD_KEYS)
def test_scatter_add_of_every_library(name: str, lib: Library, rng: np.random.Generator) -> None:
    key = _STANDARD_KEYS[name]
    g = np.asarray(rng.normal(size=np.empty(_SHAPE)[key].shape))
    ours = scatter.scatter_add(lib.asarray(g), _key(lib, key), _SHAPE)
    np.testing.assert_allclose(lib.to_numpy(ours), _added(g, key, _SHAPE), rtol=1e-13, atol=1e-13)
    check_gradient(lambda x: x[_key(lib, key)] ** 2, lib.asarray(rng.normal(size=_SHAPE)), order=2)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_add_taken(count: int, axis: int, lib: Library, rng: np.random.Generator) -> None:
    indices = rng.integers(-_SHAPE[axis], _SHAPE[axis], count)
    g = rng.normal(size=np.take(np.empty(_SHAPE), indices, axis=axis).shape)
    expected = np.moveaxis(
        _added(np.moveaxis(g, axis, 0), indices, np.moveaxis(np.empty(_SHAPE), axis, 0).shape), 0, axis
    )
    indices = np.where(indices < 0, indices + _SHAPE[axis], indices)  # the standard has no negative indices in take
    ours = scatter.add_taken(lib.asarray(g), lib.asarray(indices), _SHAPE, axis)
    np.testing.assert_allclose(lib.to_numpy(ours), expected, rtol=1e-13, atol=1e-13)


def test_negative_indices_of_take_in_numpy() -> None:
    g = grad(lambda x: namespace(x).sum(namespace(x).take(x, np.asarray([-1, 0, -1]), axis=0)))(np.ones((3, 2)))
    assert g.tolist() == [[1.0, 1.0], [0.0, 0.0], [2.0, 2.0]]


def test_the_sum_of_many_equal_places_is_as_exact_as_numpy_s(lib: Library, rng: np.random.Generator) -> None:
    g = rng.normal(size=(1000, 2)) * 10.0 ** rng.integers(-8, 8, (1000, 1))
    places = rng.integers(0, 3, 1000)
    exact = np.stack([g[places == k].astype(np.longdouble).sum(0) for k in range(3)])
    ours = lib.to_numpy(scatter.add_taken(lib.asarray(g), lib.asarray(places), (3, 2), 0))
    assert np.max(np.abs(ours - exact) / np.abs(g).sum()) < 1e-15


def test_replaced_copies(lib: Library) -> None:
    x = lib.asarray([1.0, 2.0, 3.0])
    y = scatter.replaced(x, slice(0, 2), 7.0)
    assert lib.to_numpy(x).tolist() == [1.0, 2.0, 3.0]
    assert lib.to_numpy(y).tolist() == [7.0, 7.0, 3.0]
