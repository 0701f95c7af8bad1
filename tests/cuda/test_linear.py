"""linear for CuPy, run on NumPy arrays with the emulator in the place of the GPU: against the reference, and what it refuses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

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
