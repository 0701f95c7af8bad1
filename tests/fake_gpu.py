"""A CuPy with GPUs that are only pretended, for the decisions of the selector; what it computes, NumPy computes."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import array_api_compat
import numpy as np
import pytest


class FakeCuda:
    """The state of the pretended CUDA: how many devices, which one is current, who was waited for."""

    def __init__(self, count: int) -> None:
        self.count, self.current, self.waited = count, 0, list[int]()


class Device:
    """Stands for cupy.cuda.Device."""

    cuda: FakeCuda

    def __init__(self, id: int | None = None) -> None:
        self.id = self.cuda.current if id is None else id

    def use(self) -> None:
        self.cuda.current = self.id

    def __enter__(self) -> Device:
        self.before = self.cuda.current
        self.use()
        return self

    def __exit__(self, *_: object) -> None:
        self.cuda.current = self.before

    def synchronize(self) -> None:
        self.cuda.waited.append(self.id)


class FakeArray:
    """Stands for cupy.ndarray: remembers on which device it was made, and refuses to become a NumPy array by itself."""

    __cuda_array_interface__ = SimpleNamespace()

    def __init__(self, value: Any) -> None:
        self.value = np.asarray(value)
        self.dtype, self.device = self.value.dtype, Device()

    def __array__(self, *_: object, **__: object) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def get(self) -> Any:
        return self.value

    def copy(self) -> FakeArray:
        return FakeArray(self.value.copy())

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.device.id


def fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the selector start as it does in a new process; a fixture for the tests of it."""
    selector = importlib.import_module("xpnn.backend")
    monkeypatch.setattr(selector, "_process", selector._Process())
    selector.logger.cache_clear()
    for name in ("XPNN_BACKEND", "XPNN_LOG"):
        monkeypatch.delenv(name, raising=False)


def install(monkeypatch: pytest.MonkeyPatch, count: int, nvrtc: bool = True) -> FakeCuda:
    """Make `import cupy` find a CuPy with `count` GPUs, with or without its run-time compiler."""
    cuda = FakeCuda(count)
    monkeypatch.setattr(Device, "cuda", cuda, raising=False)

    def compiler_version() -> tuple[int, int]:
        if nvrtc:
            return 13, 0
        raise RuntimeError("Failure finding libnvrtc.so\n")

    cupy: Any = ModuleType("cupy")
    cupy.__version__ = "14.0.0"
    cupy.from_dlpack = lambda x: x
    cupy.cuda = SimpleNamespace(
        Device=Device,
        nvrtc=SimpleNamespace(getVersion=compiler_version),
        runtime=SimpleNamespace(
            driverGetVersion=lambda: 13000,
            getDeviceCount=lambda: cuda.count,
            getDeviceProperties=lambda i: {"name": b"Pretender %d" % i},
        ),
    )
    namespace: Any = ModuleType("array_api_compat.cupy")
    namespace.asarray = lambda x: x if isinstance(x, FakeArray) else FakeArray(x)
    namespace.astype = lambda x, dtype, copy: FakeArray(x.value.astype(dtype))
    namespace.zeros = lambda shape: FakeArray(np.zeros(shape))
    namespace.float64 = np.float64
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "array_api_compat.cupy", namespace)
    monkeypatch.setattr(array_api_compat, "cupy", namespace, raising=False)
    return cuda
