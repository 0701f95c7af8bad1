"""The runner with a clock that is only pretended: what it counts, what it makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import libraries
from xpnn import ops
from xpnn.bench.case import Case, DisagreementError, Job, normal
from xpnn.bench.devices import Cpu, device
from xpnn.bench.limits import Limits, limits
from xpnn.bench.measure import Pace, level, measure, measured


class Clock:
    """Stands still but for what functions made by ``takes`` add to it."""

    def __init__(self) -> None:
        self.now, self.order = 0.0, list[str]()

    def __call__(self) -> float:
        return self.now

    def takes(self, name: str, *seconds: float) -> Callable[[], None]:
        """A function whose calls take these times, one after another and from the start again."""
        calls = [0]

        def f() -> None:
            self.order.append(name)
            self.now += seconds[calls[0] % len(seconds)]
            calls[0] += 1

        return f


def test_calls_take_turns_and_the_first_turn_does_not_count() -> None:
    clock = Clock()
    own, other = Cpu(clock).interleaved([clock.takes("a", 9, 1, 2, 3), clock.takes("b", 5)], 0.0, 3)
    assert clock.order == ["a", "b"] * 4
    assert own.device == own.call == [1, 2, 3] and other.device == [5, 5, 5]


def test_turns_go_on_until_the_time_is_over_but_not_for_ever() -> None:
    clock = Clock()
    (times,) = Cpu(clock).interleaved([clock.takes("a", 1)], 10.0, 3)
    assert len(times.call) == 9
    (times,) = Cpu(clock).interleaved([clock.takes("a", 0)], 10.0, 3)
    assert len(times.call) == 1000


def test_ratios_are_taken_pair_by_pair() -> None:
    clock = Clock()
    # the machine becomes slower and slower, and both with it: medians of the times would say 1.5
    job = Job(
        "toy",
        "forward",
        clock.takes("own", 7, 1, 2, 4, 8),
        {"torch": clock.takes("torch", 7, 3, 6, 12, 24), "plain": clock.takes("plain", 7, 1, 1, 4, 4)},
        flops=8e9,
        bytes=2e9,
        size=3,
    )
    found = measure("toys", job, Cpu(clock), Pace(0.0, 4), Limits(copy=4e9, gemm=4e9))
    assert (found.ms, found.low_ms, found.high_ms, found.call_ms) == (3000, 1750, 5000, 3000)
    torch, plain = found.peers["torch"], found.peers["plain"]
    assert (torch.ms, torch.ratio, torch.low, torch.high) == (9000, 3, 3, 3)
    assert (plain.ratio, plain.low, plain.high) == (0.75, 0.5, 1.0)
    assert found.gflops == pytest.approx(8 / 3) and found.gbps == pytest.approx(2 / 3)
    assert found.share == pytest.approx(2 / 3)  # 8 GFLOP at 4 GFLOP/s take 2 s, the copy less
    assert (found.group, found.device, found.size) == ("toys", "cpu", 3)
    assert level([found], "torch")["geometric_mean"] == pytest.approx(3)
    assert level([found], "plain") == {
        "cells": 1, "geometric_mean": pytest.approx(0.75), "worst": 0.75, "at_1_or_better": 0,
    }  # fmt: skip
    assert level([found], "jax") == {"cells": 0}


def test_the_roofline_is_the_slower_of_two_limits() -> None:
    both = Limits(copy=10.0, gemm=100.0)
    assert both.seconds(flops=100, moved=5) == 1.0 and both.seconds(flops=100, moved=50) == 5.0


def test_the_limits_are_measured() -> None:
    found = limits(Cpu(), quick=True)
    assert found.copy > 0 and found.gemm > 0


def test_a_disagreement_is_a_result_without_times() -> None:
    def jobs() -> Any:
        raise DisagreementError("toy: output is off")

    (found,) = measured("toys", "toy", jobs, Cpu(), Pace.quick())
    assert (found.group, found.case, found.ms, found.problem) == ("toys", "toy", None, "toy: output is off")


@pytest.mark.gpu
@pytest.mark.parametrize("library", libraries("cupy"))
@pytest.mark.parametrize("wait", [False, True])
def test_on_a_gpu_the_gpu_s_time_counts(library: Any, wait: bool) -> None:
    library()
    gpu = device("gpu")
    jobs = Case("relu", lambda rng: (normal(rng, 50),), ops.relu).jobs(gpu)
    for found in (measure("relu", job, gpu, Pace(0.0, 3, wait), limits(gpu, quick=True)) for job in jobs):
        assert found.ms is not None and found.ms > 0 and found.call_ms is not None and found.call_ms > 0
