"""lstm and gru for CuPy, a sequence a launch by clusters of blocks, in the emulator: against float64."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.emulator import EmulatorError, Schedule
from xpnn.cuda import recurrent_cluster as cluster
from xpnn.cuda.recurrent_kernels import GRU, LSTM, RNN

from .emulated import Emulator
from .recurrent_layers import DTYPES, assert_near_float64, case, faulty, layers, run

# Clusters have thousands of threads: few schedules, and few steps.
PLAIN = (Schedule("random", 1),)


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with layers(monkeypatch, "cluster", PLAIN) as found:
        yield found


@pytest.mark.parametrize(("name", "dtype"), [("lstm", "float16"), ("gru", "bfloat16")])
def test_it_is_near_float64(emulator: Emulator, name: str, dtype: str) -> None:
    kind = DTYPES[dtype]
    assert_near_float64(name, *case(name, (3, 9, 2, 33), (3, 1, 0, 1, 2, 2, 0, 3, 2), dtype=kind, reverse=True))
    assert_near_float64(name, *case(name, (1, 1, 2, 1), dtype=kind, missing="states b_hh"))
    assert_near_float64(name, *case(name, (3, 3, 2, 250), (2, 1, 2), dtype=kind))
    assert {plan.file for plan in emulator.launched} == {"recurrent_cluster.cu", "bias_activation.cu"}


def test_sixteen_blocks(emulator: Emulator) -> None:
    assert_near_float64("gru", *case("gru", (2, 2, 1, 300), dtype=DTYPES["float16"]))
    assert {plan.cluster[0] for plan in emulator.launched if plan.file == "recurrent_cluster.cu"} == {16}


def test_schedules_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    schedules = (Schedule("in order"), Schedule("random", 2), Schedule("block ahead", 1))
    with layers(monkeypatch, "cluster", schedules):
        run("lstm", *case("lstm", (2, 2, 2, 70), (2, 1), dtype=DTYPES["float16"]))


FAULTS = [
    ("unit.fetch(a, time);\n        if (step > 0) ptx::mbarrier_wait(arrived + now, (step - 1) / 2 % 2);", "unit.fetch(a, time);"),
    ("        __syncthreads();\n        float zh[G] = {};", "        float zh[G] = {};"),
    ("        __syncthreads();\n        float sums[TILES][4] = {};", "        float sums[TILES][4] = {};"),
    ("    if (threadIdx.x < 2) ptx::mbarrier_init(arrived + threadIdx.x, 1);\n    cluster_sync();",
     "    if (threadIdx.x < 2) ptx::mbarrier_init(arrived + threadIdx.x, 1);"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), FAULTS)
def test_a_planted_fault_is_found(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    given = case("lstm", (4, 2, 2, 70), dtype=DTYPES["float16"])
    schedules = (*PLAIN, Schedule("in order"), Schedule("warp ahead", 1))
    found = pytest.raises((AssertionError, EmulatorError))
    with layers(monkeypatch, "cluster", schedules), faulty(monkeypatch, (old, new)), found:
        assert_near_float64("lstm", *given)


def test_which_layers_fit() -> None:
    def fits(cell: Any, dtype: str, hidden: int, capability: str) -> bool:
        x = SimpleNamespace(dtype=np.dtype(DTYPES[dtype]), device=SimpleNamespace(compute_capability=capability))
        return cluster.fits(cell, x, hidden)

    assert fits(LSTM, "float16", 512, "90") and fits(GRU, "bfloat16", 1, "120")
    assert not fits(LSTM, "float16", 513, "90")
    assert not fits(LSTM, "float32", 64, "90")
    assert not fits(RNN, "float16", 64, "90")
    assert not fits(GRU, "float16", 64, "89")


def test_a_plan_has_whole_clusters_and_counts_the_bytes_that_must_move() -> None:
    plan = cluster.forward_plan(LSTM, "float16", 7, 9, 300, keep=True)
    assert (plan.grid, plan.cluster) == ((32, 1, 1), (16, 1, 1))
    assert plan.bytes == 7 * 9 * 300 * (2 * (4 + 4 + 1) + 4) + 4 * 300 * 300 * 2
    plan = cluster.backward_plan(GRU, "bfloat16", 7, 8, 256)
    assert (plan.grid, plan.cluster, plan.shared) == ((8, 1, 1), (8, 1, 1), 16384)
    assert plan.bytes == 7 * 8 * 256 * 2 * (4 + 6 + 1 + 1) + 3 * 256 * 256 * 2


def test_every_plan_is_an_instantiation() -> None:
    listed = {plan.entry for plan in cluster.instantiations()}
    assert len(listed) == 16
    for cell in (LSTM, GRU):
        for hidden in (1, 256, 257, 512):
            assert cluster.forward_plan(cell, "float16", 9, 300, hidden, keep=False).entry in listed
            assert cluster.backward_plan(cell, "bfloat16", 9, 300, hidden).entry in listed
