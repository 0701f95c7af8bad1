"""Memory of the current device: what is free, what CuPy's pool holds, and how to give it back."""

from __future__ import annotations

import os
from typing import NamedTuple

from ..backend import get_backend, on_device

__all__ = ["MemoryInfo", "empty_cache", "memory_info"]


class MemoryInfo(NamedTuple):
    """Bytes of a device: in all, free for everybody, in arrays of this process, and held by its pool (those included)."""

    device: str
    total: int
    free: int
    used: int
    held: int


def memory_info() -> MemoryInfo:
    """The memory of the device on which new arrays are made; the CPU has no pool, so that used and held are 0 there.

    Held memory is not lost: new arrays come from it first. ``empty_cache`` gives back what no array uses.
    """
    device = get_backend()
    if device == "cpu":
        page, total, free = (os.sysconf(name) for name in ("SC_PAGE_SIZE", "SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
        return MemoryInfo(device, page * total, page * free, 0, 0)
    with on_device(device):
        import cupy

        free, total = cupy.cuda.runtime.memGetInfo()
        pool = cupy.get_default_memory_pool()
        return MemoryInfo(device, total, free, pool.used_bytes(), pool.total_bytes())


def empty_cache() -> None:
    """Gives memory that no array uses back to the device, and pinned memory back to the host; on the CPU there is none to give."""
    device = get_backend()
    if device == "cpu":
        return
    with on_device(device):
        import cupy

        cupy.get_default_memory_pool().free_all_blocks()
        cupy.get_default_pinned_memory_pool().free_all_blocks()
