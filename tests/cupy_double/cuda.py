"""cupy.cuda as far as it can be had without CUDA: two devices, of which one is current, streams that do nothing."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from .sync import note_wait

__all__ = [
    "COUNT",
    "Device",
    "Event",
    "MemoryPool",
    "Stream",
    "alloc_pinned_memory",
    "current_device",
    "nvrtc",
    "raw_module",
    "runtime",
]

COUNT = 2
_current = [0]


def current_device() -> int:
    return _current[-1]


class Device:
    """cupy.cuda.Device: compared by its number; ``with`` makes it current."""

    def __init__(self, device: Any = None) -> None:
        self.id = current_device() if device is None else int(device)
        if not 0 <= self.id < COUNT:
            raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal")

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def __enter__(self) -> Device:
        _current.append(self.id)
        return self

    def __exit__(self, *_: object) -> None:
        _current.pop()

    def use(self) -> None:
        _current[-1] = self.id

    def synchronize(self) -> None:
        note_wait("Device.synchronize")

    @property
    def compute_capability(self) -> str:
        return "90"


class Event:
    """cupy.cuda.Event: a place in the work of a stream, known to be reached once somebody waited for it."""

    def __init__(self) -> None:
        self._stream, self._place = Stream.null, 0

    def record(self, stream: Stream | None = None) -> None:
        self._stream = stream or Stream.null
        self._place = self._stream.asked

    @property
    def done(self) -> bool:
        return self._stream.reached >= self._place

    def synchronize(self) -> None:
        note_wait("Event.synchronize")
        self._stream.run(self._place)


class Stream:
    """cupy.cuda.Stream: copies asked of it are done when somebody waits for them, as late as a GPU may do them.

    All else is done on the spot, as if it came last: work of the null stream that does not wait reads what was there before.
    """

    null: Stream

    def __init__(
        self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: Any = None
    ) -> None:
        self.ptr = 0
        self.reached = 0
        self._work: list[Callable[[], None]] = []

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def put(self, work: Callable[[], None]) -> None:
        self._work.append(work)

    def run(self, place: int) -> None:
        """Does the work up to a place."""
        while self.reached < place:
            self._work[self.reached]()
            self.reached += 1

    @property
    def asked(self) -> int:
        return len(self._work)

    def record(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        if self is Stream.null:
            event._stream.run(event._place)
        else:
            self.put(lambda: event._stream.run(event._place))

    def synchronize(self) -> None:
        note_wait("Stream.synchronize")
        self.run(len(self._work))


Stream.null = Stream(null=True)


class PinnedMemory(bytearray):
    """cupy.cuda.PinnedMemoryPointer: a buffer that says how large it is, perhaps larger than asked for."""

    def size(self) -> int:
        return len(self)


def get_elapsed_time(start: Event, end: Event) -> float:
    """Milliseconds; a double has no clock."""
    return 1.0


def alloc_pinned_memory(size: int) -> PinnedMemory:
    return PinnedMemory(-(-size // 512) * 512)


class MemoryPool:
    """cupy.get_default_memory_pool(): 256 bytes in arrays, 1024 held."""

    def __init__(self) -> None:
        self.held = 1024

    def used_bytes(self) -> int:
        return 256

    def total_bytes(self) -> int:
        return self.held

    def free_all_blocks(self, stream: Any = None) -> None:
        self.held = 256


def _properties(device: int) -> dict[str, Any]:
    return {"name": b"CuPy double %d" % device, "major": 9, "minor": 0, "multiProcessorCount": 1}


def raw_module(**_: Any) -> Any:
    raise RuntimeError("the double of CuPy runs no kernels")


runtime = SimpleNamespace(
    driverGetVersion=lambda: 13000,
    runtimeGetVersion=lambda: 13000,
    getDevice=current_device,
    setDevice=lambda i: Device(i).use(),
    getDeviceCount=lambda: COUNT,
    getDeviceProperties=_properties,
    memGetInfo=lambda: (1 << 30, 1 << 34),
    deviceSynchronize=lambda: note_wait("deviceSynchronize"),
)
nvrtc = SimpleNamespace(getVersion=lambda: (13, 0))
