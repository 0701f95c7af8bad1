"""The lean NumPy table against array-api-compat: the same results, dtypes and errors."""

from __future__ import annotations

from typing import Any

import array_api_compat.numpy as compat
import array_api_strict
import numpy as np
import pytest

from xpnn.namespace.lean import lean

_LEAN = lean(compat)
_X = np.arange(24.0).reshape(2, 3, 4) - 7.5
_ARRAYS = {
    "float64": _X,
    "float32": _X.astype(np.float32),
    "float16": _X.astype(np.float16),
    "complex": _X + 1j,
    "int32": _X.astype(np.int32),
    "bool": _X > 0,
    "0-d": np.asarray(1.5),
    "scalar": np.float32(1.5),
    "Fortran order": np.asfortranarray(_X),
    "strided": _X[:, ::2, ::-1],
    "empty": _X[:, :0],
}
_AXES: list[dict[str, Any]] = [{}, {"axis": 0}, {"axis": -1, "keepdims": True}, {"axis": (0, -1)}, {"keepdims": True}]

_CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    *((name, (), options) for name in ("sum", "max", "min", "mean") for options in _AXES),
    ("sum", (), {"dtype": np.float64}),
    *((name, (), options) for name in ("argmax", "argmin") for options in ({}, {"axis": 1}, {"axis": 0, "keepdims": True})),
    *(("expand_dims", (), {"axis": axis}) for axis in (0, -1, 1, (0, 2), 7)),
    ("expand_dims", (1,), {}),
    *(("reshape", (shape,), {}) for shape in ((-1,), (4, 6), (1,))),
    ("reshape", ((-1,),), {"copy": True}),
    *(("broadcast_to", (shape,), {}) for shape in ((2, 3, 4), (5, 2, 3, 4), (7,), (2, 2))),
    *((name, (), options) for name in ("zeros_like", "ones_like") for options in ({}, {"dtype": np.float32})),
    *(("astype", (dtype,), {}) for dtype in (np.float64, np.complex128)),
    ("astype", (np.float64,), {"copy": False}),
    *(("permute_dims", (axes,), {}) for axes in ((2, 0, 1), (-1, 0, 1), (0,), ())),
    ("matrix_transpose", (), {}),
    *(("take", (np.asarray([0, 1, 0]),), options) for options in ({"axis": 0}, {"axis": -1}, {"axis": 5})),
    *(("unstack", (), options) for options in ({}, {"axis": 1}, {"axis": -1}, {"axis": 3})),
    *(("clip", bounds, {}) for bounds in ((-1, 2), (None, 2.5), (-1.5, None), (None, None), (np.float64(-1.0), 3))),
    ("clip", (np.zeros(4), np.asarray([1.0, 2.0, 3.0, 4.0])), {}),
    ("sign", (), {}),
]  # fmt: skip


def _result(f: Any, *args: Any, **options: Any) -> Any:
    try:
        return f(*args, **options)
    except (ValueError, IndexError, TypeError) as error:
        return type(error)


def _assert_same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, tuple):
        assert len(ours) == len(theirs)
        for x, y in zip(ours, theirs, strict=True):
            _assert_same(x, y)
    elif isinstance(theirs, type):
        assert isinstance(ours, type), f"no error, but {theirs.__name__} from array-api-compat"
    else:
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("kind", _ARRAYS)
@pytest.mark.parametrize(("name", "args", "options"), _CALLS, ids=lambda value: str(value).replace("\n", ""))
@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value", "ignore:Casting complex values")
def test_lean_functions_give_what_array_api_compat_gives(name: str, args: Any, options: Any, kind: str) -> None:
    x = _ARRAYS[kind]
    theirs = _result(getattr(compat, name), x, *args, **options)
    _assert_same(_result(getattr(_LEAN, name), x, *args, **options), theirs)


@pytest.mark.parametrize("axis", [0, 1, -1, 5])
def test_stack(axis: int) -> None:
    for arrays in ([_X, _X + 1, _X], [np.float64(1.0), np.float64(2.0)], [_X, _X[0]], []):
        _assert_same(_result(_LEAN.stack, arrays, axis=axis), _result(compat.stack, arrays, axis=axis))


def test_isdtype() -> None:
    for dtype in (np.dtype(name) for name in ("float32", "complex64", "int8", "uint8", "bool")):
        for kind in (
            "real floating",
            "complex floating",
            "integral",
            "bool",
            "numeric",
            ("bool", "integral"),
            np.float32,
        ):
            for _ in range(2):
                assert _LEAN.isdtype(dtype, kind) == compat.isdtype(dtype, kind)


def test_results_do_not_alias_where_they_are_not_views() -> None:
    for y in (_LEAN.clip(_X), _LEAN.astype(_X, np.float64), _LEAN.reshape(_X, (-1,), copy=True)):
        assert not np.shares_memory(y, _X)


def test_other_libraries_have_no_table() -> None:
    assert lean(array_api_strict) is array_api_strict
    assert lean(np) is np


def test_every_name_of_array_api_compat_is_there() -> None:
    assert {name for name in dir(compat) if not name.startswith("_")} <= set(vars(_LEAN))
