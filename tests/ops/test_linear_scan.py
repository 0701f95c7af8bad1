"""linear_scan: the reference against a plain loop, derivatives, the fused form against the reference, errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.primitive import explain, use_reference
from xpnn.testing import check_gradient, check_primitive

from ..conftest import Library

SHAPES = [(1,), (7,), (1, 3), (2, 1), (6, 3), (5, 2, 4), (33, 5), (0,), (0, 3), (4, 0), (3, 2, 0)]


def draw(*shape: int, dtype: Any = np.float64, seed: int = 0) -> Any:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def loop(a: Any, b: Any, h0: Any, reverse: bool) -> Any:
    """The recurrence as it is written on paper."""
    out = np.zeros(a.shape)
    for place in np.ndindex(*a.shape[1:]):
        h = 0.0 if h0 is None else float(h0[place])
        for step in range(a.shape[0]):
            t = a.shape[0] - 1 - step if reverse else step
            h = float(a[t, *place]) * h + float(b[t, *place])
            out[t, *place] = h
    return out


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("started", [False, True])
def test_values_of_a_plain_loop(lib: Library, shape: tuple[int, ...], reverse: bool, started: bool) -> None:
    a, b = draw(*shape), draw(*shape, seed=1)
    h0 = draw(*shape[1:], seed=2) if started else None
    given = [None if x is None else lib.asarray(x) for x in (a, b, h0)]
    expected = loop(a, b, h0, reverse)
    with use_reference():
        h = lib.to_numpy(ops.linear_scan(*given, reverse=reverse))
    np.testing.assert_allclose(h, expected, rtol=1e-13, atol=1e-14)
    assert h.shape == shape and h.dtype == np.float64
    np.testing.assert_allclose(lib.to_numpy(ops.linear_scan(*given, reverse=reverse)), expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("shape", [(1, 3), (6,), (5, 2, 3)])
def test_first_and_second_derivatives(lib: Library, shape: tuple[int, ...], reverse: bool) -> None:
    a, b, h0 = (lib.asarray(draw(*s, seed=i)) for i, s in enumerate([shape, shape, shape[1:]]))
    check_gradient(lambda a, b, h0: ops.linear_scan(a, b, h0, reverse=reverse), a, b, h0, order=2)
    check_gradient(lambda a, b: ops.linear_scan(a, b, reverse=reverse), a, b, order=2)


def cases(dtype: Any) -> Iterator[tuple[Any, Any]]:
    for shape in SHAPES:
        for reverse in (False, True):
            a, b = draw(*shape, dtype=dtype), draw(*shape, dtype=dtype, seed=1)
            yield (a, b, np.asarray(draw(*shape[1:], seed=2), dtype)), {"reverse": reverse}
            yield (a, b, None), {"reverse": reverse}
    yield (draw(4, 9, dtype=dtype).T, draw(18, 4, dtype=dtype)[::2], draw(8, dtype=dtype)[::2]), {}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_form_agrees_with_the_reference(dtype: Any) -> None:
    assert check_primitive(ops.linear_scan, cases(dtype)) == 45


def test_a_product_that_overflows_leaves_a_state_at_rest_alone() -> None:
    a, b = np.full((400, 1), 1e30, np.float32), np.zeros((400, 1), np.float32)
    b[-1] = 2
    for h in (ops.linear_scan(a, b), ops.linear_scan.reference(a, b)):
        np.testing.assert_array_equal(h, b)


def test_who_computes() -> None:
    x = draw(3, 4)
    assert explain(ops.linear_scan, x, x) == ["linear_scan: cpu.linear_scan"]
    assert explain(ops.linear_scan, x.astype(np.float16), x.astype(np.float16)) == [
        "linear_scan: reference (cpu.linear_scan refused: dtype float16)"
    ]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((np.ones(()), np.ones(())), r"a: expected shape \(T, \.\.\.\), got \(\)"),
        ((np.ones((3, 2)), np.ones((3, 1))), r"b: expected shape \(3, 2\), as a, got \(3, 1\)"),
        ((np.ones((3, 2)), np.ones((3, 2)), np.ones(3)), r"h0: expected shape \(2,\) for a \(3, 2\), got \(3,\)"),
    ],
)
def test_errors_name_the_argument(arrays: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ops.linear_scan(*arrays)
