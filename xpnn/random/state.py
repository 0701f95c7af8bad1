"""The stream of keys behind everything that is not given a key."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from xpnn.random.key import Key, whole


class KeyStream:
    """Keys one after another: number i is `Key(seed).fold(i)`. Threads may share it."""

    def __init__(self, seed: int | None = None, count: int = 0) -> None:
        self._lock = threading.Lock()
        self._seed, self._count = seed, count

    def next(self) -> Key:
        """The next key of the stream."""
        with self._lock:
            seed, count = self._origin(), self._count
            self._count += 1
        return Key(seed).fold(count)

    def state(self) -> dict[str, int]:
        """Where the stream stands."""
        with self._lock:
            return {"seed": self._origin(), "count": self._count}

    def move(self, seed: int, count: int = 0) -> None:
        """Stand elsewhere."""
        with self._lock:
            self._seed, self._count = seed, count

    def _origin(self) -> int:
        if self._seed is None:
            self._seed = int.from_bytes(os.urandom(8), "little")
        return self._seed


_process = KeyStream()
_override: ContextVar[KeyStream | None] = ContextVar("xpnn_random_stream", default=None)


def _current() -> KeyStream:
    return _override.get() or _process


def seed(n: int) -> None:
    """Begin the stream of keys anew from `n` (0 <= n < 2**64): what follows is reproducible bit for bit.

    Without it a process draws its own seed from the operating system at first use; `get_state` shows it.
    """
    _current().move(whole("n", n, 64))


def next_key() -> Key:
    """A key that was not given out before: number i after `seed(n)` is `Key(n).fold(i)`."""
    return _current().next()


def get_state() -> dict[str, int]:
    """Where the stream of keys stands: `{"seed": ..., "count": ...}`, plain integers for a checkpoint file."""
    return _current().state()


def set_state(state: Mapping[str, int]) -> None:
    """Return to a place that `get_state` gave."""
    _current().move(*_read(state))


@contextmanager
def replay(state: Mapping[str, int]) -> Iterator[None]:
    """Give out the keys that follow `state` inside the block, and go on outside as if nothing had been drawn.

    Only this thread (or asyncio task) sees it; a thread started inside uses the stream of the process. `seed` and
    `set_state` inside move the replayed stream.
    """
    token = _override.set(KeyStream(*_read(state)))
    try:
        yield
    finally:
        _override.reset(token)


def _read(state: Mapping[str, int]) -> tuple[int, int]:
    if not isinstance(state, Mapping) or set(state) != {"seed", "count"}:
        raise ValueError(f"state: expected what get_state() gave, a dict of 'seed' and 'count', got {state!r}")
    return whole("seed", state["seed"], 64), whole("count", state["count"], 62)
