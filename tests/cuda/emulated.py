"""The executor that runs plans in the kernel emulator, on NumPy arrays: refusal, plan, packing and kernel on any machine."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import array_api_compat.numpy
import numpy as np
import pytest

from tests.emulator import SCHEDULES, EmulatorError, EmulatorUnavailableError, Kernel, Schedule, build
from tests.emulator.build import compiler
from tests.emulator.tensor_map import plain
from xpnn.cuda.arguments import Arguments, Pointers
from xpnn.cuda.launch import executing
from xpnn.cuda.plan import Plan
from xpnn.cuda.tensor_map import TensorMap
from xpnn.optim import Optimizer, clipping
from xpnn.primitive import Primitive

__all__ = ["FEW", "Emulator", "emulating", "kernels_for_numpy"]

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
        arrays = {**arguments.arrays, **arguments.behind}
        tables = {name: x for name, x in arguments.values.items() if isinstance(x, Pointers)}
        direct = {name: x for name, x in arrays.items() if name not in tables}
        written = {x.ctypes.data for name, x in direct.items() if arguments.written(name)}
        guarded: dict[int, _Guarded] = {}  # by address: two names of one array stay one array
        for name, x in direct.items():
            guarded.setdefault(x.ctypes.data, _Guarded(name, x))
        # The addresses that the kernel sees are those of the copies, also where it finds them in memory.
        copied = {name: guarded[x.ctypes.data].copy.ctypes.data for name, x in direct.items()}
        pointing = [
            _Guarded(name, np.array([copied[f"{name}[{i}]"] for i in range(len(table.arrays))], table.memory.dtype))
            for name, table in tables.items()
        ]
        record = arguments.packed()
        for name, place in {**copied, **{own.name: own.copy.ctypes.data for own in pointing}}.items():
            field, index = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", name).groups()
            if index is None:
                of_map = arguments.layout.kinds[field].map
                record[field] = _described(arguments.values[field], place) if of_map else place
            elif field not in tables:
                record[field][int(index)] = place
        kernel.launch_packed(
            plan.grid,
            plan.block,
            record,
            {own.name: own.copy for own in [*guarded.values(), *pointing]},
            shared=plan.shared,
            cluster=plan.cluster[0],
            cooperative=plan.cooperative,
            schedule=schedule,
        )
        for place, own in guarded.items():
            own.check(plan.entry, place in written)
        for own in pointing:
            own.check(plan.entry, written=False)
        return list(guarded.values())


def _described(tensor_map: TensorMap, place: int) -> Any:
    """What the emulator finds where a GPU finds the driver's map."""
    _, *shape = tensor_map.shape
    sizes, strides, box, steps, lower, upper = shape
    item = tensor_map.shape.item
    return plain(place, item, sizes, strides, box, steps=steps, lower=lower, upper=upper)


def _poisoned(shape: Any, dtype: Any) -> Any:
    """What a new array must not be trusted to hold: nan, or the largest integer."""
    dtype = np.dtype(dtype)
    return np.full(shape, np.iinfo(dtype).max if dtype.kind in "iu" else np.nan, dtype)


@contextmanager
def emulating(monkeypatch: pytest.MonkeyPatch, schedules: Sequence[Schedule] = FEW) -> Iterator[Emulator]:
    """Inside, launches go to the emulator, and new arrays are full of nan. Skips the test where there is no compiler."""
    try:
        compiler()
    except EmulatorUnavailableError as error:
        pytest.skip(str(error))
    emulator = Emulator(schedules)
    xp = array_api_compat.numpy
    monkeypatch.setattr(xp, "empty", lambda shape, dtype=float, device=None: _poisoned(shape, dtype))
    monkeypatch.setattr(xp, "empty_like", lambda x, dtype=None, device=None: _poisoned(x.shape, dtype or x.dtype))
    with executing(emulator):
        yield emulator


@contextmanager
def kernels_for_numpy(monkeypatch: pytest.MonkeyPatch, schedules: Sequence[Schedule] = FEW[:1]) -> Iterator[Emulator]:
    """Inside, NumPy arrays are what CuPy's are on a GPU: primitives give them to their kernels, which the emulator runs."""
    held = (vars(module) for name, module in list(sys.modules.items()) if name.startswith("xpnn."))
    primitives = {id(x): x for members in held for x in list(members.values()) if isinstance(x, Primitive)}
    for kernels in (Optimizer.implementations, clipping.implementations):
        monkeypatch.setitem(kernels, "numpy", kernels["cupy"])
    with emulating(monkeypatch, schedules) as emulator, ExitStack() as stack:
        for primitive in primitives.values():
            own = primitive.implementations["numpy"]
            stack.callback(own.__setitem__, slice(None), own[:])
            own[:] = primitive.implementations.get("cupy", [])
        yield emulator
