"""linear for CuPy, run on NumPy arrays with the emulator in the place of the GPU: against the reference, and what it refuses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import ops
from xpnn.cuda import linear
from xpnn.gradients import vjp
from xpnn.primitive import Primitive
from xpnn.testing import check_primitive

from .emulated import Emulator, emulating


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with emulating(monkeypatch) as found:
        yield found


@pytest.fixture
def primitive() -> Primitive:
    """ops.linear with the form for CuPy in the place of that for NumPy."""
    own = Primitive(ops.linear.reference, name="linear")
    own.add("numpy", linear)
    return own


def cases(dtype: Any) -> Iterator[tuple[Any, Any]]:
    rng = np.random.default_rng(0)
    shapes = [(1, 1), (7, 5), (32, 17), (0, 3), (4, 0), (11,), (3, 1, 13), (2, 0, 3)]
    for shape, outputs, activation in itertools.product(shapes, (1, 8, 9), [None, "relu", "tanh", "sigmoid"]):
        x, weight, bias = rng.normal(size=shape), rng.normal(size=(outputs, shape[-1])), rng.normal(size=outputs)
        own = (x.astype(dtype), weight.astype(dtype), bias.astype(dtype) if outputs > 1 else None)
        yield own, {"activation": activation}
    x, weight, bias = (rng.normal(size=n).astype(dtype) for n in [(6, 10), (4, 10), 4])
    yield (x[::2, ::-1], weight[:, ::-1], bias[::-1]), {"activation": "tanh"}


def test_it_agrees_with_the_reference(emulator: Emulator, primitive: Primitive) -> None:
    assert check_primitive(primitive, cases(np.float32)) == 97
    assert {plan.entry.partition("<")[0] for plan in emulator.launched} == {
        "bias_activation_forward",
        "bias_activation_backward",
    }


@pytest.mark.parametrize("activation", [None, "relu", "tanh", "sigmoid"])
def test_in_float16_it_is_as_near_to_float64_as_the_reference_is(
    emulator: Emulator, primitive: Primitive, activation: str | None
) -> None:
    """Root mean square errors of the output and of each gradient; ours rounds less often, and may not be worse."""
    rng = np.random.default_rng(3)
    args = [rng.normal(size=shape).astype(np.float16) for shape in [(64, 24), (16, 24), (16,)]]
    g = rng.normal(size=(64, 16)).astype(np.float16)

    def run(f: Any, dtype: Any) -> list[Any]:
        out, pullback = vjp(lambda *a: f(*a, activation=activation), *[a.astype(dtype) for a in args])
        return [out, *pullback(g.astype(dtype))]

    exact = run(ops.linear.reference, np.float64)
    for ours, theirs, y in zip(run(primitive, np.float16), run(ops.linear.reference, np.float16), exact, strict=True):
        assert ours.dtype == np.float16
        errors = [np.sqrt(np.mean((np.asarray(x, np.float64) - y) ** 2)) for x in (ours, theirs)]
        assert errors[0] <= 1.05 * errors[1]
        assert errors[0] <= 4e-3 * np.sqrt(np.mean(y**2))


def test_without_bias_and_activation_nothing_is_launched(emulator: Emulator) -> None:
    x, weight = np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)
    out, residuals = linear.forward(x, weight, None, need=(True, True, False))
    dx, dw, db = linear.backward(residuals, out, (True, True, False))
    assert np.all(out == 3) and np.all(dx == 12) and np.all(dw == 6) and db is None
    assert emulator.launched == []


def test_what_is_not_wanted_is_not_computed(emulator: Emulator) -> None:
    x, weight, bias = np.ones((2, 3), np.float32), np.ones((4, 3), np.float32), np.zeros(4, np.float32)
    out, residuals = linear.forward(x, weight, bias, activation="tanh", need=(False, False, True))
    emulator.launched.clear()
    dx, dw, db = linear.backward(residuals, out, (False, False, True))
    assert dx is None and dw is None and db.shape == (4,)
    assert len(emulator.launched) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"x": np.ones((2, 3))}, "dtype float64"),
        ({"bias": np.ones(4, np.float16)}, "dtypes float32 and float16"),
        ({"weight": np.ones((4, 2), np.float32)}, "shapes"),
        ({"bias": np.ones(3, np.float32)}, "shape of bias"),
        ({"activation": "gelu"}, "activation gelu"),
    ],
)
def test_it_says_what_it_does_not_take(change: dict[str, Any], reason: str) -> None:
    call = {"x": np.ones((2, 3), np.float32), "weight": np.ones((4, 3), np.float32), "bias": None, "activation": None}
    assert linear.refusal(**call) is None
    assert linear.refusal(**{**call, **change}) == reason


def test_ops_linear_has_it_for_cupy() -> None:
    assert ops.linear.implementations["cupy"] == [linear]


@pytest.mark.parametrize("precision", ["high", "medium"])
@pytest.mark.parametrize("shape", [(7, 5), (3, 1, 13), (11,), (2, 70, 16)])
def test_in_a_lower_precision_tensor_cores_multiply(emulator: Emulator, precision: str, shape: tuple[int, ...]) -> None:
    """Small integers are exact; bias and activation ride along."""
    rng = np.random.default_rng(0)
    args = [rng.integers(-3, 4, s).astype(np.float32) for s in (shape, (9, shape[-1]), (9,))]
    with xpnn.precision(precision):
        y, residuals = linear.forward(*args, activation="relu", need=(True,) * 3)
    g = rng.integers(-3, 4, y.shape).astype(np.float32)
    found = [y, *linear.backward(residuals, g, (True,) * 3)]
    out, pullback = vjp(lambda *a: ops.linear.reference(*a, activation="relu"), *(a.astype(np.float64) for a in args))
    for a, b in zip(found, [out, *pullback(g.astype(np.float64))], strict=True):
        np.testing.assert_array_equal(a, b)
    kernels = [plan.entry.partition("<")[0] for plan in emulator.launched if "tensor" in plan.entry]
    assert kernels == ["conv_gather_tensor"] * 2 + ["conv_weight_tensor"]
    assert all(f"<Tf32<{3 if precision == 'high' else 1}>" in p.entry for p in emulator.launched if "tensor" in p.entry)


def test_in_a_lower_precision_empty_arrays_go_where_they_went(emulator: Emulator, primitive: Primitive) -> None:
    empty = [(args, static) for args, static in cases(np.float32) if 0 in args[0].shape]
    with xpnn.precision("high"):
        assert check_primitive(primitive, empty) == len(empty) > 0
    assert not any("tensor" in plan.entry for plan in emulator.launched)


def test_the_backward_multiplies_as_the_forward_did(emulator: Emulator) -> None:
    """Within the bound of three products, where one would be a thousand times worse; strided arrays."""
    rng = np.random.default_rng(0)
    x, w, g = (rng.normal(size=s).astype(np.float32) for s in ((18, 40), (24, 20), (18, 24)))
    x = x[:, ::2]
    with xpnn.precision("high"):
        y, residuals = linear.forward(x, w, None, need=(True, True, False))
    dx, dw, _ = linear.backward(residuals, g.T.copy().T, (True, True, False))
    for found, a, b in ((y, x, w.T), (dx, g, w), (dw, g.T, x)):
        a, b = a.astype(np.float64), b.astype(np.float64)
        assert np.all(np.abs(found - a @ b) <= 6e-7 * (np.abs(a) @ np.abs(b)))
