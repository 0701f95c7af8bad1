"""What runs here: versions, devices and settings, for `show_config`, `xpnn info` and bug reports."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from typing import Any

from xpnn.backend import available_backends, cupy_version, get_backend, get_default_dtype, gpu_status
from xpnn.errors import BackendError
from xpnn.precision import get_precision

# Read by xpnn (the first three), or by CuPy and the BLAS behind NumPy, which xpnn respects and never sets.
VARIABLES = (
    "XPNN_BACKEND",
    "XPNN_CACHE",
    "XPNN_COMPILED",
    "XPNN_PRECISION",
    "XPNN_LOG",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_PATH",
    "CUPY_CACHE_DIR",
    "OMP_NUM_THREADS",
)


def config() -> dict[str, Any]:
    """Versions, devices and settings as plain values, ready for JSON; a broken setting is reported, not raised."""
    from importlib.metadata import version  # a tenth of what importing xpnn would take

    from xpnn import __version__

    return {
        "xpnn": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "numpy": version("numpy"),
        "array_api_compat": version("array-api-compat"),
        "cupy": cupy_version(),
        "backend": _setting(get_backend),
        "backends": available_backends(),
        "gpu": gpu_status(),
        "default_dtype": get_default_dtype(),
        "precision": _setting(get_precision),
        "environment": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def show_config() -> None:
    """Print versions, devices and settings, one a line, with the reason why there is no GPU if there is none."""
    facts = config()
    width = max(map(len, facts)) + 2
    for name, value in facts.items():
        print(f"{name:{width}}{_words(value)}")


def _setting(get: Callable[[], str]) -> str:
    try:
        return get()
    except (BackendError, ValueError) as error:
        return f"none: {error}"


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={text}" for name, text in value.items()) or "nothing set"
    return ", ".join(value) if isinstance(value, list) else str(value)
