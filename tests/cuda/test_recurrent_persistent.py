"""lstm and gru for CuPy, a sequence a launch, in the emulator: against the reference and float64, and when they are chosen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.emulator import SCHEDULES, EmulatorError
from xpnn.cuda import recurrent
from xpnn.cuda import recurrent_persistent as persistent
from xpnn.cuda.recurrent_kernels import GRU, LSTM, RNN
from xpnn.testing import check_primitive

from .emulated import Emulator
from .recurrent_layers import DTYPES, LAYERS, assert_near_float64, case, faulty, layers, primitive, run

PERSISTENT = ("lstm", "gru")
CELLS = {"lstm": LSTM, "gru": GRU}


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with layers(monkeypatch, "persistent") as found:
        yield found


@pytest.fixture
def few_processors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """So that small batches have blocks of several rows: five rows of gru, say, one block of three and one of two."""
    caches = (persistent.forward_plan, persistent.backward_plan, persistent.pays)
    for cache in caches:
        cache.cache_clear()
    monkeypatch.setattr(persistent, "_PROCESSORS", 2)
    yield
    for cache in caches:
        cache.cache_clear()


def cases(name: str) -> Iterator[tuple[Any, Any]]:
    """Units around the edges of warps and of the kernels; rows around those of a block; lengths in any order."""
    for t, (n, hidden) in enumerate([(1, 1), (2, 5), (3, 16), (4, 17), (5, 33), (3, 64)]):
        yield case(name, (t, n, 2, hidden), reverse=n % 2 == 0)
    for reverse in (False, True):
        yield case(name, (5, 3, 2, 4), (2, 5, 3), reverse=reverse)
        yield case(name, (5, 7, 2, 5), (0, 2, 1, 4, 0, 3, 2), reverse=reverse, missing="states")
        yield case(name, (3, 3, 2, 5), (0, 0, 0), reverse=reverse, missing="b_ih")
    yield case(name, (3, 0, 2, 2))
    yield case(name, (1, 3, 2, 4), missing="b_ih b_hh")


@pytest.mark.parametrize("name", PERSISTENT)
def test_in_float32_it_agrees_with_the_reference(few_processors: None, emulator: Emulator, name: str) -> None:
    assert check_primitive(primitive(name), cases(name)) == 14
    assert {plan.file for plan in emulator.launched} == {"recurrent_block.cu", "bias_activation.cu"}


@pytest.mark.parametrize(("name", "hidden"), [("lstm", 65), ("lstm", 96), ("gru", 65), ("gru", 128)])
def test_more_units(emulator: Emulator, name: str, hidden: int) -> None:
    assert check_primitive(primitive(name), [case(name, (2, 2, 3, hidden), (2, 1))]) == 1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", PERSISTENT)
def test_in_16_bits_it_is_near_float64(emulator: Emulator, name: str, dtype: str) -> None:
    kind = DTYPES[dtype]
    for t, (n, hidden) in enumerate([(1, 1), (7, 5), (8, 16), (9, 17), (3, 33), (2, 64)]):
        assert_near_float64(name, *case(name, (t, n, 2, hidden), dtype=kind, reverse=n % 2 == 0))
    lengths = (0, 2, 1, 4, 0, 3, 2, 5, 0, 1)
    for reverse in (False, True):
        assert_near_float64(name, *case(name, (5, 10, 2, 6), lengths, dtype=kind, reverse=reverse))
    assert_near_float64(name, *case(name, (2, 3, 2, 65), (1, 2, 1), dtype=kind, missing="states b_ih"))
    assert {plan.file for plan in emulator.launched} == {"recurrent_tensor.cu", "bias_activation.cu"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PERSISTENT)
def test_every_schedule_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch, name: str, dtype: str) -> None:
    with layers(monkeypatch, "persistent", SCHEDULES):
        run(name, *case(name, (3, 9, 2, 40), (3, 1, 0, 2, 3, 3, 1, 2, 3), dtype=DTYPES[dtype]))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("name", PERSISTENT)
def test_nan_stays_in_its_row(emulator: Emulator, name: str, dtype: str) -> None:
    given, options = case(name, (3, 3, 2, 4), (3, 2, 1), dtype=DTYPES[dtype])
    given[0][1, 0] = np.nan  # reaches h of row 0 from time 1 on
    given[0][2, 1] = np.nan  # beyond the end of row 1
    (y, *last), (dx, *_) = run(name, given, options)
    assert np.isnan(y[1:, 0]).all() and all(np.isnan(s[0]).all() for s in last)
    assert np.isfinite(y[0]).all() and np.isfinite(y[:, 1:]).all() and all(np.isfinite(s[1:]).all() for s in last)
    assert np.isfinite(dx[:, 1:]).all() and not dx[2, 1].any()


@pytest.mark.parametrize("name", PERSISTENT)
def test_the_product_for_gpus_without_bfloat16_in_tensor_cores(
    monkeypatch: pytest.MonkeyPatch, emulator: Emulator, name: str
) -> None:
    with faulty(monkeypatch, ("ptx::mma_m16n8k16_bf16(c, a, b)", "mma_of_shuffles(c, a, b)")):
        assert_near_float64(name, *case(name, (2, 9, 2, 37), dtype=DTYPES["bfloat16"]))


BARRIERS = {
    "float32": ("        unit.fetch(a, time);\n        __syncthreads();", "        unit.fetch(a, time);"),
    "float16": ("        }\n        __syncthreads();\n    }\n#pragma unroll", "        }\n    }\n#pragma unroll"),
}
FAULTS = [
    ("float32", "keep[1] * c + keep[0] * keep[2]", "keep[0] * c + keep[1] * keep[2]"),
    ("float32", *BARRIERS["float32"]),
    ("float32", "if (a.reverse) unit.hold(a, steps);", ""),
    ("float32", "carry = Cell::back(keep, before, after, carry + dy,", "carry = Cell::back(keep, before, after, dy,"),
    ("float16", *BARRIERS["float16"]),
    ("float16", "return u < a.hidden && from < a.hidden ?", "return u < a.hidden ?"),
    ("float16", "+ 4 * (i % 2) + 2 * (j / 4)", "+ 4 * (j / 4) + 2 * (i % 2)"),
    ("float16", "active = inside && row < a.batch && unit < a.hidden", "active = inside && row < a.batch"),
]


@pytest.mark.parametrize(("dtype", "old", "new"), FAULTS)
def test_a_planted_fault_is_found(
    monkeypatch: pytest.MonkeyPatch, emulator: Emulator, dtype: str, old: str, new: str
) -> None:
    given = case("lstm", (3, 3, 2, 35), (3, 1, 2), dtype=DTYPES[dtype], reverse=True)
    assert_near_float64("lstm", *given)
    with faulty(monkeypatch, (old, new)), pytest.raises((AssertionError, EmulatorError)):
        assert_near_float64("lstm", *given)


def test_shapes_and_the_environment_say_which_way_a_layer_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def way(cell: Any, dtype: str, times: int, batch: int, hidden: int) -> str:
        chosen = recurrent._way(cell, np.empty(0, DTYPES[dtype]), times, batch, hidden)
        return chosen.__name__.rpartition("_")[2]

    monkeypatch.delenv("XPNN_RECURRENT", raising=False)
    for shape in [(100, 16, 64), (1000, 1, 128), (28, 128, 128), (1, 1, 1)]:
        assert way(GRU, "float32", *shape) == way(LSTM, "float16", *shape) == "persistent"
    assert way(LSTM, "float32", 100, 16, 97) == "step"
    assert way(GRU, "bfloat16", 100, 16, 129) == "step"
    assert way(RNN, "float32", 100, 16, 64) == "step"
    assert way(GRU, "float32", 100, 65536, 128) == "step"
    monkeypatch.setenv("XPNN_RECURRENT", "steps")
    assert way(GRU, "float32", 100, 16, 64) == "step"
    monkeypatch.setenv("XPNN_RECURRENT", "persistent")
    assert way(GRU, "float32", 100, 65536, 128) == "persistent"
    assert way(LSTM, "float32", 100, 16, 97) == "step"
    monkeypatch.setenv("XPNN_RECURRENT", "cluster")
    assert way(LSTM, "float16", 100, 16, 512) == "cluster"
    assert way(LSTM, "float16", 100, 16, 513) == "step"
    assert way(LSTM, "float32", 100, 16, 96) == "persistent"
    monkeypatch.setenv("XPNN_RECURRENT", "fast")
    with pytest.raises(
        ValueError, match="XPNN_RECURRENT: expected one of auto, steps, persistent, cluster, got 'fast'"
    ):
        way(GRU, "float32", 100, 16, 64)


def test_large_batches_share_blocks(few_processors: None) -> None:
    def grid(cell: Any, dtype: str, batch: int) -> int:
        return persistent.forward_plan(cell, dtype, 4, batch, 9, keep=True).grid[0]

    assert [grid(LSTM, "float32", n) for n in (0, 1, 2, 3, 4, 5)] == [0, 1, 2, 2, 2, 3]
    assert [grid(GRU, "float32", n) for n in (2, 3, 5, 7)] == [2, 2, 2, 3]
    assert [grid(GRU, "float16", n) for n in (1, 8, 9)] == [1, 1, 2]


def test_one_that_does_not_fit_has_no_plan() -> None:
    with pytest.raises(ValueError, match="97 units of Lstm in float32 do not fit the registers of a block"):
        persistent.forward_plan(LSTM, "float32", 1, 1, 97, keep=True)


def test_a_layer_too_large_runs_by_steps(emulator: Emulator) -> None:
    run("lstm", *case("lstm", (1, 1, 1, 97)))
    assert {plan.file for plan in emulator.launched} <= {"recurrent_step.cu", "bias_activation.cu"}


def test_a_plan_counts_the_bytes_that_must_move() -> None:
    """Those of a unit, a row and a step: the gates in and out, h, c; the weights once."""
    plan = persistent.forward_plan(LSTM, "float16", 7, 3, 5, keep=True)
    assert plan.bytes == 105 * (2 * (4 + 4 + 1) + 4) + 4 * 25 * 2
    assert persistent.forward_plan(GRU, "float32", 7, 3, 5, keep=False).bytes == 105 * 4 * (3 + 1) + 3 * 25 * 4
    assert persistent.backward_plan(GRU, "float32", 7, 3, 5).bytes == 105 * 4 * (4 + 6 + 1 + 1) + 3 * 25 * 4


def test_every_plan_is_an_instantiation() -> None:
    listed = {plan.entry for plan in persistent.instantiations()}
    assert len(listed) == 24
    for cell in CELLS.values():
        for dtype in DTYPES:
            for hidden in (1, 63, 64, 65, 96):
                assert persistent.forward_plan(cell, dtype, 9, 300, hidden, keep=False).entry in listed
                assert persistent.backward_plan(cell, dtype, 9, 300, hidden).entry in listed
    assert set(PERSISTENT) < set(LAYERS)
