"""Fixtures for all tests: ``xp`` runs a test once per array library."""

from __future__ import annotations

import os

# Before NumPy is imported: the tests run in several processes, whose BLAS threads would fight for the same cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Nor may a GPU that happens to be there be chosen by itself: tests name the library that they are about.
os.environ["XPNN_BACKEND"] = "cpu"

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import array_api_compat.numpy
import array_api_strict
import numpy as np
import pytest

from . import cupy_double

array_api_strict.set_array_api_strict_flags(api_version="2025.12")

DOUBLE = bool(os.environ.get("XPNN_TEST_CUPY_DOUBLE"))
if DOUBLE:  # in a process of its own, which tests/test_cupy_double.py starts: "cupy" is a stand-in without a GPU
    cupy_double.install()


@dataclass(frozen=True)
class Library:
    """An array library under test: its namespace, and how arrays get in and out of it."""

    name: str
    xp: Any
    device: Any = None

    def asarray(self, x: Any, dtype: Any = None) -> Any:
        """x (NumPy array, nested list or number) as an array of this library on the device under test."""
        x = np.asarray(x)
        if dtype is not None:
            x = x.astype(dtype)
        return self.xp.asarray(x if self.name != "array_api_strict" else np.array(x), device=self.device)

    def to_numpy(self, x: Any) -> np.ndarray[Any, Any]:
        """x, raw or a constant box, as a NumPy array."""
        x = getattr(x, "_value", x)
        if self.name == "cupy":
            return self.xp.asnumpy(x)  # type: ignore[no-any-return]
        if self.name == "array_api_strict":
            return np.array(x.to_device(array_api_strict.Device("CPU_DEVICE")))
        return np.asarray(x)


def _cupy() -> Library | None:
    try:
        import cupy
    except ImportError:
        return None
    if not cupy.is_available():
        return None
    import array_api_compat.cupy as xp

    return Library("cupy", xp)


def _torch() -> Library | None:
    try:
        import array_api_compat.torch as xp
    except ImportError:
        return None
    return Library("torch", xp)


_LIBRARIES: dict[str, Callable[[], Library | None]] = {
    "numpy": lambda: Library("numpy", array_api_compat.numpy),
    "strict": lambda: Library("array_api_strict", array_api_strict, array_api_strict.Device("CPU_DEVICE")),
    "strict-device1": lambda: Library("array_api_strict", array_api_strict, array_api_strict.Device("device1")),
    "torch": _torch,
    "cupy": _cupy,
}  # fmt: skip
_NEEDS = {"cupy": "needs CuPy and a GPU", "torch": "needs torch"}


def libraries(*names: str) -> list[Any]:
    """Parameters for tests of some libraries: functions that make the library, or skip the test where it is not there."""

    def make(name: str) -> Callable[[], Library]:
        def library() -> Library:
            found = _LIBRARIES[name]()
            if found is None:
                pytest.skip(_NEEDS[name])
            return found

        return library

    marks = {"cupy": [pytest.mark.gpu]}
    return [pytest.param(make(name), id=name, marks=marks.get(name, [])) for name in names]


@pytest.fixture(params=libraries("numpy", "strict", "strict-device1", "cupy"))
def lib(request: pytest.FixtureRequest) -> Library:
    """The library under test, with asarray and to_numpy."""
    make: Callable[[], Library] = request.param
    return make()


@pytest.fixture
def xp(lib: Library) -> Any:
    """The namespace of the library under test."""
    return lib.xp


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
