"""Whether compiled loops are to be had, and the threads that share them."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["contiguous", "numbers", "parts", "pool", "refuse", "share", "threads"]

_SINGLE = np.dtype(np.float32)
# Elements below which plain NumPy serves: there the calls decide, and no program should load a compiler for them.
_FEWEST = 1024
# Elements that are worth a thread: handing them over takes some 20 microseconds.
_GRAIN = 1 << 16


def refuse(*arrays: Any, fewest: int | None = None) -> str | None:
    """Why compiled loops do not take these arrays, of which the first is the largest; None among them is passed over."""
    if arrays[0].size < (_FEWEST if fewest is None else fewest):
        return f"{arrays[0].size} elements"
    for x in arrays:
        if x is not None and x.dtype is not _SINGLE and x.dtype != _SINGLE:
            return f"dtype {x.dtype}"
    return _missing()


@functools.cache
def _missing() -> str | None:
    """The environment variable is read once: which loops run does not change under a running program."""
    if os.environ.get("XPNN_COMPILED", "1") == "0":
        return "XPNN_COMPILED=0"
    from importlib.util import find_spec

    return None if find_spec("numba") else "Numba is not installed: pip install 'xpnn[cpu]'"


def contiguous(x: Any) -> Any:
    """x, or None, in memory row by row."""
    return None if x is None else np.ascontiguousarray(x)


@functools.lru_cache(256)
def numbers(count: int) -> Any:
    """0 to count - 1, for what is shared by its number."""
    return np.arange(count)


@functools.cache
def threads() -> int:
    """As many as the libraries beneath NumPy take."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(int(asked), available) if asked.isdecimal() and int(asked) else available


def parts(count: int, size: int) -> int:
    """In how many parts to share ``count`` pieces that have ``size`` elements together."""
    return max(1, min(threads(), count, size // _GRAIN))


def share(loop: Callable[..., None], size: int, shared: Sequence[Any], *arguments: Any) -> None:
    """loop(*shared, *arguments), the first axis of what is shared cut into as many parts as ``size`` elements are worth."""
    count = len(shared[0])
    some = parts(count, size)
    if some == 1:
        loop(*shared, *arguments)
        return
    edges = [count * i // some for i in range(some + 1)]
    cut = [[x[a:b] for x in shared] for a, b in itertools.pairwise(edges)]
    others = [pool().submit(loop, *own, *arguments) for own in cut[1:]]
    loop(*cut[0], *arguments)
    for other in others:
        other.result()


@functools.cache
def pool() -> Any:
    """The threads beside the calling one, a ThreadPoolExecutor."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(max(threads() - 1, 1), "xpnn")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: pool.cache_clear())  # a child has none of its parent's threads
