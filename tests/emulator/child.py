"""Launches under AddressSanitizer, which must be loaded before Python itself: in a process of their own."""

from __future__ import annotations

import dataclasses
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tests.emulator.launch import EmulatorError, Kernel

_CHILD = "import sys; from tests.emulator.child import run_child; run_child(sys.stdin.buffer, sys.stdout.buffer)"


def launch_in_child(kernel: Kernel, positional: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Kernel.launch in a process of its own, under AddressSanitizer; the arrays come back by pickle."""
    job = pickle.dumps((dataclasses.replace(kernel, preload=""), positional, options))
    environment = {
        **os.environ,
        "LD_PRELOAD": kernel.preload,
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0:handle_segv=0",
    }
    done = subprocess.run(
        [sys.executable, "-c", _CHILD], input=job, capture_output=True, env=environment, cwd=Path(__file__).parents[2]
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace")
        what = re.search(r"AddressSanitizer: [\w-]+", said) or re.search(r"EmulatorError: .*", said)
        place = re.search(r"#\d+ 0x\w+ in .*?([^\s/]+\.cuh?:\d+)", said)
        raise EmulatorError(f"{kernel.name}: {what[0] if what else said[-300:]}" + (f", {place[1]}" if place else ""))
    for name, array in pickle.loads(done.stdout).items():
        positional[2][name][...] = array


def run_child(source: BinaryIO, target: BinaryIO) -> None:
    """The other half of launch_in_child."""
    kernel, positional, options = pickle.load(source)
    kernel.launch(*positional, **options)
    arrays = {k: v for k, v in positional[2].items() if isinstance(v, np.ndarray)}
    target.write(pickle.dumps(arrays))
