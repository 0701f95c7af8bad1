"""The executor that runs plans in the kernel emulator, on NumPy arrays: refusal, plan, packing and kernel on any machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import array_api_compat.numpy
import numpy as np
import pytest

from tests.emulator import SCHEDULES, EmulatorError, EmulatorUnavailableError, Kernel, Schedule, build
from tests.emulator.build import compiler
from xpnn.cuda.arguments import Arguments
from xpnn.cuda.launch import executing
from xpnn.cuda.plan import Plan

__all__ = ["FEW", "Emulator", "emulating"]

FEW = (SCHEDULES[0], Schedule("reversed"), Schedule("random", 1))
_BAND, _POISON, _ALIGN = 256, 0xFF, 256


class _Guarded:
    """A copy of an array between bands of poison, as well or badly aligned as the array itself."""

    def __init__(self, name: str, x: Any) -> None:
        self.name, self.source = name, x
        self.room = np.full(x.nbytes + 2 * _BAND + _ALIGN, _POISON, np.uint8)
        self.start = _BAND + (x.ctypes.data - self.room.ctypes.data - _BAND) % _ALIGN
        self.stop = self.start + x.nbytes
        self.copy = self.room[self.start : self.stop].view(x.dtype).reshape(x.shape)
        self.copy[...] = x

    def check(self, entry: str, written: bool) -> None:
        if (self.room[: self.start] != _POISON).any() or (self.room[self.stop :] != _POISON).any():
            raise EmulatorError(f"{entry} wrote beside {self.name}")
        if not written and self.copy.tobytes() != self.source.tobytes():
            raise EmulatorError(f"{entry} wrote into {self.name}, which is const")


class Emulator:
    """Runs each launch under every one of its schedules, whose results must have the same bits."""

    def __init__(self, schedules: Sequence[Schedule] = FEW) -> None:
        self.schedules = schedules
        self.launched: list[Plan] = []

    def __call__(self, plan: Plan, arguments: Arguments) -> None:
        self.launched.append(plan)
        kernel = build(plan.source, plan.entry)
        runs = [self._run(kernel, plan, arguments, schedule) for schedule in self.schedules]
        for run in runs[1:]:
            for guarded, first in zip(run, runs[0], strict=True):
                if guarded.copy.tobytes() != first.copy.tobytes():
                    raise EmulatorError(f"{plan.entry}: {guarded.name} depends on the order in which threads run")
        for guarded in runs[0]:
            if guarded.source.flags.writeable:
                guarded.source[...] = guarded.copy

    def _run(self, kernel: Kernel, plan: Plan, arguments: Arguments, schedule: Schedule) -> list[_Guarded]:
        kinds = dict(arguments.layout.fields)
        written = {x.ctypes.data for name, x in arguments.arrays.items() if not kinds[name].startswith("const ")}
        guarded: dict[int, _Guarded] = {}  # by address: two names of one array stay one array
        record = arguments.packed()
        for name, x in arguments.arrays.items():
            own = guarded.setdefault(x.ctypes.data, _Guarded(name, x))
            record[name] = own.copy.ctypes.data
        kernel.launch_packed(
            plan.grid,
            plan.block,
            record,
            {own.name: own.copy for own in guarded.values()},
            shared=plan.shared,
            cluster=plan.cluster[0],
            cooperative=plan.cooperative,
            schedule=schedule,
        )
        for place, own in guarded.items():
            own.check(plan.entry, place in written)
        return list(guarded.values())


def _poisoned(shape: Any, dtype: Any = float) -> Any:
    """An array full of nan, or of the largest integer."""
    return np.full(shape, np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else np.nan, dtype)


@contextmanager
def emulating(monkeypatch: pytest.MonkeyPatch, schedules: Sequence[Schedule] = FEW) -> Iterator[Emulator]:
    """Inside, launches go to the emulator, and empty arrays are full of nan. Skips the test where there is no compiler."""
    try:
        compiler()
    except EmulatorUnavailableError as error:
        pytest.skip(str(error))
    emulator = Emulator(schedules)
    xp = array_api_compat.numpy
    monkeypatch.setattr(xp, "empty", _poisoned)
    monkeypatch.setattr(xp, "empty_like", lambda x: _poisoned(x.shape, x.dtype))
    with executing(emulator):
        yield emulator
