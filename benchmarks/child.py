"""Measures in child processes: what one of them loads, compiles or keeps is not there in the next."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from xpnn.bench.machine import describe
from xpnn.io import atomic_write

__all__ = ["ROOT", "run", "write"]

ROOT = Path(__file__).parents[1]


def run(code: str, *arguments: str) -> tuple[Any, float]:
    """What a fresh Python prints as JSON, and the time at which it was started; RuntimeError with its last words."""
    # Bytecode is kept, as that of an installed package is.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "jax", "PYTHONDONTWRITEBYTECODE": ""}
    start = time.time()
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["it said nothing"])[-1])
    return json.loads(done.stdout.splitlines()[-1]), start


def write(folder: Path, kind: str, quick: bool, results: Any) -> None:
    """FOLDER/KIND.json: results, and on what they were found."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {"kind": kind, "machine": describe(), "quick": quick, "results": results}
    atomic_write(folder / f"{kind}.json", (json.dumps(found, indent=2) + "\n").encode())
