"""Where a benchmark runs: how arrays get there, for xpnn and for torch, and how time is taken there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import xpnn
from xpnn.cuda.execute import execute
from xpnn.cuda.launch import executing

__all__ = ["Cpu", "Device", "Gpu", "Times", "device"]

_BEYOND_CACHE = 256 * 2**20  # bytes: more than the L2 of any GPU


@dataclass
class Times:
    """Seconds of a function's calls: as its device took them, and as the Python call took them."""

    device: list[float]
    call: list[float]


class Cpu:
    """The clock of the host."""

    name = "cpu"

    def asarray(self, x: Any) -> Any:
        return x

    def tensor(self, torch: Any, x: Any) -> Any:
        return torch.from_numpy(np.array(x))

    def bytes_moved(self, f: Callable[[], Any]) -> int | None:
        return None

    def bandwidth(self) -> float | None:
        return None

    def interleaved(self, functions: Sequence[Callable[[], Any]], seconds: float, rounds: int) -> list[Times]:
        """Each function in turns, at least ``rounds`` times; the first turn, a warm-up, is left out."""
        times = [Times([], []) for _ in functions]
        end = time.perf_counter() + seconds
        while len(times[0].call) <= rounds or (time.perf_counter() < end and len(times[0].call) < 1000):
            for own, f in zip(times, functions, strict=True):
                start = time.perf_counter()
                f()
                own.call.append(time.perf_counter() - start)
        return [Times(own.call[1:], own.call[1:]) for own in times]


class Gpu:
    """The clock of the GPU: events around each call, with a cold cache.

    What empties the cache keeps the GPU busy while the host asks for the work, so that small kernels are not measured by the
    speed of Python; ``Times.call`` tells that speed.
    """

    name = "gpu"

    def __init__(self) -> None:
        import cupy

        self._cupy = cupy
        self._room = cupy.empty(_BEYOND_CACHE, "uint8")

    def asarray(self, x: Any) -> Any:
        return xpnn.asarray(x, device="gpu")

    def tensor(self, torch: Any, x: Any) -> Any:
        return torch.from_numpy(np.array(x)).cuda()

    def bytes_moved(self, f: Callable[[], Any]) -> int | None:
        """What the plans of the kernels launched by a call say that they must move; None if none was launched."""
        moved: list[int] = []

        def counted(plan: Any, arguments: Any) -> None:
            moved.append(plan.bytes)
            execute(plan, arguments)

        with executing(counted):
            f()
        return sum(moved) if moved else None

    def bandwidth(self) -> float | None:
        """Bytes a second that a copy within the GPU's memory reads and writes."""
        a, b = (self._cupy.empty(2**30, "uint8") for _ in range(2))
        (times,) = self.interleaved([lambda: self._cupy.copyto(b, a)], 0.5, 9)
        return 2 * a.nbytes / float(np.median(times.device))

    def interleaved(self, functions: Sequence[Callable[[], Any]], seconds: float, rounds: int) -> list[Times]:
        """Each function in turns, at least ``rounds`` times; the first turn, which compiles, is left out."""
        times = [Times([], []) for _ in functions]
        end = time.perf_counter() + seconds
        while len(times[0].call) <= rounds or (time.perf_counter() < end and len(times[0].call) < 1000):
            for own, f in zip(times, functions, strict=True):
                device, call = self._once(f)
                own.device.append(device)
                own.call.append(call)
        return [Times(own.device[1:], own.call[1:]) for own in times]

    def _once(self, f: Callable[[], Any]) -> tuple[float, float]:
        events = [self._cupy.cuda.Event() for _ in range(2)]
        for _ in range(4):
            self._room.fill(0)
        events[0].record()
        start = time.perf_counter()
        f()
        call = time.perf_counter() - start
        events[1].record()
        events[1].synchronize()
        return self._cupy.cuda.get_elapsed_time(*events) / 1e3, call


Device = Cpu | Gpu


def device(name: str) -> Device:
    """The device of a name; raises xpnn.BackendError with the reason for a GPU that cannot be had."""
    if name == "cpu":
        return Cpu()
    xpnn.require_gpu()
    return Gpu()
