"""On what a benchmark ran: machine, versions, threads, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["describe", "threads"]

_PACKAGES = (
    "numpy", "array-api-compat", "torch", "jax", "jaxlib", "scikit-learn", "thinc", "cupy-cuda12x", "cupy-cuda13x", "numba",
)  # fmt: skip
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_CORETYPE")


def describe() -> dict[str, Any]:
    """Names and numbers, ready for JSON."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "environment": {name: os.environ[name] for name in _THREADS if name in os.environ},
        "blas": _blas(),
        "commit": _commit(),
    }


def threads() -> int:
    """As many as NumPy's BLAS is told to use; peers get the same number."""
    return int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _blas() -> str:
    """The library behind NumPy's matrix products."""
    import numpy as np

    shown: Any = np.show_config(mode="dicts")
    found = shown["Build Dependencies"]["blas"]
    return f"{found['name']} {found['version']}"


def _commit() -> str | None:
    """The commit of a checkout, with "+" if files were changed since; None for an installed package."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit, changes = (
            subprocess.run(["git", *command], cwd=root, capture_output=True, text=True, check=True).stdout
            for command in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain"))
        )
        return commit.strip() + ("+" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return None
