"""Batches brought to a device ahead of their use."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sized
from typing import Any

from .. import tree
from ..backend import asarray, device_of, get_backend, resolve
from ..cuda.copies import Copier
from ..namespace.libraries import is_array

__all__ = ["Prefetch", "prefetch"]


class Prefetch:
    """What ``prefetch`` returns: iterate over it as often as over the batches; len() is theirs."""

    def __init__(self, batches: Iterable[Any], device: str, depth: int) -> None:
        self.batches = batches
        self.device = device
        self.depth = depth

    def __len__(self) -> int:
        if not isinstance(self.batches, Sized):
            raise TypeError(f"{type(self.batches).__name__} has no length")
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        if self.device == "cpu":
            return (tree.map(self._moved, batch) for batch in self.batches)
        return self._ahead(Copier(int(self.device.removeprefix("gpu:"))))

    def _ahead(self, copier: Copier) -> Iterator[Any]:
        flying: deque[Any] = deque()
        try:
            for batch in self.batches:
                flying.append(copier.start(tree.map(self._from_other_gpus, batch)))
                if len(flying) > self.depth:
                    yield copier.finish(flying.popleft())
            while flying:
                yield copier.finish(flying.popleft())
        finally:  # memory of copies that nobody took must not be used again before they are through
            for copy in flying:
                copier.finish(copy)

    def _moved(self, x: Any) -> Any:
        return asarray(x, device=self.device) if is_array(x) else x

    def _from_other_gpus(self, x: Any) -> Any:
        return self._moved(x) if device_of(x) not in ("cpu", self.device) else x


def prefetch(batches: Iterable[Any], device: str | None = None, depth: int = 2) -> Prefetch:
    """The batches with their arrays on a device, by default the current backend: ``for x, y in prefetch(batches(…), "gpu")``.

    On a GPU the copies of the next ``depth`` batches go on while it computes: from pinned memory, on a stream of their own,
    without making the host wait. Arrays that are there already stay as they are, and so does what is no array.
    """
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 0:
        raise ValueError(f"depth: expected an integer of 0 or more, got {depth!r}")
    return Prefetch(batches, get_backend() if device is None else resolve(device), depth)
