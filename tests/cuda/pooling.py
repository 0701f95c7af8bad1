"""What the tests of the pooling kernels share: shapes and options, and the comparison with the reference in float64."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from xpnn.cuda import avg_pool, max_pool, spans, windows
from xpnn.gradients import vjp

__all__ = [
    "ADAPTIVE",
    "DTYPES",
    "PLAIN",
    "ROUNDING",
    "WAYS",
    "adaptive_cases",
    "array",
    "check_rounding",
    "expected",
    "forcing",
    "plain_cases",
]

DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
# Of an element, relative to the largest one.
ROUNDING = {"float32": 2e-6, "float16": 1e-3, "bfloat16": 8e-3}

# shape, kernel, stride, padding before, and how much more behind; dilation
PLAIN: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], int, tuple[int, ...]]] = [
    ((1, 1, 1), (1,), (1,), (0,), 0, (1,)),
    ((2, 3, 17), (3,), (2,), (1,), 0, (2,)),
    ((5, 3, 13), (2,), (5,), (1,), 1, (1,)),  # elements between the windows, which get no gradient
    ((3, 7, 8, 6), (2, 2), (2, 2), (0, 0), 0, (1, 1)),
    ((2, 3, 9, 7), (3, 3), (2, 2), (1, 1), 1, (1, 1)),
    ((2, 8, 9, 7), (3, 3), (2, 2), (1, 1), 1, (1, 1)),  # whole vectors of channels
    ((2, 1, 11, 13), (3, 2), (1, 3), (1, 0), 0, (2, 3)),
    ((1, 1, 19, 31), (5, 4), (1, 1), (2, 2), 0, (1, 1)),  # more positions than a block has threads
    ((33, 1, 5, 5), (2, 3), (3, 1), (0, 1), 1, (1, 1)),  # more planes than a block works in
    ((2, 3, 9, 40), (2, 9), (1, 10), (1, 4), 0, (1, 1)),  # eight lanes a window
    ((3, 2, 40), (9,), (13,), (0,), 0, (3,)),
    ((2, 3, 7, 7), (7, 7), (7, 7), (0, 0), 0, (1, 1)),  # all of a plane, in one row
    ((2, 2, 6, 5), (3, 5), (2, 5), (1, 0), 0, (1, 1)),  # whole rows
    ((2, 2, 5, 6, 7), (2, 2, 3), (2, 1, 2), (0, 1, 1), 0, (1, 2, 1)),
    ((0, 2, 4, 4), (2, 2), (2, 2), (0, 0), 0, (1, 1)),
    ((2, 0, 4, 4), (2, 2), (2, 2), (0, 0), 0, (1, 1)),
]
ADAPTIVE: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((1, 1, 1), (1,)),
    ((2, 3, 11), (4,)),
    ((2, 3, 5), (7,)),
    ((3, 2, 7, 10), (3, 3)),
    ((2, 16, 5, 7), (3, 4)),
    ((2, 2, 8, 9), (4, 2)),
    ((3, 1, 6, 7), (4, 1)),
    ((2, 3, 6, 7), (6, 5)),
    ((1, 3, 70), (3,)),  # sixteen lanes a window
    ((2, 3, 7, 7), (1, 1)),
    ((2, 2, 5, 4, 7), (2, 3, 5)),
    ((1, 2, 5, 6, 7), (2, 1, 1)),
    ((0, 2, 5, 4), (3, 3)),
]


WAYS = ("as planned", "single", "bands", "groups")


def forcing(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Makes the plans choose single elements or vectors, or spans: short bands of a plane, or several planes together."""
    if way == "single":
        monkeypatch.setattr(windows, "spans_of", lambda *_: None)
    elif way != "as planned":
        monkeypatch.setattr(spans, "_MOST_READ", 1e9)
        monkeypatch.setattr(spans, "_ENOUGH", 10**6 if way == "bands" else 1)
    for module, name in ((avg_pool, "avg_work"), (max_pool, "forward_work"), (max_pool, "backward_work")):
        planned = getattr(module, name).__wrapped__
        monkeypatch.setattr(module, name, functools.lru_cache(planned))


def array(shape: tuple[int, ...], dtype: Any, ties: bool = False) -> Any:
    """Normal numbers, or few different ones, so that windows have several largest elements."""
    rng = np.random.default_rng(sum(shape))
    return (rng.integers(-2, 3, size=shape) if ties else rng.normal(size=shape)).astype(dtype)


def plain_cases(dilated: bool, dtype: Any = np.float32) -> Iterator[tuple[tuple[Any], dict[str, Any]]]:
    """(arrays, options) in both data formats; avg_pool knows no dilation."""
    for shape, kernel, stride, before, more, dilation in PLAIN:
        static: dict[str, Any] = {"kernel": kernel, "stride": stride}
        static["padding"] = tuple((p, p + more) for p in before)
        if dilated:
            static["dilation"] = dilation
        yield from _both_formats(array(shape, dtype, ties=dilated), static)


def adaptive_cases(ties: bool, dtype: Any = np.float32) -> Iterator[tuple[tuple[Any], dict[str, Any]]]:
    for shape, output in ADAPTIVE:
        yield from _both_formats(array(shape, dtype, ties), {"output": output})


def _both_formats(x: Any, static: dict[str, Any]) -> Iterator[tuple[tuple[Any], dict[str, Any]]]:
    yield (x,), static
    yield (np.moveaxis(x, 1, -1),), {**static, "data_format": "channels_last"}


def expected(reference: Any, x: Any, static: dict[str, Any], seed: int = 0) -> tuple[Any, Any, Any]:
    """(y, a g of the dtype of x, dx) by the reference in float64."""
    y, pullback = vjp(lambda x: reference(x, **static), x.astype(np.float64))
    g = np.random.default_rng(seed).normal(size=y.shape).astype(x.dtype)
    return y, g, pullback(g.astype(np.float64))[0]


def check_rounding(reference: Any, implementation: Any, x: Any, static: dict[str, Any]) -> None:
    """Output and gradient are as near to those in float64 as one rounding at the end allows."""
    y, g, dx = expected(reference, x, static)
    out, residuals = implementation.forward(x, **static, need=(True,))
    back = implementation.backward(residuals, g, (True,))[0]
    for found, exact in ((out, y), (back, dx)):
        assert found.dtype == x.dtype and found.shape == exact.shape
        limit = ROUNDING[str(x.dtype)] * np.abs(exact).max(initial=0)
        np.testing.assert_allclose(found.astype(np.float64), exact, rtol=0, atol=limit)
