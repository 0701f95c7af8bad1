"""Copies from the host to a GPU that go on while it computes: from pinned memory, on a stream of their own."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import numpy as np

from .. import tree

__all__ = ["Copier"]


class _Copy(NamedTuple):
    """A tree whose arrays are on their way, and the event that tells of their arrival."""

    tree: Any
    event: Any


class Copier:
    """Brings trees of host arrays to one GPU: ``start`` returns at once, ``finish`` makes the current stream wait, never the host.

    Device memory comes from the pool of the current stream, and the copy waits for what that stream was asked to do before:
    so a block that an earlier batch gave back is not written to while kernels still read it.
    """

    def __init__(self, index: int) -> None:
        import cupy

        self._device = cupy.cuda.Device(index)
        with self._device:
            self._stream = cupy.cuda.Stream(non_blocking=True)
        self._flying: deque[tuple[Any, list[tuple[int, Any]]]] = deque()
        self._free: dict[int, list[Any]] = {}

    def start(self, batch: Any) -> _Copy:
        """Begins to copy the NumPy arrays of a tree; other leaves stay as they are."""
        import cupy

        with self._device:
            pairs: list[tuple[Any, Any]] = []

            def place(x: Any) -> Any:
                if not isinstance(x, np.ndarray):
                    return x
                pairs.append((x, cupy.empty(x.shape, x.dtype)))
                return pairs[-1][1]

            placed = tree.map(place, batch)
            self._stream.wait_event(cupy.cuda.get_current_stream().record())
            event = self._copy(pairs)
        return _Copy(placed, event)

    def finish(self, copy: _Copy) -> Any:
        """The tree, for work that is asked of the current stream from now on."""
        import cupy

        with self._device:
            cupy.cuda.get_current_stream().wait_event(copy.event)
        return copy.tree

    def _copy(self, pairs: list[tuple[Any, Any]]) -> Any:
        self._reclaim()
        rooms = []
        for source, target in pairs:
            if source.nbytes:
                room = self._pinned(source.nbytes)
                staged = np.frombuffer(room, source.dtype, source.size).reshape(source.shape)
                staged[...] = source
                target.set(staged, stream=self._stream)
                rooms.append((source.nbytes, room))
        event = self._stream.record()
        self._flying.append((event, rooms))
        return event

    def _pinned(self, size: int) -> Any:
        """Pinned memory of a size: of copies that have arrived, or new."""
        import cupy

        free = self._free.get(size)
        return free.pop() if free else cupy.cuda.alloc_pinned_memory(size)

    def _reclaim(self) -> None:
        """Takes back the pinned memory of the copies that are known to have arrived; waits for none."""
        while self._flying and self._flying[0][0].done:
            for size, room in self._flying.popleft()[1]:
                self._free.setdefault(size, []).append(room)
