"""bias_activation: its plans, and its kernels in the emulator against the formula in float64."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import array_api_compat.numpy
import ml_dtypes
import numpy as np
import pytest

from tests.emulator import SCHEDULES
from xpnn.cuda import bias_activation
from xpnn.cuda.bias_activation import backward, backward_plans, forward_into, forward_plan

from .emulated import Emulator, emulating

DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
APPLY = {
    None: lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
}
SLOPE = {
    None: lambda y: np.ones_like(y),
    "relu": lambda y: (y > 0) * 1.0,
    "tanh": lambda y: 1 - y * y,
    "sigmoid": lambda y: y * (1 - y),
}
# The largest error of an element: half a unit in the last place of a number in [1, 2), and what the activations add.
ROUNDING = {"float32": 2e-6, "float16": 6e-4, "bfloat16": 5e-3}
# One element, primes, one below and above a tile of 32 columns, of 32 vectors of 4 and of 8, a chunk of rows; joined rows.
SHAPES = [(1, 1), (7, 5), (3, 31), (2, 33), (5, 128), (2, 132), (9, 256), (2, 264), (67, 8), (131, 3), (700, 1),
    (300, 3), (300, 10), (41, 36), (35, 257)]  # fmt: skip

every = pytest.mark.parametrize(("dtype", "activation"), list(itertools.product(DTYPES, APPLY)))


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with emulating(monkeypatch) as found:
        yield found


def random(dtype: str, *shape: int, seed: int = 0) -> Any:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(DTYPES[dtype])


def exact(*arrays: Any) -> list[Any]:
    return [np.asarray(x, np.float64) for x in arrays]


def assert_near(x: Any, y: Any, dtype: str, scale: float = 1.0) -> None:
    assert x.dtype == DTYPES[dtype]
    np.testing.assert_allclose(np.asarray(x, np.float64), y, rtol=ROUNDING[dtype], atol=ROUNDING[dtype] * scale)


@every
def test_forward(emulator: Emulator, dtype: str, activation: str | None) -> None:
    for shape in SHAPES:
        x, bias = random(dtype, *shape), random(dtype, shape[1], seed=1)
        expected = APPLY[activation](np.add(*exact(x, bias)))
        y = np.empty_like(x)
        forward_into(y, x, bias, activation)
        assert_near(y, expected, dtype)
        forward_into(x, x, bias, activation)  # in place
        assert x.tobytes() == y.tobytes()


@every
def test_backward(emulator: Emulator, dtype: str, activation: str | None) -> None:
    for shape in SHAPES:
        g = random(dtype, *shape)
        y = APPLY[activation](*exact(random(dtype, *shape, seed=1))).astype(DTYPES[dtype])
        slope = SLOPE[activation](*exact(y))
        expected = np.asarray(g, np.float64) * slope
        dx, db = backward(g, y, activation, dx=True, db=True)
        assert_near(dx, expected, dtype)
        assert_near(db, expected.sum(0), dtype, np.abs(expected).sum(0).max())
        assert backward(g, y, activation, dx=False, db=True)[1].tobytes() == db.tobytes()
        alone, nothing = backward(g, y, activation, dx=True, db=False)
        assert alone.tobytes() == dx.tobytes() and nothing is None


def test_without_bias_only_the_activation_is_applied(emulator: Emulator) -> None:
    x = random("float32", 5, 9)
    y = np.empty_like(x)
    forward_into(y, x, None, "relu")
    assert np.array_equal(y, np.maximum(x, 0))


def test_special_values(emulator: Emulator) -> None:
    """nan stays nan through every activation; the tails are saturated, not nan."""
    x = np.array([[np.nan, np.inf, -np.inf, 1e4, -1e4, -0.0]], np.float32)
    for activation, expected in {
        "relu": [np.nan, np.inf, 0, 1e4, 0, 0],
        "tanh": [np.nan, 1, -1, 1, -1, 0],
        "sigmoid": [np.nan, 1, 0, 1, 0, 0.5],
    }.items():
        y = np.empty_like(x)
        forward_into(y, x, None, activation)
        np.testing.assert_array_equal(y[0], expected)


def test_badly_aligned_arrays_take_the_kernel_of_single_elements(emulator: Emulator) -> None:
    room = np.zeros(8 * 8 + 1, np.float32)
    x = room[1:].reshape(8, 8)
    x[...] = random("float32", 8, 8)
    bias, y = random("float32", 8), np.empty((8, 8), np.float32)
    forward_into(y, x, bias, "tanh")
    assert emulator.launched[-1].entry == "bias_activation_forward<float, 1, Tanh>"
    assert_near(y, np.tanh(np.add(*exact(x, bias))), "float32")
    forward_into(x, x, bias, "tanh")
    assert emulator.launched[-1].entry == "bias_activation_forward<float, 4, Tanh>"
    assert_near(x, y, "float32")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(67, 8), (300, 3), (41, 36), (35, 257)])
def test_arrays_that_begin_alike_move_as_vectors(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, dtype: str, shape: tuple[int, int]
) -> None:
    for start in (1, 3):
        x, y, g, dx = (np.empty(shape[0] * shape[1] + start, DTYPES[dtype])[start:].reshape(shape) for _ in range(4))
        monkeypatch.setattr(array_api_compat.numpy, "empty_like", lambda like, dx=dx: dx)
        x[...], g[...], bias = random(dtype, *shape), random(dtype, *shape, seed=1), random(dtype, shape[1], seed=2)
        forward_into(y, x, bias, "relu")
        assert_near(y, np.maximum(np.add(*exact(x, bias)), 0), dtype)
        expected = np.asarray(g, np.float64) * (np.asarray(y) > 0)
        _, db = backward(g, y, "relu", dx=True, db=True)
        assert_near(dx, expected, dtype)
        assert_near(db, expected.sum(0), dtype, np.abs(expected).sum(0).max())
    assert not any(", 1, " in plan.entry for plan in emulator.launched)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bias_gradient_over_many_chunks_has_the_same_bits_under_every_schedule(
    monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    g = random(dtype, 3000, 8)
    with emulating(monkeypatch, SCHEDULES) as emulator:
        db = backward(g, None, None, dx=False, db=True)[1]
    assert [plan.entry.partition("<")[0] for plan in emulator.launched] == ["bias_activation_backward", "bias_sum"]
    assert emulator.launched[0].grid[0] >= 6
    assert_near(db, np.asarray(g, np.float64).sum(0), dtype, np.abs(np.asarray(g, np.float64)).sum(0).max())


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_an_empty_matrix_launches_nothing(emulator: Emulator, shape: tuple[int, int]) -> None:
    x = np.zeros(shape, np.float32)
    forward_into(x, x, np.zeros(shape[1], np.float32), "relu")
    dx, db = backward(x, x, "relu", dx=True, db=True)
    assert dx.shape == shape and np.array_equal(db, np.zeros(shape[1]))
    assert emulator.launched == []


@pytest.mark.parametrize(
    ("dtype", "rows", "columns", "alike", "forward", "backward"),
    [("float32", 9, 132, True, 4, 4), ("float32", 9, 130, True, 4, 1), ("float32", 33, 130, True, 4, 4),
     ("float32", 99, 132, False, 1, 1), ("float16", 9, 136, True, 8, 8), ("bfloat16", 1, 132, True, 1, 1),
     ("bfloat16", 2, 132, True, 8, 1), ("float16", 7, 50257, True, 1, 1), ("float16", 512, 50257, True, 8, 8),
     ("float32", 1024, 10, True, 4, 4)],
)  # fmt: skip
def test_vectors_move_but_for_few_uneven_rows(
    dtype: str, rows: int, columns: int, alike: bool, forward: int, backward: int
) -> None:
    t, shape = bias_activation.C_TYPES[dtype], (dtype, rows, columns, "relu")
    assert forward_plan(*shape, alike=alike).entry == f"bias_activation_forward<{t}, {forward}, Relu>"
    plans = backward_plans(*shape, db=True, alike=alike)
    assert plans[0].entry == f"bias_activation_backward<{t}, {backward}, Relu>"
    assert len(plans) == (1 if rows < 16 else 2)


def test_a_plan_counts_the_bytes_that_must_move() -> None:
    """Forward: x, y and the bias; backward: g, y and dx; the sum of the bias gradient: what the chunks left."""
    assert forward_plan("float16", 1000, 64, "relu", alike=True).bytes == (2 * 1000 * 64 + 64) * 2
    main, last = backward_plans("float32", 1000, 64, "relu", db=True, alike=True)
    assert main.bytes == 3 * 1000 * 64 * 4
    chunks = main.grid[0]
    assert last.bytes == (chunks + 1) * 64 * 4


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (32, 512), (65536, 1024), (10, 2**24), (2**33, 3), (2**31, 64)])
def test_every_size_has_a_plan_of_few_launches_and_full_blocks(rows: int, columns: int) -> None:
    forward = forward_plan("float32", rows, columns, None, alike=True)
    plans = backward_plans("float32", rows, columns, None, db=True, alike=True)
    assert len(plans) <= 2
    for plan in (forward, plans[0]):
        assert plan.block[0] * plan.block[1] == 256 and plan.grid[0] >= 1
    assert forward.grid[0] <= 2048 or rows < forward.grid[0]
