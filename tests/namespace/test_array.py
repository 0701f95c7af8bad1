"""The box: operators, indexing, assignment, conversions, and what happens where it meets raw arrays."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import array_api_strict
import numpy as np
import pytest

from tests.conftest import Library
from xpnn import check_gradient, grad, namespace, stop_gradient, vjp
from xpnn.namespace.array import Array, TracedArrayError


def _sum(x: Any) -> Any:
    return namespace(x).sum(x)


def _traced(f: Callable[[Any], Any], x: Any) -> Any:
    """What f returns when it is given x traced."""
    seen: list[Any] = []
    vjp(lambda y: seen.append(f(y)) or y, x)
    return seen[0]


# ---- conversions


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        lambda x: np.asarray(x, dtype=np.float32),
        float,
        complex,
        lambda x: x.__dlpack__(),
        lambda x: namespace(x).from_dlpack(x),
    ],
    ids=["asarray", "asarray dtype", "float", "complex", "dlpack", "from_dlpack"],
)
def test_conversions_that_would_lose_a_gradient_raise(convert: Callable[[Any], Any]) -> None:
    with pytest.raises(TracedArrayError, match="would lose its gradient; use xpnn.stop_gradient"):
        _traced(convert, np.asarray(2.0))


def test_constants_inside_a_trace_convert(lib: Library) -> None:
    def f(x: Any) -> Any:
        y = stop_gradient(x)
        assert float(y) == 2.0
        assert complex(y) == 2.0
        if lib.name == "numpy":
            assert np.asarray(y) == 2.0
            assert np.asarray(y, dtype=np.float32).dtype == np.float32
        return x

    vjp(f, lib.asarray(2.0))


def test_truth_integers_and_lengths_of_traced_arrays(lib: Library) -> None:
    def f(x: Any) -> Any:
        assert bool(x[1] > x[0])
        assert not x[0]
        xp = namespace(x)
        assert int(xp.astype(x, xp.int64)[2]) == 2
        assert [10, 20, 30][xp.argmax(x)] == 30
        assert len(x) == 3
        assert repr(x).endswith(", traced)")
        return x

    vjp(f, lib.asarray([0.0, 1.0, 2.0]))


def test_attributes(lib: Library) -> None:
    def f(x: Any) -> Any:
        assert (x.shape, x.ndim, x.size) == ((2, 3), 2, 6)
        assert x.dtype == lib.xp.float64
        assert x.device == getattr(lib.xp.zeros(0, device=lib.device), "device", "cpu")
        assert x.to_device(x.device) is x
        assert x.T.shape == x.mT.shape == (3, 2)
        with pytest.raises(ValueError, match="2 dimensions"):
            _ = x[0, ...].T
        with pytest.raises(TypeError, match="0-d"):
            len(x[0, 0])
        with pytest.raises(TypeError, match="0-d"):
            iter(x[0, 0])
        return x

    vjp(f, lib.asarray(np.ones((2, 3))))


# ---- operators

_BINARY = ["add", "sub", "mul", "truediv", "pow", "mod", "matmul"]
_STEPS = ["floordiv", "lt", "le", "gt", "ge", "eq", "ne"]


@pytest.mark.parametrize("name", _BINARY)
def test_arithmetic_operators(name: str, lib: Library, rng: np.random.Generator) -> None:
    f = getattr(operator, name)
    x, y = lib.asarray(rng.uniform(1, 2, (3, 3))), lib.asarray(rng.uniform(2.1, 2.9, (3, 3)))
    np.testing.assert_allclose(lib.to_numpy(vjp(f, x, y)[0]), lib.to_numpy(f(x, y)), rtol=1e-14)
    check_gradient(f, x, y, order=2)
    if name != "matmul":
        check_gradient(lambda x: f(x, 1.5), x, order=2)
        check_gradient(lambda x: f(3.5, x), x, order=2)


@pytest.mark.parametrize("name", _BINARY)
def test_in_place_operators_rebind_the_box_only(name: str, lib: Library, rng: np.random.Generator) -> None:
    f = getattr(operator, f"i{name}")
    x, y = rng.uniform(1, 2, (3, 3)), rng.uniform(2.1, 2.9, (3, 3))
    given = lib.asarray(x)

    def g(x: Any, y: Any) -> Any:
        before = x + 0 * x  # a box of its own
        alias = before
        before = f(before, y)
        assert before is alias
        return before * x

    value, _ = vjp(g, given, lib.asarray(y))
    np.testing.assert_allclose(lib.to_numpy(value), getattr(operator, name)(x, y) * x, rtol=1e-14)
    np.testing.assert_array_equal(lib.to_numpy(given), x)


def test_in_place_operators_keep_shape_and_dtype() -> None:
    with pytest.raises(TypeError, match="an in-place operation keeps shape and dtype"):
        _traced(lambda x: operator.iadd(x, np.ones((2, 3))), np.ones(3))
    with pytest.raises(TypeError, match="an in-place operation keeps shape and dtype"):
        _traced(lambda x: operator.iadd(x, np.ones(3)), np.ones(3, dtype=np.float32))


@pytest.mark.parametrize("name", _STEPS)
def test_steps_and_comparisons_are_constants(name: str, lib: Library) -> None:
    f = getattr(operator, name)
    x, y = lib.asarray([1.0, 2.0, 3.5]), lib.asarray([1.0, 3.0, 2.0])
    result = _traced(lambda x: f(x, y), x)
    assert result._node is None
    np.testing.assert_array_equal(lib.to_numpy(result), lib.to_numpy(f(x, y)))
    assert _traced(lambda x: f(x, 2.0), x)._node is None


@pytest.mark.parametrize("name", ["neg", "pos", "abs"])
def test_unary_operators(name: str, lib: Library) -> None:
    check_gradient(getattr(operator, name), lib.asarray([1.0, -2.0, 3.5]), order=2)


def test_integer_boxes_have_bitwise_operators(lib: Library) -> None:
    def f(x: Any) -> Any:
        xp = namespace(x)
        i = xp.astype(x, xp.int64)
        results = [i & 6, i | 1, i ^ 3, i << 1, i >> 1, ~i, i // 2, i % 3, -i, 7 & i, 1 << i]
        expected = [4, 5, 6, 10, 2, -6, 2, 2, -5, 5, 32]
        assert [int(y) for y in results] == expected
        assert all(y._node is None for y in results)
        return x

    vjp(f, lib.asarray(5.0))


def test_a_raw_array_meets_a_box_in_both_orders(lib: Library) -> None:
    y = lib.asarray([4.0, 5.0])
    assert lib.to_numpy(grad(lambda x: _sum(x * y))(lib.asarray([1.0, 2.0]))).tolist() == [4.0, 5.0]
    if lib.name == "array_api_strict":  # whose operators raise instead of stepping back for a class they do not know
        with pytest.raises(TypeError, match="Expected Array or Python scalar"):
            grad(lambda x: _sum(y * x))(lib.asarray([1.0, 2.0]))
        assert lib.to_numpy(grad(lambda x: _sum(namespace(x).asarray(y) * x))(lib.asarray([1.0, 2.0]))).tolist() == [
            4,
            5,
        ]
    else:
        assert lib.to_numpy(grad(lambda x: _sum(y * x))(lib.asarray([1.0, 2.0]))).tolist() == [4.0, 5.0]


def test_arguments_that_are_not_differentiated_are_boxed_too(lib: Library) -> None:
    x, y = lib.asarray([1.0, 2.0]), lib.asarray([4.0, 5.0])
    assert lib.to_numpy(grad(lambda x, y: _sum(y * x))(x, y)).tolist() == [4.0, 5.0]


def test_numpy_scalars_and_ufuncs_step_back() -> None:
    assert grad(lambda x: _sum(np.float64(3.0) * x))(np.ones(2)).tolist() == [3.0, 3.0]
    assert grad(lambda x: _sum(np.ones((2, 2)) @ x))(np.ones(2)).tolist() == [2.0, 2.0]
    with pytest.raises(TypeError, match="does not support ufuncs"):
        _traced(np.exp, np.ones(2))


def test_python_scalars_stay_weak(lib: Library) -> None:
    x = lib.asarray([1.0, 2.0], dtype=np.float32)
    result = _traced(lambda x: (2 * x + 1.5) ** 2 / 3 - 1, x)
    assert result.dtype == lib.xp.float32


# ---- indexing

_KEYS: list[Any] = [
    (1, slice(None), 2), (..., -1), (slice(0, 2), ..., slice(None, None, 2)), (None, 1, ..., None), (slice(None, None, -1), ...),
    (..., slice(3, None)), (slice(1, 1), ...), (..., 0, 0, 0),
]  # fmt: skip


@pytest.mark.parametrize("key", _KEYS, ids=str)
def test_gradients_of_indexing(key: Any, lib: Library, rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 4))
    np.testing.assert_array_equal(lib.to_numpy(_traced(lambda x: x[key], lib.asarray(x))), x[key])
    check_gradient(lambda x: x[key] ** 2, lib.asarray(x), order=2)


@pytest.mark.parametrize("key", [k for k in _KEYS if None not in k], ids=str)
def test_gradients_of_assignment(key: Any, lib: Library, rng: np.random.Generator) -> None:
    x, value = rng.normal(size=(2, 3, 4)), rng.normal(size=np.empty((2, 3, 4))[key].shape)

    def f(x: Any, value: Any) -> Any:
        xp = namespace(x)
        y = xp.asarray(x * x)
        y[key] = xp.asarray(value) ** 3
        return y * y

    expected = x * x
    expected[key] = value**3
    np.testing.assert_allclose(lib.to_numpy(vjp(f, lib.asarray(x), lib.asarray(value))[0]), expected**2, rtol=1e-14)
    check_gradient(
        lambda x, value: f(*map(namespace(x, value).asarray, (x, value))), lib.asarray(x), lib.asarray(value), order=2
    )


def test_assignment_never_reaches_the_caller_s_array_nor_what_a_rule_kept(lib: Library) -> None:
    given = lib.asarray([1.0, 2.0, 3.0])

    def f(x: Any) -> Any:
        y = x * x  # keeps x
        x[0] = 100.0
        x[1] *= 10.0
        return _sum(y) + _sum(x)

    # sum(x**2) + 100 + 10 x[1] + x[2]
    assert lib.to_numpy(grad(f)(given)).tolist() == [2.0, 14.0, 7.0]
    assert lib.to_numpy(given).tolist() == [1.0, 2.0, 3.0]


def test_a_traced_value_makes_a_constant_box_traced(lib: Library) -> None:
    def f(x: Any) -> Any:
        buffer = namespace(x).zeros(4, device=x.device)
        assert buffer._node is None
        for i in range(4):
            buffer[i] = x * i
        assert buffer._node is not None
        return _sum(buffer * buffer)

    assert float(grad(f)(lib.asarray(3.0))) == 2 * 3.0 * (0 + 1 + 4 + 9)


def test_views_are_copies_as_far_as_assignment_goes(lib: Library) -> None:
    def f(x: Any) -> Any:
        row = x[0, ...]
        row[0] = 7.0  # of the box row, not of x
        return _sum(x) + _sum(row)

    x = lib.asarray([[1.0, 2.0], [3.0, 4.0]])
    value, pullback = vjp(f, x)
    assert float(value) == 10.0 + 9.0
    assert lib.to_numpy(pullback(lib.asarray(1.0))[0]).tolist() == [[1.0, 2.0], [1.0, 1.0]]


def test_boolean_assignment(lib: Library) -> None:
    def f(x: Any) -> Any:
        y = x + 0.0
        y[x < 0.0] = 0.0
        return _sum(y * y)

    assert lib.to_numpy(grad(f)(lib.asarray([-1.0, 2.0, -3.0, 4.0]))).tolist() == [0.0, 4.0, 0.0, 8.0]


def test_of_values_written_to_one_place_the_last_gets_the_gradient() -> None:
    def f(value: Any) -> Any:
        y = namespace(value).zeros(3)
        y[np.asarray([0, 2, 0])] = value
        return _sum(y)

    assert grad(f)(np.asarray([1.0, 2.0, 3.0])).tolist() == [0.0, 1.0, 1.0]


def test_a_traced_value_does_not_go_into_integers(lib: Library) -> None:
    def f(x: Any) -> Any:
        xp = namespace(x)
        i = xp.zeros(2, dtype=xp.int64, device=x.device)
        i[0] = x
        return x

    with pytest.raises(TypeError, match="its gradient would be lost"):
        grad(f)(lib.asarray(1.0))


def test_boxes_as_indices(lib: Library) -> None:
    def f(x: Any) -> Any:
        xp = namespace(x)
        i = xp.argmax(x)
        return x[i] * x[xp.astype(i, xp.int64) - 1] + _sum(x[x > 1.5])

    assert lib.to_numpy(grad(f)(lib.asarray([1.0, 2.0, 5.0, 0.0]))).tolist() == [0.0, 6.0, 3.0, 0.0]


# ---- iteration


def test_iteration_gives_traced_rows(lib: Library) -> None:
    x = lib.asarray([[1.0, 2.0], [3.0, 4.0]])
    assert lib.to_numpy(grad(lambda x: _sum([row * k for k, row in enumerate(x, 1)][1]))(x)).tolist() == [
        [0, 0],
        [2, 2],
    ]
    first, second = _traced(tuple, x)
    assert first.shape == second.shape == (2,)


def test_iteration_and_unstack_are_one_node_not_one_for_each_row() -> None:
    """x[t] in a loop would allocate zeros of the size of x in the backward pass of every step."""
    rows = _traced(lambda x: [*x, *namespace(x).unstack(x, axis=1)], np.ones((50, 2)))
    assert len({row._node.parents[0] for row in rows[:50]}) == 1
    assert len({row._node.parents[0] for row in rows[50:]}) == 1


def test_boxes_hash_by_identity() -> None:
    box = Array(np.ones(2))
    assert {box: 1}[box] == 1


def test_strict_is_at_the_revision_of_the_rules() -> None:
    assert array_api_strict.__array_api_version__ == "2025.12"
