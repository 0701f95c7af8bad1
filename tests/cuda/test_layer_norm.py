"""layer_norm for CuPy, in the emulator: against the reference and float64, its plans, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.emulator import SCHEDULES
from xpnn import ops
from xpnn.cuda import layer_norm, row_norm
from xpnn.testing import check_primitive

from .emulated import Emulator, emulating
from .norms import check_far, check_short, draw, misaligned, own
from .norms import emulator as emulator

PRIMITIVE = own(ops.layer_norm, layer_norm)
# One element, primes, one below and above what 1, 8 and 32 threads hold; rows of one and of several chunks; too long for registers.
SHAPES = [
    (1, 1),
    (7, 5),
    (3, 16),
    (2, 17),
    (5, 31),
    (2, 33),
    (70, 128),
    (2, 132),
    (3, 516),
    (37, 511),
    (1, 4096),
    (5, 4100),
    (6, 4099),
    (19, 1021),
    (3, 1022),
    (2, 4093),
]


def cases(dtype: Any) -> Iterator[tuple[Any, Any]]:
    for shape in SHAPES:
        size = shape[-1:]
        yield (
            (draw(*shape, dtype=dtype), draw(*size, seed=1), draw(*size, seed=2)),
            {"normalized_shape": size, "eps": 0.01},
        )
    for given in [(True, False), (False, True), (False, False)]:
        weight, bias = (draw(3, 4, seed=i) if wanted else None for i, wanted in enumerate(given))
        yield (draw(2, 5, 3, 4), weight, bias), {"normalized_shape": (3, 4)}
    for activation, shape in [("relu", (70, 12)), ("tanh", (1, 4100)), ("sigmoid", (5, 33))]:
        size = shape[-1:]
        yield (
            (draw(*shape), draw(*size, seed=1), draw(*size, seed=2)),
            {"normalized_shape": size, "activation": activation},
        )
    for shape in [(0, 3), (3, 0), (0, 0)]:
        yield (draw(*shape), draw(*shape[1:]), draw(*shape[1:])), {"normalized_shape": shape[1:]}
    yield (draw(6, 10)[::2, ::-1], draw(10)[::-1], draw(20)[::2]), {"normalized_shape": (10,)}
    yield (misaligned(draw(5, 16)), draw(16), draw(16)), {"normalized_shape": (16,)}
    yield (draw(5, 16), misaligned(draw(16)), draw(16)), {"normalized_shape": (16,)}


def test_it_agrees_with_the_reference(emulator: Emulator) -> None:
    assert check_primitive(PRIMITIVE, cases(np.float32)) == len(SHAPES) + 12
    entries = {plan.entry.partition("<")[0] for plan in emulator.launched}
    assert entries == {"row_norm_forward", "row_norm_backward", "row_norm_sum"}


@pytest.mark.parametrize("shape", [(9, 50), (3, 4100)])
def test_a_mean_far_from_zero_costs_nothing(emulator: Emulator, shape: tuple[int, int]) -> None:
    check_far(PRIMITIVE, [draw(*shape), draw(shape[1], seed=1), draw(shape[1], seed=2)], normalized_shape=shape[1:])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats_are_as_near_to_float64_as_rounding_allows(emulator: Emulator, dtype: str) -> None:
    for shape in [(70, 24), (9, 21), (2, 4104), (11, 517), (17, 518)]:
        check_short(PRIMITIVE, dtype, [draw(*shape), draw(shape[1]), draw(shape[1])], normalized_shape=shape[1:])


def test_the_same_bits_under_every_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows shared by lanes and by warps, and sums over chunks."""
    with emulating(monkeypatch, SCHEDULES) as emulator:
        for shape in [(80, 9), (9, 1030), (19, 259)]:
            check_primitive(
                PRIMITIVE, [((draw(*shape), draw(shape[1]), draw(shape[1])), {"normalized_shape": shape[1:]})]
            )
    assert max(plan.grid[0] for plan in emulator.launched) > 1


def test_nan_and_infinity_stay_in_their_rows(emulator: Emulator) -> None:
    x = draw(4, 40)
    x[0, 0], x[1, 39], x[2, 7] = np.nan, np.inf, -np.inf
    y, _ = layer_norm.forward(x, None, None, normalized_shape=(40,), need=(False,) * 3)
    assert np.isnan(y[:3]).all() and np.isfinite(y[3]).all()


def test_what_is_not_wanted_is_not_computed(emulator: Emulator) -> None:
    x, weight = draw(170, 6), draw(6)
    _, residuals = layer_norm.forward(x, weight, weight, normalized_shape=(6,), need=(True,) * 3)
    every = layer_norm.backward(residuals, x, (True, True, True))
    assert len(emulator.launched) == 3
    for i in range(3):
        emulator.launched.clear()
        some = layer_norm.backward(residuals, x, tuple(i == j for j in range(3)))
        assert [a is not None for a in some] == [i == j for j in range(3)]
        np.testing.assert_allclose(some[i], every[i], rtol=1e-5, atol=1e-5)
        assert len(emulator.launched) == (1 if i == 0 else 2)


def test_at_inference_no_statistics_are_kept(emulator: Emulator) -> None:
    _, residuals = layer_norm.forward(draw(3, 4), None, None, normalized_shape=(4,), need=(False,) * 3)
    assert all(a is None for a in residuals[2:4])


def test_plans_count_bytes_and_stay_within_the_instantiations() -> None:
    known = {plan.entry for plan in row_norm.instantiations()}
    assert len(known) == 9
    for dtype, rows, columns, alike in [
        ("float32", 1, 1, True), ("float16", 4096, 512, True), ("bfloat16", 2**31, 3, False), ("float32", 3, 2**30, True)
    ]:  # fmt: skip
        forward = row_norm.forward_plan(dtype, rows, columns, alike=alike)
        plans = row_norm.backward_plans(dtype, rows, columns, None, dx=True, sums=2, alike=alike)
        assert {plan.entry for plan in (forward, *plans)} <= known and len(plans) <= 2
        size = 4 if dtype == "float32" else 2
        assert forward.bytes == 2 * rows * columns * size and plans[0].bytes == 3 * rows * columns * size
        assert all(plan.block[0] * plan.block[1] == 256 for plan in (forward, plans[0]))
    with_y, _ = row_norm.backward_plans("float16", 4096, 512, "relu", dx=False, sums=1, alike=True)
    assert with_y.bytes == 3 * 4096 * 512 * 2
    main, last = row_norm.backward_plans("float16", 4096, 512, None, dx=False, sums=1, alike=True)
    assert main.bytes == 2 * 4096 * 512 * 2
    assert last.bytes == main.grid[0] * 512 * 4 + 512 * 2


@pytest.mark.parametrize(
    ("dtype", "columns", "alike", "block"),
    [("float32", 1, True, 1), ("float32", 32, True, 8), ("float32", 132, True, 16), ("float16", 130, True, 32),
     ("float16", 1021, True, 128), ("float32", 256 + 253, True, 32), ("float32", 256 + 254, True, 64),
     ("float32", 128, False, 32), ("float32", 9999, True, 256), ("bfloat16", 2**30, True, 256)],
)  # fmt: skip
def test_threads_of_a_row(dtype: str, columns: int, alike: bool, block: int) -> None:
    assert row_norm.forward_plan(dtype, 100, columns, alike=alike).block == (block, 256 // block, 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"x": np.ones((2, 3))}, "dtype float64"),
        ({"bias": np.ones(3, np.float16)}, "dtypes float32 and float16"),
        ({"weight": np.ones(2, np.float32)}, "shapes of the parameters"),
        ({"eps": -1.0}, "arguments that do not fit"),
        ({"activation": "gelu"}, "activation gelu"),
        ({"normalized_shape": (2,)}, "arguments that do not fit"),
        ({"normalized_shape": ()}, "arguments that do not fit"),
        ({"x": np.broadcast_to(np.float32(1), (2**31,)), "normalized_shape": (2**31,)}, "rows of 2147483648 elements"),
    ],
)
def test_it_says_what_it_does_not_take(change: dict[str, Any], reason: str) -> None:
    call = {"x": np.ones((2, 3), np.float32), "weight": None, "bias": None, "normalized_shape": (3,), "eps": 1e-5}
    assert layer_norm.refusal(**call) is None
    assert layer_norm.refusal(**{**call, **change}) == reason


def test_ops_layer_norm_has_it_for_cupy() -> None:
    assert ops.layer_norm.implementations["cupy"] == [layer_norm]
