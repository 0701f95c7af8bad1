"""Activations and softmax by compiled loops against their references, in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.primitive import use_reference
from xpnn.testing import check_primitive

rng = np.random.default_rng(0)


def of(*shape: int, scale: float = 2.0) -> Any:
    return (scale * np.random.default_rng(sum(shape)).normal(size=shape)).astype(np.float32)


ACTIVATIONS: list[tuple[Any, dict[str, Any]]] = [
    (ops.relu, {}),
    (ops.tanh, {}),
    (ops.sigmoid, {}),
    (ops.silu, {}),
    (ops.gelu, {}),
    (ops.gelu, {"approximate": "tanh"}),
    (ops.softplus, {}),
    (ops.softplus, {"beta": 2.5, "threshold": 1}),
    (ops.elu, {"alpha": 0.7}),
    (ops.leaky_relu, {"negative_slope": 0.2}),
]


@pytest.mark.parametrize(("op", "options"), ACTIVATIONS, ids=str)
def test_activations(threads: int, op: Any, options: dict[str, Any]) -> None:
    inputs = [of(7), of(4, 33), of(5, 6, 7).swapaxes(0, 2), of(0, 3), np.zeros((2, 2), np.float32)]
    assert check_primitive(op, [((x,), options) for x in inputs]) == len(inputs)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("op", "options"), ACTIVATIONS, ids=str)
def test_activations_of_nan_and_of_large_numbers(op: Any, options: dict[str, Any]) -> None:
    x = np.array([np.nan, np.inf, -np.inf, 100, -100, 1e30, -1e30, 0, 88, -88], np.float32)
    y = op(x, **options)
    with use_reference():
        expected = op(x, **options)
    # -inf times 0 is nan in the formulas of silu and gelu; here the limit is 0, too.
    known = ~(np.isnan(expected) & ~np.isnan(x))
    assert np.allclose(y[known], expected[known], rtol=1e-5, atol=1e-30, equal_nan=True)


SHAPES = [
    ((1, 1), -1),
    ((3, 10), -1),
    ((7, 300), 1),
    ((2, 5, 3), 1),
    ((2, 4, 600), 1),
    ((6, 2, 3), 0),
    ((0, 4), -1),
    ((17,), 0),
]


@pytest.mark.parametrize("op", [ops.softmax, ops.log_softmax])
def test_softmax(threads: int, op: Any) -> None:
    cases = [((of(*shape),), {"axis": axis}) for shape, axis in SHAPES]
    cases.append(((of(6, 5, 4).swapaxes(0, 1),), {"axis": 1}))
    assert check_primitive(op, cases) == len(cases)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("op", [ops.softmax, ops.log_softmax])
def test_softmax_of_masked_rows(op: Any, axis: int) -> None:
    x = of(6, 6)
    x[1, :] = x[:, 1] = -np.inf
    x[3, 2], x[2, 4], x[4, 5] = np.nan, np.inf, -np.inf
    y = op(x, axis=axis)
    with use_reference():
        assert np.allclose(y, op(x, axis=axis), rtol=1e-5, atol=1e-7, equal_nan=True)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("classes", [2, 10, 300])
def test_softmax_cross_entropy(threads: int, classes: int, smoothing: float, reduction: str) -> None:
    x, labels = of(23, classes), rng.integers(0, classes, 23)
    labels[[2, 5]] = -1
    options = {"label_smoothing": smoothing, "reduction": reduction, "ignore_index": -1}
    assert check_primitive(ops.softmax_cross_entropy, [((x, labels, None), options)]) == 1


def test_a_label_that_is_no_class_is_named() -> None:
    with pytest.raises(ValueError, match=r"target: expected labels in 0\.\.9"):
        ops.softmax_cross_entropy(of(3, 10), np.array([1, 10, 2]), None)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("mask", [None, "bool", "float"])
def test_attention(threads: int, mask: str | None, is_causal: bool) -> None:
    given = None
    if mask is not None:
        given = of(5, 7) if mask == "float" else of(5, 7) > -1
        given[2] = False if mask == "bool" else -np.inf  # a query that sees no key
    arrays = of(2, 3, 5, 4), of(2, 3, 7, 4), of(2, 3, 7, 6), given
    assert check_primitive(ops.attention, [(arrays, {"is_causal": is_causal})]) == 1
    assert check_primitive(ops.attention, [((of(5, 4), of(7, 4), of(7, 6), given), {"scale": 0.3})]) == 1
