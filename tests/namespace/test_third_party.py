"""Other people's array API code runs through the tape unchanged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import scipy

# How many functions of the table in third_party.py work. It only grows.
COUNT = 155


def test_functions_of_array_api_extra_and_scipy_are_differentiated_unchanged() -> None:
    if tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 17):
        pytest.skip("the table was made with SciPy 1.17, which knows more array libraries than earlier ones")
    done = subprocess.run(
        [sys.executable, "-m", "tests.namespace.third_party"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    results: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    assert {name: error for name, error in results.items() if error} == {}
    assert len(results) >= COUNT
