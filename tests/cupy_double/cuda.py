"""cupy.cuda as far as it can be had without CUDA: two devices, of which one is current, streams that do nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from .sync import note_wait

__all__ = ["COUNT", "Device", "Stream", "current_device", "nvrtc", "raw_module", "runtime"]

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


class Stream:
    """cupy.cuda.Stream: all work is done when it is asked for."""

    null: Stream

    def __init__(
        self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: Any = None
    ) -> None:
        self.ptr = 0

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def synchronize(self) -> None:
        note_wait("Stream.synchronize")


Stream.null = Stream(null=True)


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
    deviceSynchronize=lambda: note_wait("deviceSynchronize"),
)
nvrtc = SimpleNamespace(getVersion=lambda: (13, 0))
