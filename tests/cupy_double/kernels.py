"""Kernels on the double: taken out of the primitives, and for a while put back, run by the emulator on the double's memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cuda.emulated import Emulator
from tests.emulator import SCHEDULES, EmulatorUnavailableError
from tests.emulator.build import compiler

from .array import ndarray

__all__ = ["running", "take_out"]

# Where implementations are looked up, and what was there under "cupy".
_taken: list[tuple[dict[str, Any], Any]] = []


def take_out() -> None:
    """Leaves the references alone with the double's arrays."""
    from xpnn.optim import Optimizer, clipping
    from xpnn.primitive import Primitive

    held = (vars(module) for name, module in list(sys.modules.items()) if name.startswith("xpnn."))
    primitives = {id(x): x for members in held for x in list(members.values()) if isinstance(x, Primitive)}
    own = (x.implementations for x in (Optimizer, clipping, *primitives.values()))
    _taken.extend((found, found.pop("cupy")) for found in own if "cupy" in found)


@contextmanager
def running() -> Iterator[Emulator]:
    """Inside, the double's arrays go to the kernels: refusal, plan, packing and launch are the host code of a GPU.

    Skips the test where there is no compiler.
    """
    from xpnn.cuda.launch import executing

    try:
        compiler()
    except EmulatorUnavailableError as error:
        pytest.skip(str(error))
    emulator = Emulator(SCHEDULES[:1])
    for implementations, kernels in _taken:
        implementations["cupy"] = kernels
    try:
        with executing(lambda plan, arguments: emulator(plan, arguments._replace(values=_memory(arguments.values)))):
            yield emulator
    finally:
        for implementations, _ in _taken:
            del implementations["cupy"]


def _memory(x: Any) -> Any:
    """The NumPy arrays under the double's, of which the emulator knows nothing; their addresses are the same."""
    if isinstance(x, ndarray):
        return x._a
    if isinstance(x, dict):
        return {name: _memory(value) for name, value in x.items()}
    if isinstance(x, list | tuple):
        return type(x)(*map(_memory, x)) if hasattr(x, "_fields") else type(x)(map(_memory, x))
    return x
