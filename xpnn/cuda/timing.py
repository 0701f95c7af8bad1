"""How long a GPU works on a call, and what its kernels move."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .execute import execute
from .launch import executing

__all__ = ["Stopwatch", "describe_gpu"]

_BEYOND_CACHE = 256 * 2**20  # bytes: more than the L2 of any GPU


class Stopwatch:
    """Times calls on the current GPU.

    What empties the cache keeps the GPU busy while the host asks for the work, so that small kernels are not measured by the
    speed of Python; the second number tells that speed.
    """

    def __init__(self) -> None:
        import cupy

        self._cupy = cupy
        self._room = cupy.empty(_BEYOND_CACHE, "uint8")

    def once(self, f: Callable[[], Any]) -> tuple[float, float]:
        """Seconds of the GPU, with a cold cache, and of the Python call."""
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

    def waited(self, f: Callable[[], Any]) -> tuple[float, float]:
        """Seconds until the result is there, and of the Python call."""
        start = time.perf_counter()
        f()
        call = time.perf_counter() - start
        self._cupy.cuda.Device().synchronize()
        return time.perf_counter() - start, call

    def bytes_moved(self, f: Callable[[], Any]) -> int | None:
        """What the plans of the kernels launched by a call say that they must move; None if none was launched."""
        moved: list[int] = []

        def counted(plan: Any, arguments: Any) -> None:
            moved.append(plan.bytes)
            execute(plan, arguments)

        with executing(counted):
            f()
        return sum(moved) if moved else None


def describe_gpu() -> dict[str, Any]:
    """The current GPU: its name, architecture, memory, and the versions of CUDA."""
    import cupy

    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(runtime.getDevice())
    return {
        "name": properties["name"].decode(),
        "capability": f"{properties['major']}.{properties['minor']}",
        "multiprocessors": properties["multiProcessorCount"],
        "memory_bytes": runtime.memGetInfo()[1],
        "driver": runtime.driverGetVersion(),
        "runtime": runtime.runtimeGetVersion(),
        "nvrtc": ".".join(map(str, cupy.cuda.nvrtc.getVersion())),
    }
