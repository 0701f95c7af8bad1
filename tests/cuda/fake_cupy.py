"""A CuPy whose kernels are only recorded: for the decisions of the launch, not for numbers."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest


class FakeArray:
    """Stands for cupy.ndarray: an address on a device."""

    def __init__(self, x: Any, device: int = 0) -> None:
        self._x = np.asarray(x)
        self.dtype, self.shape, self.strides, self.flags = self._x.dtype, self._x.shape, self._x.strides, self._x.flags
        self.data = SimpleNamespace(ptr=self._x.ctypes.data)
        self.device = SimpleNamespace(id=device)


class FakeKernel:
    """Stands for cupy.RawKernel: keeps its launches, and what it was allowed before."""

    def __init__(self, module: FakeModule) -> None:
        self.module, self.launches, self.kernel = module, list[Any](), SimpleNamespace(ptr=77)
        self.max_dynamic_shared_size_bytes: int | None = None

    def __call__(self, grid: Any, block: Any, args: Any, *, shared_mem: int = 0) -> None:
        self.launches.append((grid, block, args, shared_mem, self.max_dynamic_shared_size_bytes))


class FakeModule:
    """Stands for cupy.RawModule."""

    def __init__(self, fake: FakeCupy, options: dict[str, Any]) -> None:
        self.fake, self.options = fake, options

    def get_function(self, name: str) -> FakeKernel:
        if self.fake.failure is not None and name != "smoke":
            raise self.fake.failure
        if self.fake.smoke is not None and name == "smoke":
            raise self.fake.smoke
        kernel = self.fake.kernels[name, self.fake.current] = FakeKernel(self)
        return kernel


class FakeCupy:
    """What a test sees of the pretended CuPy, and can change."""

    def __init__(self) -> None:
        self.current, self.arch = 0, "80"
        self.failure: Exception | None = None
        self.smoke: Exception | None = None
        self.modules: list[FakeModule] = []
        self.kernels: dict[tuple[str, int], FakeKernel] = {}
        self.attributes: list[tuple[int, int, int]] = []

    def module(self, **options: Any) -> FakeModule:
        self.modules.append(FakeModule(self, options))
        return self.modules[-1]


def install(monkeypatch: pytest.MonkeyPatch) -> FakeCupy:
    """Makes `import cupy` find the pretended one, with no kernel compiled yet."""
    from xpnn.cuda import execute

    fake = FakeCupy()
    cupy: Any = ModuleType("cupy")
    cupy.__version__ = "14.0.0"
    cupy.RawModule = fake.module
    cupy.cuda = SimpleNamespace(
        Device=lambda i: SimpleNamespace(compute_capability=fake.arch),
        runtime=SimpleNamespace(getDevice=lambda: fake.current),
    )
    api: Any = ModuleType("cupy_backends.cuda.api")
    api.driver = SimpleNamespace(funcSetAttribute=lambda *a: fake.attributes.append(a))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    for name in ("cupy_backends", "cupy_backends.cuda"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "cupy_backends.cuda.api", api)
    monkeypatch.setattr(execute, "_kernels", {})
    execute._smoke_test.cache_clear()
    return fake
