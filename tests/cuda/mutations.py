"""Faults planted in kernels: what the emulator builds is a changed source, and a test has to see it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.emulator import EmulatorError, Kernel
from tests.emulator.build import build

from . import emulated

__all__ = ["behind_head", "holds", "plant"]


def plant(monkeypatch: pytest.MonkeyPatch, change: Callable[[str, str], str | None]) -> list[str]:
    """Kernels are built from what change(source, entry) returns, or as they are where that is None; the entries that it changed."""
    planted: list[str] = []

    def faulty(source: str, entry: str) -> Kernel:
        changed = change(source, entry)
        if changed is None:
            return build(source, entry)
        planted.append(entry)
        return build(changed, entry)

    monkeypatch.setattr(emulated, "build", faulty)
    return planted


def behind_head(source: str, entry: str, place: str, fault: str) -> str | None:
    """The source with a fault in the first such place behind the kernel's head, or before it if there is none; None without one."""
    if place not in source:
        return None
    at = source.find(place, source.index(f" {entry.partition('<')[0]}("))
    at = source.index(place) if at < 0 else at
    return source[:at] + fault + source[at + len(place) :]


def holds(is_right: Callable[[], bool]) -> bool:
    """Whether results are right; what the emulator reports makes them wrong."""
    try:
        return is_right()
    except EmulatorError:
        return False
