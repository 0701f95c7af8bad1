"""Activations for CuPy, in the emulator: against the references in float64, and what they refuse."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.emulator import SCHEDULES
from xpnn import ops
from xpnn.cuda import activation
from xpnn.gradients import vjp
from xpnn.primitive import Primitive
from xpnn.testing import check_primitive

from .emulated import Emulator, emulating

DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
# The largest error relative to 1 + the value: half a unit in the last place of a number in [1, 2), and what functions add.
ROUNDING = {"float32": 2e-6, "float16": 6e-4, "bfloat16": 5e-3}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("relu", {}),
    "tanh": ("tanh", {}),
    "sigmoid": ("sigmoid", {}),
    "silu": ("silu", {}),
    "gelu": ("gelu", {}),
    "gelu tanh": ("gelu", {"approximate": "tanh"}),
    "softplus": ("softplus", {}),
    "softplus 0.5": ("softplus", {"beta": 0.5, "threshold": 4}),
    "elu": ("elu", {}),
    "elu 0.3": ("elu", {"alpha": 0.3}),
    "leaky_relu": ("leaky_relu", {}),
    "leaky_relu -2": ("leaky_relu", {"negative_slope": -2.0}),
}
every = pytest.mark.parametrize("name", CASES)


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with emulating(monkeypatch) as found:
        yield found


def both(op: str, x: Any, g: Any, **static: Any) -> tuple[Any, Any]:
    """The value at x and the gradient, by the form for CuPy."""
    form = getattr(activation, op)
    assert form.refusal(x, **static) is None
    y, residuals = form.forward(x, need=(True,), **static)
    return y, form.backward(residuals, g, (True,))[0]


@every
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_and_gradients_of_the_reference_in_float64(emulator: Emulator, dtype: str, name: str) -> None:
    op, static = CASES[name]
    x = np.concatenate([np.linspace(-30, 30, 201), np.linspace(-2, 2, 97)]).astype(DTYPES[dtype])
    g = np.linspace(-1, 1, x.size).astype(x.dtype)
    y, pullback = vjp(lambda x: getattr(ops, op).reference(x, **static), x.astype(np.float64))
    expected = y, pullback(g.astype(np.float64))[0]
    for ours, exact in zip(both(op, x, g, **static), expected, strict=True):
        assert ours.dtype == x.dtype
        np.testing.assert_allclose(ours.astype(np.float64), exact, rtol=ROUNDING[dtype], atol=ROUNDING[dtype])


@every
def test_it_agrees_with_the_reference(emulator: Emulator, name: str) -> None:
    op, static = CASES[name]
    own = Primitive(getattr(ops, op).reference, name=op)
    own.add("numpy", getattr(activation, op))
    rng = np.random.default_rng(0)
    cases = [
        ((np.asarray(rng.normal(size=shape), np.float32),), static) for shape in [(1,), (0, 3), (7, 11), (2, 3, 4)]
    ]
    cases.append(((rng.normal(size=(6, 8)).astype(np.float32).T[::2],), static))
    assert check_primitive(own, cases) == 5


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_length_and_alignment_has_the_same_bits(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    """One element, one below, at and above a vector, and above what a block takes, aligned or not."""
    with emulating(monkeypatch, SCHEDULES[:2]) as emulator:
        room = np.random.default_rng(0).normal(size=2060).astype(DTYPES[dtype])
        whole = both("silu", room, room)
        for size, start in itertools.product((1, 3, 4, 7, 8, 9, 17, 2049), (0, 1)):
            x = room[start:][:size]
            emulator.launched.clear()
            for ours, all_of_them in zip(both("silu", x, x), whole, strict=True):
                assert ours.tobytes() == all_of_them[start:][:size].tobytes(), (size, start)
            assert len(emulator.launched) == 2


def test_a_block_goes_on_where_there_are_fewer_than_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=6001).astype(np.float32)
    with emulating(monkeypatch) as emulator:
        whole = both("tanh", x, x)
        monkeypatch.setattr(activation, "_MOST_BLOCKS", 1)
        monkeypatch.setattr(activation, "plan", activation.plan.__wrapped__)
        for ours, all_of_them in zip(both("tanh", x, x), whole, strict=True):
            assert ours.tobytes() == all_of_them.tobytes()
    assert [plan.grid[0] for plan in emulator.launched] == [3, 3, 1, 1]


SPECIAL = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 0.0, -0.0], np.float32)
AT_SPECIAL = {  # name: values, slopes
    "relu": ([np.nan, np.inf, 0, 1e30, 0, 0, 0], [1, 1, 0, 1, 0, 0, 0]),
    "tanh": ([np.nan, 1, -1, 1, -1, 0, 0], [np.nan, 0, 0, 0, 0, 1, 1]),
    "sigmoid": ([np.nan, 1, 0, 1, 0, 0.5, 0.5], [np.nan, 0, 0, 0, 0, 0.25, 0.25]),
    "silu": ([np.nan, np.inf, np.nan, 1e30, 0, 0, 0], [np.nan, np.nan, np.nan, 1, 0, 0.5, 0.5]),
    "gelu": ([np.nan, np.inf, np.nan, 1e30, 0, 0, 0], [np.nan, np.nan, np.nan, 1, 0, 0.5, 0.5]),
    "gelu tanh": ([np.nan, np.inf, np.nan, 1e30, 0, 0, 0], [np.nan, 1, 0, 1, 0, 0.5, 0.5]),
    "softplus": ([np.nan, np.inf, 0, 1e30, 0, np.log(2), np.log(2)], [np.nan, 1, 0, 1, 0, 0.5, 0.5]),
    "elu": ([np.nan, np.inf, -1, 1e30, -1, 0, 0], [np.nan, 1, 0, 1, 0, 1, 1]),
    "leaky_relu": ([np.nan, np.inf, -np.inf, 1e30, -1e28, 0, 0], [0.01, 1, 0.01, 1, 0.01, 0.01, 0.01]),
}


@pytest.mark.parametrize("name", AT_SPECIAL)
def test_special_values(emulator: Emulator, name: str) -> None:
    """nan stays nan, the tails are saturated, and an overflowing square is no nan."""
    op, static = CASES[name]
    for ours, exact in zip(both(op, SPECIAL, np.ones(7, np.float32), **static), AT_SPECIAL[name], strict=True):
        np.testing.assert_allclose(ours, exact, rtol=1e-6)


def test_an_array_without_axes(emulator: Emulator) -> None:
    y, dx = both("elu", np.array(2.0, np.float32), np.array(3.0, np.float32))
    assert y.shape == dx.shape == () and (y, dx) == (2, 3)


def test_an_infinite_gradient_does_not_pass_a_closed_relu(emulator: Emulator) -> None:
    x, g = np.array([-1, 0, 2], np.float32), np.full(3, np.inf, np.float32)
    np.testing.assert_array_equal(both("relu", x, g)[1], [0, 0, np.inf])


def test_inference_keeps_nothing_and_relu_tanh_sigmoid_keep_their_value_only(emulator: Emulator) -> None:
    x = np.ones(5, np.float32)
    assert activation.silu.forward(x, need=(False,))[1] is None
    for form, of_value in [(activation.tanh, True), (activation.relu, True), (activation.gelu, False)]:
        y, (_, saved, _) = form.forward(x, need=(True,))
        assert saved is (y if of_value else x)


@pytest.mark.parametrize(
    ("op", "x", "static", "reason"),
    [
        ("tanh", np.ones(3), {}, "dtype float64"),
        ("relu", np.ones(3, np.int32), {}, "dtype int32"),
        ("elu", np.ones(3, np.float32), {"alpha": np.ones(1)}, "alpha of ndarray"),
        ("gelu", np.ones(3, np.float32), {"approximate": "erf"}, "approximate erf"),
        ("gelu", np.ones(3), {"approximate": "tanh"}, "dtype float64"),
    ],
)
def test_it_says_what_it_does_not_take(op: str, x: Any, static: dict[str, Any], reason: str) -> None:
    assert getattr(activation, op).refusal(x, **static) == reason


def test_every_activation_has_it_for_cupy() -> None:
    for op in {op for op, _ in CASES.values()}:
        assert getattr(ops, op).implementations["cupy"] == [getattr(activation, op)]
        assert getattr(activation, op).__name__ == "xpnn.cuda.activation"  # as xpnn.explain tells it


def test_a_plan_counts_the_bytes_that_must_move_and_is_in_the_table() -> None:
    assert activation.plan("float16", 1000, backward=False, aligned=True).bytes == 4000
    assert activation.plan("float32", 1000, backward=True, aligned=False).bytes == 12000
    listed = {plan.entry for plan in activation.instantiations()}
    for dtype, backward, aligned in itertools.product(DTYPES, (True, False), (True, False)):
        for count in (0, 1, 7, 8, 10_000, 2**33):
            plan = activation.plan(dtype, count, backward=backward, aligned=aligned)
            assert plan.entry in listed and plan.empty == (not count) and plan.grid[0] <= 2**15
