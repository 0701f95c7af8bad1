"""Counts the calls for which the host would wait for the GPU, and the copies from the host, with the places of both."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["Traffic", "counting", "note_upload", "note_wait"]

_PASSED_OVER = ("tests.cupy_double", "array_api_compat", "array_api_extra")


@dataclass
class Traffic:
    """What happened inside of counting(): "what at module:line" of each."""

    waits: list[str] = field(default_factory=list)
    uploads: list[str] = field(default_factory=list)


_open: list[Traffic] = []


@contextmanager
def counting() -> Iterator[Traffic]:
    """Gives an account that is kept inside the block; blocks nest."""
    traffic = Traffic()
    _open.append(traffic)
    try:
        yield traffic
    finally:
        _open.remove(traffic)


def note_wait(what: str) -> None:
    """The host needs a value, or a shape, that only the GPU knows."""
    if _open:
        entry = f"{what} at {_place()}"
        for traffic in _open:
            traffic.waits.append(entry)


def note_upload(what: str) -> None:
    """Memory of the host is copied to the GPU."""
    if _open:
        entry = f"{what} at {_place()}"
        for traffic in _open:
            traffic.uploads.append(entry)


def _place() -> str:
    """The innermost frame that is neither the double's own nor the wrapper's around CuPy."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_PASSED_OVER):
        frame = frame.f_back
    return f"{frame.f_globals.get('__name__')}:{frame.f_lineno}"
