"""The modules that `import cupy` and array_api_compat.cupy look for."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from . import cuda
from .array import ndarray
from .functions import Ufunc, fft_functions, functions, linalg_functions

__all__ = ["make_modules"]

_OF_NUMPY = """bool_ int8 int16 int32 int64 intp uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128
    dtype finfo iinfo generic number integer signedinteger unsignedinteger inexact floating complexfloating
    newaxis nan inf pi e promote_types issubdtype""".split()


def _module(name: str, members: dict[str, Any]) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(members)
    return module


def make_modules() -> dict[str, ModuleType]:
    """By their names in sys.modules."""
    device = _module("cupy.cuda.device", {"Device": cuda.Device})
    gpu = _module(
        "cupy.cuda",
        {
            "Device": cuda.Device,
            "Event": cuda.Event,
            "Stream": cuda.Stream,
            "alloc_pinned_memory": cuda.alloc_pinned_memory,
            "device": device,
            "get_current_stream": lambda: cuda.Stream.null,
            "get_elapsed_time": cuda.get_elapsed_time,
            "is_available": lambda: True,
            "nvrtc": cuda.nvrtc,
            "runtime": cuda.runtime,
        },
    )
    pool, pinned = cuda.MemoryPool(), cuda.MemoryPool()
    linalg = _module("cupy.linalg", linalg_functions() | {"LinAlgError": np.linalg.LinAlgError})
    fft = _module("cupy.fft", fft_functions())
    for module in (linalg, fft):
        module.__dict__["__all__"] = [name for name in vars(module) if not name.startswith("_")]
    members = {
        **functions(),
        **{name: getattr(np, name) for name in _OF_NUMPY},
        "bool": np.bool_,
        "__version__": "14.2.0",
        "__path__": [],
        "ndarray": ndarray,
        "ufunc": Ufunc,
        "RawModule": cuda.raw_module,
        "is_available": lambda: True,
        "get_default_memory_pool": lambda: pool,
        "get_default_pinned_memory_pool": lambda: pinned,
        "get_array_module": lambda *xs: cupy if any(isinstance(x, ndarray) for x in xs) else np,
        "cuda": gpu,
        "linalg": linalg,
        "fft": fft,
    }
    cupy = _module("cupy", members)
    modules = (cupy, gpu, device, linalg, fft)
    return {module.__name__: module for module in modules}
