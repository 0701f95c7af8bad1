"""Where a benchmark runs: how arrays get there, and how time is taken there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..backend import asarray, resolve, to_numpy

__all__ = ["Cpu", "Device", "Times", "device"]

_MOST = 1000  # calls of a function, however short it is


@dataclass
class Times:
    """Seconds of a function's calls: as its device took them, and as the Python call took them."""

    device: list[float]
    call: list[float]


class Device(Protocol):
    """A place where work is done."""

    name: str

    def asarray(self, x: Any) -> Any:
        """A NumPy array in the library of this device."""

    def interleaved(
        self, functions: Sequence[Callable[[], Any]], seconds: float, rounds: int, wait: bool = False
    ) -> list[Times]:
        """Each function in turns, at least ``rounds`` times; the first turn, a warm-up, is left out.

        wait: measure until the result is there, as the caller sees it, and nothing else.
        """

    def bytes_moved(self, f: Callable[[], Any]) -> int | None:
        """What the kernels launched by a call must move, where that is known."""


class Cpu:
    """The clock of the host."""

    name = "cpu"

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock

    def asarray(self, x: Any) -> Any:
        return to_numpy(x)

    def interleaved(
        self, functions: Sequence[Callable[[], Any]], seconds: float, rounds: int, wait: bool = False
    ) -> list[Times]:
        def once(f: Callable[[], Any]) -> tuple[float, float]:
            start = self._clock()
            f()
            taken = self._clock() - start
            return taken, taken

        return in_turns(functions, once, seconds, rounds, self._clock)

    def bytes_moved(self, f: Callable[[], Any]) -> int | None:
        return None


class Gpu:
    """The clock of a GPU: events around each call, with a cold cache (see xpnn.cuda.timing)."""

    def __init__(self, name: str) -> None:
        from ..cuda.timing import Stopwatch

        self.name = name
        self._stopwatch = Stopwatch()

    def asarray(self, x: Any) -> Any:
        return asarray(x, device=self.name)

    def interleaved(
        self, functions: Sequence[Callable[[], Any]], seconds: float, rounds: int, wait: bool = False
    ) -> list[Times]:
        once = self._stopwatch.waited if wait else self._stopwatch.once
        return in_turns(functions, once, seconds, rounds, time.perf_counter)

    def bytes_moved(self, f: Callable[[], Any]) -> int | None:
        return self._stopwatch.bytes_moved(f)


def in_turns(
    functions: Sequence[Callable[[], Any]],
    once: Callable[[Callable[[], Any]], tuple[float, float]],
    seconds: float,
    rounds: int,
    clock: Callable[[], float],
) -> list[Times]:
    """once(f) for each function in turns, until the seconds are over; the first turn, which compiles, is left out."""
    times = [Times([], []) for _ in functions]
    end = clock() + seconds
    while len(times[0].call) <= rounds or (clock() < end and len(times[0].call) <= _MOST):
        for own, f in zip(times, functions, strict=True):
            on_device, call = once(f)
            own.device.append(on_device)
            own.call.append(call)
    return [Times(own.device[1:], own.call[1:]) for own in times]


def device(name: str) -> Device:
    """The device of a name; raises xpnn.BackendError with the reason for a GPU that cannot be had."""
    name = resolve(name)
    return Cpu() if name == "cpu" else Gpu(name)
