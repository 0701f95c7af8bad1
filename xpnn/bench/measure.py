"""The runner: jobs are timed in turns with those of their peers, and the ratios are taken pair by pair."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .case import DisagreementError, Job
from .devices import Device, Times
from .limits import Limits

__all__ = ["Pace", "PeerResult", "Result", "level", "measure", "measured"]


@dataclass(frozen=True)
class Pace:
    """How long a job is timed: at least so many rounds, and until the seconds are over."""

    seconds: float = 2.0
    rounds: int = 9
    wait: bool = False

    @classmethod
    def quick(cls, wait: bool = False) -> Pace:
        """To see that it runs, not how fast."""
        return cls(0.05, 3, wait)


@dataclass(frozen=True)
class PeerResult:
    """Milliseconds of a peer; ratio = its time / ours, above 1 where xpnn is faster; the quartiles of that ratio."""

    ms: float
    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Result:
    """The times of a case in one mode, in milliseconds: median and quartiles.

    call_ms: what the Python call takes, which on a GPU is not the work itself. gbps: what our kernels, or else the arguments
    and results, amount to a second. share: the least time that the machine's limits allow, over ours.
    problem: why nothing was timed.
    """

    group: str
    case: str
    mode: str
    device: str = "cpu"
    size: int | None = None
    ms: float | None = None
    low_ms: float | None = None
    high_ms: float | None = None
    call_ms: float | None = None
    flops: float = 0.0
    bytes: float = 0.0
    gflops: float | None = None
    gbps: float | None = None
    share: float | None = None
    peers: Mapping[str, PeerResult] = field(default_factory=dict)
    problem: str | None = None


def measured(
    group: str, name: str, jobs: Callable[[], Sequence[Job]], device: Device, pace: Pace, limits: Limits | None = None
) -> Iterator[Result]:
    """The results of a case, one by one; where a peer disagrees, one result that says so in place of all."""
    try:
        prepared = jobs()
    except DisagreementError as error:
        yield Result(group, name, "", device.name, problem=str(error))
        return
    for job in prepared:
        yield measure(group, job, device, pace, limits)


def measure(group: str, job: Job, device: Device, pace: Pace, limits: Limits | None = None) -> Result:
    """Times one job and its peers, in turns."""
    moved = device.bytes_moved(job.ours) or job.bytes
    own, *others = device.interleaved([job.ours, *job.peers.values()], pace.seconds, pace.rounds, pace.wait)
    seconds = statistics.median(own.device)
    low, high = _quartiles(own.device)
    return Result(
        group,
        job.case,
        job.mode,
        device.name,
        job.size,
        seconds * 1e3,
        low * 1e3,
        high * 1e3,
        statistics.median(own.call) * 1e3,
        job.flops,
        moved,
        gflops=job.flops / seconds / 1e9 if job.flops else None,
        gbps=moved / seconds / 1e9 if moved else None,
        share=limits.seconds(job.flops, moved) / seconds if limits else None,
        peers={name: _against(own, other) for name, other in zip(job.peers, others, strict=True)},
    )


def _against(own: Times, other: Times) -> PeerResult:
    ratios = [b / a for a, b in zip(own.device, other.device, strict=True)]
    return PeerResult(statistics.median(other.device) * 1e3, statistics.median(ratios), *_quartiles(ratios))


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) == 1:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def level(results: Sequence[Result], peer: str) -> dict[str, Any]:
    """The score against a peer: geometric mean of the ratios, the worst cell, how many are at 1 or better."""
    ratios = [result.peers[peer].ratio for result in results if peer in result.peers]
    if not ratios:
        return {"cells": 0}
    return {
        "cells": len(ratios),
        "geometric_mean": statistics.geometric_mean(ratios),
        "worst": min(ratios),
        "at_1_or_better": sum(ratio >= 1 for ratio in ratios),
    }
