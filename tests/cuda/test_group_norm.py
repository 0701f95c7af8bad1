"""group_norm for CuPy, in the emulator: against the reference and float64, its plans, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.emulator import SCHEDULES
from xpnn import ops
from xpnn.cuda import group_norm, row_norm
from xpnn.testing import check_primitive

from .emulated import Emulator, emulating
from .norms import check_far, check_short, draw, misaligned, own
from .norms import emulator as emulator

PRIMITIVE = own(ops.group_norm, group_norm)
# Groups of one channel and of many; channels of one element, of primes, of whole vectors, for a warp and for a block; long rows.
SIZES = [
    ((2, 6, 5), 3), ((1, 8, 16), 2), ((3, 4), 4), ((3, 12), 3), ((2, 8), 1), ((2, 4, 7, 7), 1), ((2, 3, 1025), 3), ((2, 32, 4), 4),
    ((2, 2, 4100), 1), ((1, 3, 4099), 3), ((2, 40, 9), 1), ((9, 2, 2, 3, 2), 2), ((1, 3, 516), 1), ((2, 18, 64), 2),
    ((3, 2, 259), 1), ((2, 3, 258), 3), ((3, 5, 53), 1), ((2, 129, 3), 1), ((3, 310), 1), ((3, 10, 261), 2),
]  # fmt: skip


def cases() -> Iterator[tuple[Any, Any]]:
    for shape, groups in SIZES:
        yield (draw(*shape), draw(shape[1], seed=1), draw(shape[1], seed=2)), {"num_groups": groups, "eps": 0.01}
    for given in [(True, False), (False, True), (False, False)]:
        weight, bias = (draw(6, seed=i) if wanted else None for i, wanted in enumerate(given))
        yield (draw(2, 6, 8), weight, bias), {"num_groups": 3}
    for activation, shape in [("relu", (2, 6, 8)), ("tanh", (3, 4, 5)), ("sigmoid", (2, 2, 520))]:
        yield (
            (draw(*shape), draw(shape[1], seed=1), draw(shape[1], seed=2)),
            {"num_groups": 2, "activation": activation},
        )
    for shape in [(0, 2, 3), (2, 2, 0), (0, 4), (2, 0, 3)]:
        yield (draw(*shape), draw(shape[1]), draw(shape[1])), {"num_groups": 2}
    yield (np.moveaxis(draw(2, 5, 3, 6), -1, 1), draw(6)[::-1], draw(12)[::2]), {"num_groups": 2}
    yield (misaligned(draw(2, 4, 8)), draw(4), draw(4)), {"num_groups": 2}


def test_it_agrees_with_the_reference(emulator: Emulator) -> None:
    assert check_primitive(PRIMITIVE, cases()) == len(SIZES) + 12
    entries = {plan.entry.partition("<")[0] for plan in emulator.launched}
    assert entries == {"row_norm_forward", "group_norm_backward", "row_norm_sum"}


@pytest.mark.parametrize(("shape", "groups"), [((3, 6, 15), 2), ((1, 4, 1032), 1)])
def test_a_mean_far_from_zero_costs_nothing(emulator: Emulator, shape: tuple[int, ...], groups: int) -> None:
    check_far(PRIMITIVE, [draw(*shape), draw(shape[1], seed=1), draw(shape[1], seed=2)], num_groups=groups)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats_are_as_near_to_float64_as_rounding_allows(emulator: Emulator, dtype: str) -> None:
    for shape, groups in [((5, 6, 8), 2), ((9, 4, 7), 4), ((3, 16), 2), ((3, 4, 521), 2), ((2, 30, 21), 1)]:
        check_short(PRIMITIVE, dtype, [draw(*shape), draw(shape[1]), draw(shape[1])], num_groups=groups)


def test_the_same_bits_under_every_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    with emulating(monkeypatch, SCHEDULES):
        for shape, groups in [((3, 6, 40), 2), ((2, 2, 700), 2)]:
            check_primitive(PRIMITIVE, [((draw(*shape), draw(shape[1]), draw(shape[1])), {"num_groups": groups})])


def test_nan_stays_in_its_group(emulator: Emulator) -> None:
    x = draw(2, 4, 9)
    x[0, 1, 3] = np.nan
    y, _ = group_norm.forward(x, None, None, num_groups=2, need=(False,) * 3)
    assert np.isnan(y[0, :2]).all() and np.isfinite(y[0, 2:]).all() and np.isfinite(y[1]).all()


def test_what_is_not_wanted_is_not_computed(emulator: Emulator) -> None:
    x, weight = draw(3, 6, 7), draw(6)
    _, residuals = group_norm.forward(x, weight, weight, num_groups=2, need=(True,) * 3)
    every = group_norm.backward(residuals, x, (True, True, True))
    assert len(emulator.launched) == 3
    for i in range(3):
        emulator.launched.clear()
        some = group_norm.backward(residuals, x, tuple(i == j for j in range(3)))
        assert [a is not None for a in some] == [i == j for j in range(3)]
        assert some[i].tobytes() == every[i].tobytes()
        assert len(emulator.launched) == (1 if i == 0 else 2)


def test_plans_count_bytes_and_stay_within_the_instantiations() -> None:
    known = {plan.entry for plan in (*row_norm.instantiations(), *group_norm.instantiations())}
    assert len(known) == 12
    for dtype, size in [("float32", 49), ("float16", 3136), ("bfloat16", 1)]:
        plans = group_norm.backward_plans(dtype, 8, 32, 2, size, None, dx=True, sums=2, alike=True)
        assert {plan.entry for plan in plans} <= known and len(plans) == 2
        item = 4 if dtype == "float32" else 2
        assert plans[0].bytes == 3 * 8 * 64 * size * item
        assert plans[1].bytes == 2 * 64 * (8 * 4 + item)
    assert len(group_norm.backward_plans("float32", 8, 32, 2, 49, None, dx=True, sums=0, alike=True)) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"x": np.ones((2, 4))}, "dtype float64"),
        ({"x": np.ones(4, np.float32)}, "arguments that do not fit"),
        ({"num_groups": 3}, "arguments that do not fit"),
        ({"num_groups": 0}, "arguments that do not fit"),
        ({"activation": "gelu"}, "activation gelu"),
        ({"bias": np.ones(3, np.float32)}, "shapes of the parameters"),
        ({"weight": np.ones(4, np.float16)}, "dtypes float32 and float16"),
        ({"x": np.broadcast_to(np.float32(1), (1, 4, 2**30))}, "groups of 2147483648 elements"),
    ],
)
def test_it_says_what_it_does_not_take(change: dict[str, Any], reason: str) -> None:
    call = {"x": np.ones((2, 4), np.float32), "weight": None, "bias": None, "num_groups": 2, "eps": 1e-5}
    assert group_norm.refusal(**call) is None
    assert group_norm.refusal(**{**call, **change}) == reason


def test_ops_group_norm_has_it_for_cupy() -> None:
    assert ops.group_norm.implementations["cupy"] == [group_norm]
