"""Primitives: choice, recording, second order through the reference, explain; the oracle catches planted faults."""

from __future__ import annotations

from typing import Any

import array_api_strict
import numpy as np
import pytest

import xpnn
from xpnn.namespace import Array, namespace
from xpnn.primitive import Primitive, explain, use_reference
from xpnn.testing import check_primitive


def reference(x: Any, w: Any, b: Any = None, *, power: int = 2) -> tuple[Any, Any]:
    """(x**power * w + b, sum of x)."""
    xp = namespace(x, w, b)
    y = x**power * w
    return (y if b is None else y + b), xp.sum(x)


class Fused:
    """A NumPy form that counts its calls; ``wrong`` plants a fault."""

    __name__ = "xpnn.cpu.toy"

    def __init__(self, wrong: str = "") -> None:
        self.wrong = wrong
        self.calls: list[str] = []

    def refusal(self, x: Any, w: Any, b: Any, *, power: int = 2) -> str | None:
        return f"power {power}" if power != 2 else None

    def forward(self, x: Any, w: Any, b: Any, *, need: tuple[bool, ...], power: int = 2) -> Any:
        self.calls.append("forward" if any(need) else "inference")
        y = x * x * w + (0 if b is None else b)
        if self.wrong == "inference" and not any(need):
            y = y * 1.01
        return (y, x.sum()), ((x, w) if any(need) else None)

    def backward(self, residuals: Any, g: Any, need: Any) -> Any:
        self.calls.append("backward")
        x, w = residuals
        gy, gs = g
        dy = np.zeros_like(x) if gy is None else gy
        dx = 2 * x * w * dy + (0 if gs is None else gs)
        if self.wrong == "gradient":
            dx = dx * (1 + 1e-3)
        if self.wrong == "random":
            dx = dx + np.random.default_rng().normal(size=x.shape) * 1e-13
        return dx, (x * x * dy if need[1] else None), (dy.sum(axis=0) if need[2] else None)


def toy(wrong: str = "") -> tuple[Primitive, Fused]:
    primitive = Primitive(reference, name="toy")
    fused = Fused(wrong)
    primitive.add("numpy", fused)
    return primitive, fused


def arrays(seed: int = 0) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), rng.normal(size=4)


def total(pair: Any) -> Any:
    return namespace(pair[0]).sum(pair[0] * pair[0]) * pair[1]


def test_the_implementation_runs_and_agrees_with_the_reference() -> None:
    primitive, fused = toy()
    x, w, b = arrays()
    found = xpnn.grad(lambda *a: total(primitive(*a)), argnums=(0, 1, 2))(x, w, b)
    assert fused.calls == ["forward", "backward"]
    with use_reference():
        expected = xpnn.grad(lambda *a: total(primitive(*a)), argnums=(0, 1, 2))(x, w, b)
    assert fused.calls == ["forward", "backward"]
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-12)


def test_inference_records_nothing() -> None:
    primitive, fused = toy()
    y, s = primitive(*arrays())
    assert fused.calls == ["inference"] and type(y) is np.ndarray and type(s) is np.float64


def test_optional_arrays_and_arrays_by_name() -> None:
    primitive, _ = toy()
    x, w, b = arrays()
    np.testing.assert_allclose(primitive(x, w)[0], x * x * w)
    np.testing.assert_allclose(primitive(x, b=b, w=w)[0], x * x * w + b)
    np.testing.assert_allclose(primitive(x, w, power=3)[0], x**3 * w)
    with pytest.raises(TypeError, match="w"):
        primitive(x)
    assert (
        list(primitive.__signature__.parameters) == ["x", "w", "b", "power"] and primitive.__doc__ == reference.__doc__
    )


def test_only_one_output_used() -> None:
    primitive, _ = toy()
    x, w, _ = arrays()
    np.testing.assert_allclose(xpnn.grad(lambda x: primitive(x, w)[1])(x), np.ones((3, 4)))
    np.testing.assert_allclose(xpnn.grad(lambda x: namespace(x).sum(primitive(x, w)[0]))(x), 2 * x * w)


def test_second_order_goes_through_the_reference() -> None:
    primitive, fused = toy()
    x, w, b = arrays()
    inner = xpnn.grad(lambda x: namespace(x).sum(primitive(x, w, b)[0]))
    found = xpnn.grad(lambda x: namespace(x).sum(inner(x) * x))(x)  # sum of 2x²w
    np.testing.assert_allclose(found, 4 * x * w)
    assert fused.calls == ["forward"]


def test_a_refused_call_and_another_library_trace_the_reference() -> None:
    primitive, fused = toy()
    x, w, _ = arrays()
    np.testing.assert_allclose(xpnn.grad(lambda x: namespace(x).sum(primitive(x, w, power=3)[0]))(x), 3 * x**2 * w)
    strict = [array_api_strict.asarray(a) for a in (x, w)]
    g = xpnn.grad(lambda x: namespace(x).sum(primitive(x, strict[1])[0]))(strict[0])
    np.testing.assert_allclose(np.asarray(g), 2 * x * w)
    assert fused.calls == []


def test_explain_says_what_ran_and_why() -> None:
    primitive, _ = toy()
    x, w, _ = arrays()

    def work() -> None:
        primitive(x, w)
        primitive(x, w, power=3)
        primitive(*[array_api_strict.asarray(a) for a in (x, w)])
        with use_reference():
            primitive(x, w)

    assert explain(work) == [
        "toy: cpu.toy",
        "toy: reference (cpu.toy refused: power 3)",
        "toy: reference (no implementation for array_api_strict arrays)",
        "toy: reference (use_reference() is in force)",
    ]


def test_constants_inside_a_trace_stay_boxed() -> None:
    primitive, _ = toy()
    x, w, _ = arrays()
    out = primitive(Array(x), w)
    assert type(out[0]) is Array and out[0]._node is None


def test_arrays_of_two_libraries_are_refused_by_name() -> None:
    primitive, _ = toy()
    x, w, _ = arrays()
    with pytest.raises(xpnn.DeviceMismatchError, match="toy: w is an array of array_api_strict, x of numpy"):
        primitive(x, array_api_strict.asarray(w))


def cases() -> list[Any]:
    x, w, b = arrays()
    return [((x, w, b), {}), ((x.astype(np.float32), w.astype(np.float32), None), {})]


def test_the_oracle_passes_a_right_implementation() -> None:
    assert check_primitive(toy()[0], cases()) == 2


@pytest.mark.parametrize(
    ("wrong", "words"),
    [("gradient", "gradient of argument 0"), ("inference", "inference"), ("random", "differs between two runs")],
)
def test_the_oracle_catches_planted_faults(wrong: str, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_primitive(toy(wrong)[0], cases())


def test_the_oracle_does_not_compare_the_reference_with_itself() -> None:
    with pytest.raises(AssertionError, match="no implementation accepts it"):
        check_primitive(toy()[0], [((*arrays(),), {"power": 3})])
