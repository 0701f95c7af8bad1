"""linear: the reference against torch, the fused form against the reference, errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.primitive import explain
from xpnn.testing import check_primitive

from ..conftest import Library
from .against_torch import check_against_torch

ACTIVATIONS = [None, "relu", "tanh", "sigmoid"]


def arrays(shape: tuple[int, ...], outputs: int, bias: bool, dtype: Any = np.float64) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(outputs)
    x, weight, b = rng.normal(size=shape), rng.normal(size=(outputs, shape[-1])), rng.normal(size=outputs)
    return x.astype(dtype), weight.astype(dtype), b.astype(dtype) if bias else None


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("shape", "bias"), [((5, 3), True), ((2, 4, 3), False), ((3,), True), ((0, 3), True)])
def test_reference_agrees_with_torch(lib: Library, shape: tuple[int, ...], bias: bool, activation: str | None) -> None:
    def theirs(x: Any, weight: Any, bias: Any) -> Any:
        import torch

        y = torch.nn.functional.linear(x, weight, bias)
        return y if activation is None else getattr(torch, activation)(y)

    check_against_torch(lib, lambda *a: ops.linear(*a, activation=activation), theirs, arrays(shape, 4, bias))


def cases(dtype: Any) -> Iterator[tuple[Any, Any]]:
    for shape in [(1, 1), (7, 5), (32, 17), (0, 3), (4, 0), (11,), (3, 1, 13), (2, 0, 3)]:
        for outputs in (1, 9):
            for activation in ACTIVATIONS:
                yield arrays(shape, outputs, outputs > 1, dtype), {"activation": activation}
    x, weight, bias = arrays((6, 10), 4, True, dtype)
    yield (x[::2, ::-1], weight[:, ::-1], bias[::-1]), {}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_form_agrees_with_the_reference(dtype: Any) -> None:
    assert check_primitive(ops.linear, cases(dtype)) == 65


def test_sigmoid_is_accurate_in_its_tails_and_silent() -> None:
    x = np.array([[-1000.0, -80.0, -20.0, 0.0, 20.0, 1000.0]], np.float32)
    y = ops.linear(x, np.eye(6, dtype=np.float32), activation="sigmoid")
    np.testing.assert_allclose(y[0, 1:5], 1 / (1 + np.exp(-x[0, 1:5].astype(np.float64))), rtol=1e-5)
    assert y[0, 0] < 1e-37 and y[0, 5] == 1


@pytest.mark.parametrize("change", ["float16", "mixed"])
def test_other_dtypes_take_the_reference(change: str) -> None:
    x, weight, bias = arrays((4, 3), 2, True)
    args = (
        [a.astype(np.float16) for a in (x, weight, bias)]
        if change == "float16"
        else [x, weight.astype(np.float32), bias]
    )
    (line,) = explain(ops.linear, *args)
    assert line.startswith("linear: reference")
    np.testing.assert_allclose(ops.linear(*args).astype(np.float64), x @ weight.T + bias, rtol=2e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((np.ones((2, 3)), np.ones((4, 5))), {}, r"x: expected shape \(\.\.\., 5\)"),
        ((np.ones((2, 3)), np.ones(3)), {}, "weight: expected shape"),
        ((np.ones((2, 3)), np.ones((4, 3)), np.ones(3)), {}, r"bias: expected shape \(4,\), got \(3,\)"),
        ((np.ones((2, 3)), np.ones((4, 3))), {"activation": "softmax"}, "activation: expected"),
    ],
)
def test_errors_name_the_argument(args: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ops.linear(*args, **options)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0,)])
@pytest.mark.parametrize("bias", [True, False])
def test_bilinear_is_that_of_torch(lib: Library, shape: tuple[int, ...], bias: bool) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=n) for n in ((*shape, 3), (*shape, 4), (5, 3, 4), (5,))]

    def theirs(*tensors: Any) -> Any:
        import torch

        return torch.nn.functional.bilinear(*tensors)

    check_against_torch(lib, ops.bilinear, theirs, arrays if bias else [*arrays[:3], None])


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 3), (2, 4), (5, 3)), r"weight: expected shape \(outputs, inputs1, inputs2\), got \(5, 3\)"),
        (((2, 3), (2, 5), (5, 3, 4)), r"x2: expected shape \(..., 4\), got \(2, 5\)"),
        (((2, 3), (1, 4), (5, 3, 4)), r"x2: expected shape \(2, …\) as x1, got \(1, 4\)"),
        (((2, 3), (2, 4), (5, 3, 4), (3,)), r"bias: expected shape \(5,\), got \(3,\)"),
    ],
)
def test_bilinear_names_what_does_not_fit(shapes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ops.bilinear(*map(np.ones, shapes))
