"""What the generated functions keep for the backward pass: only what a wanted gradient reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_compat.numpy
import numpy as np
import pytest

from xpnn import diff, vjp
from xpnn.namespace.array import Array
from xpnn.namespace.lift import lift, source
from xpnn.namespace.rule import Rule
from xpnn.namespace.rules import elementwise
from xpnn.tape import Meta

_XP = diff(array_api_compat.numpy)
# Larger than what is kept because a note of its shape would cost more.
_X, _Y = np.eye(9) + np.arange(81.0).reshape(9, 9) / 81, np.arange(81.0)[::-1].reshape(9, 9) + 1


def _kept(f: Callable[..., Any], *xs: Any) -> list[Any]:
    """The arrays that the last node of f holds."""
    seen: list[Any] = []
    vjp(lambda *xs: seen.append(f(*xs)) or xs, *xs)
    node = (seen[0][0] if isinstance(seen[0], tuple) else seen[0])._node
    node = node if len(node.args) > 1 or node.args[0] is not None else node.parents[0]
    held = (*node.args, *(node.out if isinstance(node.out, tuple) else (node.out,)))
    return [x for x in held if isinstance(x, np.ndarray | np.generic)]


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: x + x, []),
        (lambda x: x * 3, []),
        (lambda x: _XP.sum(x), []),
        (lambda x: _XP.reshape(x, (81,)), []),
        (lambda x: x[0, :], []),
        (lambda x: _XP.stack([x, x]), []),
        (lambda x: _XP.concat([x, _Y]), []),
        (lambda x: _XP.unstack(x), []),
        (lambda x: _XP.exp(x), [np.exp(_X)]),
        (lambda x: _XP.log(x), [_X]),
        (lambda x: x * _Y, [_Y]),
        (lambda x: _Y @ x, [_Y]),
        (lambda x: _XP.where(_X > 0.5, x, _Y), [_X > 0.5]),
        (lambda x: _XP.linalg.inv(x), [np.linalg.inv(_X)]),
    ],
)
def test_what_is_kept_of_one_traced_argument(f: Callable[..., Any], expected: list[Any]) -> None:
    kept = _kept(f, _X)
    assert len(kept) == len(expected)
    for ours, theirs in zip(kept, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_what_is_kept_of_two_traced_arguments() -> None:
    assert [x is _X or x is _Y for x in _kept(lambda x, y: x * y, _X, _Y)] == [True, True]
    assert _kept(lambda x, y: x - y, _X, _Y) == []


def test_the_generated_source_can_be_read() -> None:
    text = source("negative", elementwise.RULES["negative"])
    assert text.startswith("def negative(x, /):\n")
    assert "return Array(out, Node(rule, (n_x, ), " in text
    assert "Meta((x.shape, x.dtype))" in text


def test_a_few_numbers_are_kept_where_a_note_of_their_shape_costs_more() -> None:
    few, view = np.ones(64), np.ones(65)[:4]
    assert _kept(lambda x: x + x, few)[0] is few
    assert _kept(lambda x: x + x, np.ones(65)) == []
    assert _kept(lambda x: x + x, view) == []  # it would keep all 65


def test_a_function_has_the_doc_of_the_library_s() -> None:
    assert _XP.exp.__doc__ == array_api_compat.numpy.exp.__doc__
    assert _XP.exp.__name__ == "exp"
    assert _XP.exp.__module__ == "xpnn.diff.numpy"


def test_constants_are_not_recorded() -> None:
    y = _XP.exp(Array(_X))
    assert type(y) is Array
    assert y._node is None


def test_integer_results_are_not_recorded() -> None:
    seen: list[Any] = []
    vjp(lambda x: seen.extend([_XP.astype(x, _XP.int64), _XP.sum(x, dtype=_XP.int64)]) or x, _X)
    assert [y._node for y in seen] == [None, None]


def test_a_gradient_function_with_wrong_parameters_is_refused() -> None:
    with pytest.raises(TypeError, match=r"a gradient of \(x, axis\) takes \(xp, g, out, x, axis\)"):
        Rule("x, /, *, axis=None", x=lambda xp, g, out, x: g)


def test_a_rule_of_one_s_own() -> None:
    twice = lift("twice", lambda x: 2 * x, Rule("x, /", x=lambda xp, g, _out, _x: 2 * g))
    y, pullback = vjp(twice, _X)
    np.testing.assert_array_equal(y, 2 * _X)
    np.testing.assert_array_equal(pullback(_Y)[0], 2 * _Y)


def test_a_rule_in_one_expression_reads_what_it_names() -> None:
    rule = Rule("x1, x2, /", x1="g * x2", x2="math.pi * g * out")
    assert rule.reads == {"x1": {"x2"}, "x2": {"out"}}
    f = lift("f", lambda a, b: a * b, rule)
    y, pullback = vjp(f, _X, _Y)
    dx, dy = pullback(np.ones_like(_X))
    np.testing.assert_array_equal(dx, _Y)
    np.testing.assert_array_equal(dy, np.pi * y)


def test_an_argument_may_bear_the_gradient_s_name() -> None:
    f = lift("f", lambda g: 3 * g, Rule("g, /", g=lambda xp, gg, _out, _g: 3 * gg))
    np.testing.assert_array_equal(vjp(f, _X)[1](_Y)[0], 3 * _Y)


def test_shapes_are_kept_in_place_of_arrays() -> None:
    meta = Meta(((2, 3), np.dtype("float32")))
    assert (meta.shape, meta.dtype, meta.ndim) == ((2, 3), np.float32, 2)
