"""Launches an emulated kernel on NumPy arrays, under one schedule or under all of them."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_ORDERS = ("in order", "reversed", "random", "warp ahead", "warp behind", "block ahead")
_BAND = 256  # bytes of poison on each side of a buffer
_LOCK = threading.Lock()
_SHARED = 227 * 1024  # bytes a block of the largest supported GPU has
_THREADS = 8192
_POISON = 0xFF  # as float of any width: NaN


class EmulatorError(Exception):
    """A kernel does what it must not do on a GPU, in one line."""


@dataclass(frozen=True)
class Schedule:
    """In which order ready threads run: one of "in order", "reversed", "random", "warp ahead", "warp behind", "block ahead".

    seed: of "random"; elsewhere it names the warp or the block.
    """

    order: str = "in order"
    seed: int = 0


SCHEDULES = (
    Schedule("in order"),
    Schedule("reversed"),
    Schedule("random", 1),
    Schedule("random", 2),
    Schedule("warp ahead", 1),
    Schedule("warp behind", 0),
    Schedule("block ahead", 1),
)


class _Dim(ctypes.Structure):
    _fields_ = (("x", ctypes.c_uint32), ("y", ctypes.c_uint32), ("z", ctypes.c_uint32))


class _Buffer(ctypes.Structure):
    _fields_ = (("begin", ctypes.c_void_p), ("bytes", ctypes.c_size_t), ("name", ctypes.c_char_p))


class _Launch(ctypes.Structure):
    _fields_ = (
        ("grid", _Dim), ("block", _Dim), ("cluster", ctypes.c_uint32), ("cooperative", ctypes.c_uint32),
        ("shared_bytes", ctypes.c_uint32), ("order", ctypes.c_uint32), ("seed", ctypes.c_uint64),
        ("limit", ctypes.c_uint64), ("bands", ctypes.c_uint64), ("buffer_count", ctypes.c_uint64),
        ("buffers", ctypes.POINTER(_Buffer)), ("arguments", ctypes.c_void_p),
    )  # fmt: skip


def pack(values: Mapping[str, Any]) -> Array:
    """values, in the order of the kernel's struct, as one record laid out like C: arrays become pointers."""
    fields: list[tuple[str, Any]] = []
    for name, value in values.items():
        if not isinstance(value, np.ndarray | np.generic):
            raise TypeError(f"argument {name!r} is a {type(value).__name__}: expected a NumPy array or a NumPy scalar")
        fields.append((name, np.uint64 if isinstance(value, np.ndarray) else value.dtype))
    record = np.zeros((), np.dtype(fields, align=True))
    for name, value in values.items():
        record[name] = value.ctypes.data if isinstance(value, np.ndarray) else value
    return record


class _Guarded:
    """A copy of an array between two bands of poison."""

    def __init__(self, name: str, array: Array) -> None:
        if not array.flags.c_contiguous:
            raise EmulatorError(f"array {name!r} is not C-contiguous: kernels see only its memory")
        self.name, self.source = name, array
        room = np.full(array.nbytes + 2 * _BAND + 256, _POISON, np.uint8)
        start = _BAND + (-(room.ctypes.data + _BAND)) % 256  # aligned as CUDA's own memory is
        self.room, self.start = room, start
        self.array = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        self.array[...] = array

    def give_back(self) -> None:
        """Checks the bands, and copies the result into the caller's array."""
        before, after = self.room[: self.start], self.room[self.start + self.source.nbytes :]
        for band, side in ((before, "before"), (after, "after")):
            if (band != _POISON).any():
                raise EmulatorError(f"guard band: the kernel wrote {side} array {self.name!r}")
        if self.source.flags.writeable:
            self.source[...] = self.array
        elif self.source.tobytes() != self.array.tobytes():
            raise EmulatorError(f"the kernel wrote into the read-only array {self.name!r}")


def _place(library: Path, offset: str) -> str:
    """file:line of an instruction of the library; empty where addr2line is missing or does not know."""
    tool = shutil.which("addr2line")
    if tool is None or offset == "0":
        return ""
    said = subprocess.run([tool, "-e", str(library), offset], capture_output=True, text=True).stdout.strip()
    return "" if said.startswith("??") else Path(said.split(" (")[0]).name


@dataclass(frozen=True)
class Kernel:
    """A compiled instantiation."""

    library: Path
    name: str
    preload: str = ""  # AddressSanitizer's library: launches run in a child process that has it

    def launch(
        self,
        grid: Sequence[int],
        block: Sequence[int],
        arguments: Mapping[str, Any],
        *,
        shared: int = 0,
        cluster: int = 1,
        cooperative: bool = False,
        schedule: Schedule = SCHEDULES[0],
        limit: int = 2_000_000_000,
    ) -> None:
        """Runs the kernel on copies of the arrays between guard bands, and copies back what it wrote.

        arguments: name -> array or NumPy scalar, in the order of the kernel's struct. shared: bytes of dynamic shared
        memory. cluster: blocks in a cluster, along x. limit: memory accesses after which the launch counts as endless.
        """
        options = {
            "shared": shared,
            "cluster": cluster,
            "cooperative": cooperative,
            "schedule": schedule,
            "limit": limit,
        }
        if self.preload:
            from tests.emulator.child import launch_in_child

            return launch_in_child(self, (grid, block, arguments), options)
        guarded = {k: _Guarded(k, v) for k, v in arguments.items() if isinstance(v, np.ndarray)}
        record = pack({k: guarded[k].array if k in guarded else v for k, v in arguments.items()})
        self.launch_packed(grid, block, record, {k: g.array for k, g in guarded.items()}, bands=_BAND, **options)
        for buffer in guarded.values():
            buffer.give_back()
        return None

    def launch_packed(
        self,
        grid: Sequence[int],
        block: Sequence[int],
        record: Array,
        buffers: Mapping[str, Array],
        *,
        shared: int = 0,
        cluster: int = 1,
        cooperative: bool = False,
        schedule: Schedule = SCHEDULES[0],
        limit: int = 2_000_000_000,
        bands: int = 0,
    ) -> None:
        """As launch, in place: record is the struct with real pointers, buffers is all the memory it may touch.

        bands: bytes around each buffer that belong to nobody else.
        """
        library = ctypes.CDLL(str(self.library))
        expected = int(ctypes.c_size_t(library.emu_sizeof_arguments()).value)
        if record.nbytes != expected:
            raise EmulatorError(
                f"{self.name}: the arguments take {record.nbytes} bytes, the kernel's struct {expected}"
            )
        sizes = [(*d, 1, 1)[:3] for d in (grid, block)]
        self._check(sizes[0], sizes[1], cluster)
        together = int(np.prod(sizes[1])) * (int(np.prod(sizes[0])) if cooperative else cluster)
        if shared > _SHARED or together > _THREADS:
            raise EmulatorError(f"{self.name}: {shared} bytes of shared memory (at most {_SHARED}), {together} threads "
                                f"that live at once (the emulator takes {_THREADS})")  # fmt: skip
        table = (_Buffer * max(1, len(buffers)))(
            *(_Buffer(a.ctypes.data, a.nbytes, n.encode()) for n, a in buffers.items())
        )
        launch = _Launch(
            _Dim(*sizes[0]), _Dim(*sizes[1]), cluster, cooperative, shared, _ORDERS.index(schedule.order),
            schedule.seed, limit, bands, len(buffers), table, record.ctypes.data,
        )  # fmt: skip
        message = ctypes.create_string_buffer(1024)
        with _LOCK:  # a library runs one launch at a time
            failed = library.emu_run(ctypes.byref(launch), message, ctypes.c_size_t(1024))
        if failed:
            offset, text = message.value.decode().split(" ", 1)
            line = f", {place}" if (place := _place(self.library, offset)) else ""
            raise EmulatorError(f"{self.name}: {text}{line} [{schedule.order} {schedule.seed}]")

    def _check(self, grid: tuple[int, ...], block: tuple[int, ...], cluster: int) -> None:
        if min(*grid, *block, cluster) < 1:
            raise EmulatorError(f"{self.name}: empty launch, grid {grid}, block {block}")
        if np.prod(block) > 1024 or block[2] > 64:
            raise EmulatorError(f"{self.name}: a block of {block} has more than 1024 threads (z at most 64)")
        if grid[1] > 65535 or grid[2] > 65535:
            raise EmulatorError(f"{self.name}: grid {grid} is above 65535 in y or z")
        if cluster > 16 or grid[0] % cluster:
            raise EmulatorError(f"{self.name}: grid {grid} is no multiple of clusters of {cluster} (at most 16)")

    def check(
        self,
        grid: Sequence[int],
        block: Sequence[int],
        arguments: Mapping[str, Any],
        *,
        schedules: Sequence[Schedule] = SCHEDULES,
        **options: Any,
    ) -> dict[str, Array]:
        """Launches under every schedule and returns the arrays; raises EmulatorError when two runs differ by a bit."""
        first: dict[str, Array] | None = None
        for schedule in schedules:
            values = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in arguments.items()}
            self.launch(grid, block, values, schedule=schedule, **options)
            arrays = {k: v for k, v in values.items() if isinstance(v, np.ndarray)}
            if first is None:
                first = arrays
            for name, array in arrays.items():
                _compare(self.name, name, first[name], array, schedules[0], schedule)
        assert first is not None
        return first


def _compare(kernel: str, name: str, a: Array, b: Array, first: Schedule, second: Schedule) -> None:
    flat = [np.ascontiguousarray(x).reshape(-1).view(np.uint8).reshape(x.size, -1) for x in (a, b)]
    different = np.flatnonzero((flat[0] != flat[1]).any(axis=1))
    if different.size:
        i = int(different[0])
        x, y = a.reshape(-1)[i], b.reshape(-1)[i]
        poison = " (memory that was read before it was written?)" if x != x and y != y else ""
        raise EmulatorError(
            f"{kernel}: {different.size} of {a.size} elements of {name!r} depend on the schedule: [{i}] is {x} under "
            f"{first.order} {first.seed} and {y} under {second.order} {second.seed}{poison}"
        )
