"""batch_norm and batch_norm_eval for CuPy, in the emulator: against references and float64, their plans, what they refuse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import xpnn
from tests.emulator import SCHEDULES
from xpnn import nn, ops
from xpnn.cuda import batch_norm, batch_norm_eval
from xpnn.testing import check_primitive

from .emulated import Emulator, emulating
from .norms import DTYPES, check_far, check_short, draw, misaligned, own
from .norms import emulator as emulator

TRAINING, EVALUATION = own(ops.batch_norm, batch_norm), own(ops.batch_norm_eval, batch_norm_eval)
# Matrices and planes; of single elements and of whole vectors; a channel for one block and for several; one above a tile's edge.
SHAPES = [
    (2, 1), (13, 17), (9, 32), (5, 36), (333, 37), (530, 8), (1, 5, 2), (2, 3, 1), (3, 7, 11), (2, 6, 5, 3), (2, 3, 2, 3, 2),
    (70, 2, 8), (3, 2, 31, 67), (3, 2, 40, 36), (1, 1, 2053),
]  # fmt: skip
EMPTY = [(0, 3), (0, 3, 4), (2, 3, 0), (2, 0), (2, 0, 3)]


def with_parameters(*shape: int) -> Iterator[tuple[Any, Any]]:
    for given in [(True, True), (True, False), (False, True), (False, False)]:
        yield tuple(draw(shape[1], seed=i + 1) if wanted else None for i, wanted in enumerate(given))  # type: ignore[misc]


def training_cases(shapes: Sequence[tuple[int, ...]] = SHAPES) -> Iterator[tuple[Any, Any]]:
    for shape in (*shapes, *EMPTY):
        yield (draw(*shape), draw(shape[1], seed=1), draw(shape[1], seed=2)), {"eps": 0.01}
    for shape in [(9, 8), (3, 4, 5)]:
        for parameters in with_parameters(*shape):
            yield (draw(*shape), *parameters), {"eps": 0.01}
    for activation, shape in [("relu", (530, 8)), ("tanh", (3, 4, 5)), ("sigmoid", (3, 2, 8)), ("relu", (333, 3))]:
        yield (draw(*shape), draw(shape[1], seed=1), draw(shape[1], seed=2)), {"eps": 0.01, "activation": activation}
    yield (np.moveaxis(draw(2, 5, 3, 6), -1, 1), draw(6)[::-1], draw(12)[::2]), {"eps": 0.01}
    yield (misaligned(draw(2, 4, 8)), draw(4), misaligned(draw(4))), {"eps": 0.01}


def evaluation_cases() -> Iterator[tuple[Any, Any]]:
    for (x, *parameters), static in training_cases(SHAPES[1::2]):
        # A variance near zero saturates tanh: 1 - y² is then the rounding of y, in the reference as well.
        yield (x, draw(x.shape[1], seed=3), 0.5 + draw(x.shape[1], seed=4) ** 2, *parameters), static


def test_training_agrees_with_the_reference(emulator: Emulator) -> None:
    assert check_primitive(TRAINING, training_cases()) == len(SHAPES) + len(EMPTY) + 14
    assert {plan.entry for plan in emulator.launched} == {
        f"batch_norm_{way}<float, {vector}>" for way in ("forward", "backward") for vector in (1, 4)
    }


def test_evaluation_agrees_with_the_reference(emulator: Emulator) -> None:
    assert check_primitive(EVALUATION, evaluation_cases()) == len(SHAPES[1::2]) + len(EMPTY) + 14


@pytest.mark.parametrize("shape", [(300, 3), (1100, 4), (3, 2, 5000)])
def test_a_mean_far_from_zero_costs_nothing(emulator: Emulator, shape: tuple[int, ...]) -> None:
    """In one launch and in two."""
    check_far(TRAINING, [draw(*shape), draw(shape[1], seed=1), draw(shape[1], seed=2)])


def test_a_small_spread_about_a_large_mean_is_kept(emulator: Emulator) -> None:
    x = (1e4 + 0.01 * np.random.default_rng(0).normal(size=(1037, 2))).astype(np.float32)
    y, mean, var = TRAINING(x, None, None, eps=1e-12)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(y, (wide - wide.mean(0)) / wide.std(0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(mean, wide.mean(0), rtol=1e-7)
    np.testing.assert_allclose(var, wide.var(0), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats_are_as_near_to_float64_as_rounding_allows(emulator: Emulator, dtype: str) -> None:
    for shape in [(540, 16), (90, 3), (3, 2, 64), (5, 3, 7)]:
        x, weight, bias = draw(*shape), draw(shape[1], seed=1), draw(shape[1], seed=2)
        check_short(TRAINING, dtype, [300 * x, weight, bias])
        check_short(EVALUATION, dtype, [x, draw(shape[1], seed=3), 1 + draw(shape[1], seed=4) ** 2, weight, bias])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_evaluation_takes_the_statistics_that_training_gives(emulator: Emulator, dtype: str) -> None:
    """Those are in float32."""
    x = draw(40, 6, dtype=DTYPES[dtype])
    y, mean, var = batch_norm.forward(x, None, None, need=(False,) * 3)[0]
    assert mean.dtype == var.dtype == np.float32
    same, residuals = batch_norm_eval.forward(x, mean, var, None, None, need=(True,) * 5)
    assert same.tobytes() == y.tobytes()
    g = np.ones_like(x)
    dx, dmean, dvar, _, _ = batch_norm_eval.backward(residuals, g, (True, True, True, False, False))
    assert (dx.dtype, dmean.dtype, dvar.dtype) == (x.dtype, np.float32, np.float32)
    np.testing.assert_allclose(dmean, -40 / np.sqrt(var + 1e-5), rtol=1e-5)


def test_an_activation_in_float16(emulator: Emulator) -> None:
    for activation in ("relu", "tanh", "sigmoid"):
        arrays = [draw(30, 8), *(draw(8, seed=i) for i in range(1, 3))]
        case = tuple(a.astype(np.float16) for a in arrays), {"eps": 0.01, "activation": activation}
        check_primitive(TRAINING, [case])


def test_the_same_bits_under_every_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    with emulating(monkeypatch, SCHEDULES) as emulator:
        for shape in [(1037, 4), (3, 2, 703)]:
            check_primitive(TRAINING, [((draw(*shape), draw(shape[1]), draw(shape[1])), {})])
    assert max(plan.grid[0] for plan in emulator.launched) > 2


def test_nan_stays_in_its_channel(emulator: Emulator) -> None:
    for shape in [(50, 4), (3, 4, 8)]:
        x = draw(*shape)
        x[2, 1] = np.nan
        y, mean, var = TRAINING(x, None, None)
        assert np.isnan(y[:, 1]).all() and np.isnan([mean[1], var[1]]).all()
        assert np.isfinite(np.delete(y, 1, axis=1)).all() and np.isfinite(np.delete(var, 1)).all()


def test_equal_elements_have_no_variance(emulator: Emulator) -> None:
    y, mean, var = TRAINING(np.full((1037, 2), 1e4 / 3, np.float32), None, None)
    assert np.all(var == 0) and np.all(y == 0) and np.all(mean == np.float32(1e4 / 3))


@pytest.mark.parametrize(("shape", "launches"), [((9, 8), 1), ((1037, 8), 2)])
def test_what_is_not_wanted_is_not_computed(emulator: Emulator, shape: tuple[int, int], launches: int) -> None:
    x, weight = draw(*shape), draw(shape[1])
    _, residuals = batch_norm.forward(x, weight, weight, need=(True,) * 3)
    assert len(emulator.launched) == launches
    gs = x, draw(shape[1]), None
    every = batch_norm.backward(residuals, gs, (True, True, True))
    assert len(emulator.launched) == 2 * launches
    for i in range(3):
        some = batch_norm.backward(residuals, gs, tuple(i == j for j in range(3)))
        assert [a is not None for a in some] == [i == j for j in range(3)]
        assert some[i].tobytes() == every[i].tobytes()
    nothing = batch_norm.backward(residuals, (None, None, None), (True, True, True))
    assert all(np.all(a == 0) for a in nothing)


def test_evaluation_is_one_launch_and_so_is_its_gradient_of_x(emulator: Emulator) -> None:
    x = draw(1037, 8)
    _, residuals = batch_norm_eval.forward(x, x[0], x[1] ** 2, x[2], None, need=(True,) + (False,) * 4)
    dx, *rest = batch_norm_eval.backward(residuals, x, (True,) + (False,) * 4)
    assert len(emulator.launched) == 2 and rest == [None] * 4
    np.testing.assert_allclose(dx, x * x[2] / np.sqrt(x[1] ** 2 + np.float32(1e-5)), rtol=1e-5)


def test_the_layer_updates_its_running_statistics(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = nn.BatchNorm1d(3, dtype="float32"), draw(50, 3)
    monkeypatch.setattr(ops, "batch_norm", TRAINING)
    monkeypatch.setattr(ops, "batch_norm_eval", EVALUATION)
    xpnn.grad(lambda layer, x: xpnn.namespace(x).sum(layer(x) ** 3))(layer, x)
    np.testing.assert_allclose(layer.running_mean.value, 0.1 * x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.running_var.value, 0.9 + 0.1 * x.var(0, ddof=1), rtol=1e-5)
    layer.eval()
    assert layer(x).shape == (50, 3) and len(emulator.launched) == 3


@pytest.mark.parametrize("way", ["forward", "backward"])
@pytest.mark.parametrize(
    ("dtype", "shape"),
    [("float32", (1, 1, 2)), ("float16", (32, 64, 3136)), ("bfloat16", (65536, 1024, 1)), ("float32", (2**30, 3, 1)),
     ("float32", (2, 2**30, 1)), ("float16", (8, 3, 2**30))],
)  # fmt: skip
def test_plans_count_bytes_and_stay_within_the_instantiations(
    dtype: str, shape: tuple[int, int, int], way: str
) -> None:
    known = {plan.entry for plan in batch_norm.instantiations()}
    assert len(known) == 12
    samples, channels, size = shape
    elements, item = samples * channels * size, 4 if dtype == "float32" else 2
    main = batch_norm.plans(way, dtype, *shape, "relu", sums=True, apply=True, aligned=True)[0][0]
    plain = batch_norm.plans(way, dtype, *shape, None, sums=True, apply=True, aligned=True)[0][0]
    assert main.bytes - plain.bytes == (elements * item if way == "backward" else 0)  # y is read for its slope
    for aligned in (True, False):
        plans = [plan for plan, _ in batch_norm.plans(way, dtype, *shape, None, sums=True, apply=True, aligned=aligned)]
        assert {plan.entry for plan in plans} <= known and len(plans) <= 2
        assert all(plan.block[0] * plan.block[1] == 256 for plan in plans)
        arrays = (2 if way == "forward" else 3) + (len(plans) - 1) * (1 if way == "forward" else 2)
        assert 0 <= sum(plan.bytes for plan in plans) - arrays * elements * item <= 2 * 8 * 256 * channels


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"x": np.ones((2, 4))}, "dtype float64"),
        ({"x": np.ones(4, np.float32)}, "arguments that do not fit"),
        ({"x": np.ones((1, 4), np.float32)}, "arguments that do not fit"),
        ({"eps": -1.0}, "arguments that do not fit"),
        ({"activation": "gelu"}, "activation gelu"),
        ({"bias": np.ones(3, np.float32)}, "shapes of the parameters"),
        ({"weight": np.ones(4, np.float16)}, "dtypes float32 and float16"),
        ({"x": np.broadcast_to(np.float32(1), (2**31, 4))}, "sizes 2147483648, 4 and 1"),
    ],
)
def test_it_says_what_it_does_not_take(change: dict[str, Any], reason: str) -> None:
    call = {"x": np.ones((2, 4), np.float32), "weight": None, "bias": None, "eps": 1e-5}
    assert batch_norm.refusal(**call) is None
    assert batch_norm.refusal(**{**call, **change}) == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"x": np.ones((2, 4))}, "dtype float64"),
        ({"mean": np.ones(4)}, "dtypes float32, float64 and float32"),
        ({"var": np.ones(3, np.float32)}, "shapes of the parameters"),
        ({"eps": -1.0}, "arguments that do not fit"),
        ({"activation": "gelu"}, "activation gelu"),
        ({"weight": np.ones(4, np.float16)}, "dtypes float32 and float16"),
        ({"x": np.broadcast_to(np.float32(1), (2, 4, 2**31))}, "sizes 2, 4 and 2147483648"),
    ],
)
def test_evaluation_says_what_it_does_not_take(change: dict[str, Any], reason: str) -> None:
    one = np.ones(4, np.float32)
    call = {"x": np.ones((2, 4), np.float32), "mean": one, "var": one, "weight": None, "bias": None, "eps": 1e-5}
    assert batch_norm_eval.refusal(**call) is None
    assert batch_norm_eval.refusal(**{**call, **change}) == reason


def test_ops_has_them_for_cupy() -> None:
    assert ops.batch_norm.implementations["cupy"] == [batch_norm]
    assert ops.batch_norm_eval.implementations["cupy"] == [batch_norm_eval]
