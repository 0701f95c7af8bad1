"""Runs the CuPy parameters of the suite on the double of CuPy, in a process of its own; and the double against CuPy."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import DOUBLE
from .cupy_double.signatures import FFT, FUNCTIONS, LINALG, UFUNCS

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(DOUBLE, reason="runs on the double already")
def test_everything_runs_on_the_double_of_cupy() -> None:
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests"]
    # those need CUDA, or pretend it themselves
    ignored = [f"--ignore=tests/{folder}" for folder in ("cuda", "emulator")]
    done = subprocess.run(
        [*command, *ignored],
        cwd=ROOT,
        env={**os.environ, "XPNN_TEST_CUPY_DOUBLE": "1"},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_the_double_has_nothing_that_cupy_lacks() -> None:
    cupy = pytest.importorskip("cupy", reason="needs CuPy, but no GPU")
    if DOUBLE:
        pytest.skip("cupy is the double")
    for owner, table in ((cupy, FUNCTIONS), (cupy.linalg, LINALG), (cupy.fft, FFT)):
        for name, ours in table.items():
            theirs = inspect.signature(getattr(owner, name)).parameters
            assert list(ours.parameters) == list(theirs), name
            assert [p.kind for p in ours.parameters.values()] == [p.kind for p in theirs.values()], name
    assert [name for name in UFUNCS if not isinstance(getattr(cupy, name), cupy.ufunc)] == []
    from .cupy_double.array import ndarray

    assert [name for name in dir(ndarray) if not name.startswith("_") and not hasattr(cupy.ndarray, name)] == []
    for name in ("__index__", "__array_namespace__", "to_device"):
        assert not hasattr(cupy.ndarray, name), name
