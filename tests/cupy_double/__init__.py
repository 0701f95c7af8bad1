"""A stand-in for CuPy with NumPy underneath, which refuses what CuPy refuses and counts what waits for the GPU.

``install()`` puts it into sys.modules as "cupy"; it must come before anything imports array_api_compat.cupy, so it is
for a process of its own: ``XPNN_TEST_CUPY_DOUBLE=1 pytest -m gpu tests --ignore tests/cuda`` runs the CuPy parameters of
the whole suite on it. Where CuPy's behaviour differs between versions or devices, the stricter one is pretended.
"""

from __future__ import annotations

import sys

from . import kernels
from .module import make_modules

__all__ = ["install"]


def install() -> None:
    """Makes `import cupy` find the double in this process, from now on, and leaves the references alone with its arrays.

    The kernels have tests of their own, and take long in the emulator: `with kernels.running()` lets them run, host code and all.
    """
    if "array_api_compat.cupy" in sys.modules:
        raise RuntimeError("array_api_compat.cupy is imported already: it holds another CuPy")
    sys.modules.update(make_modules())
    kernels.take_out()
