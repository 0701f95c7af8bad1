"""Which of several plans a launch takes: that of the model of costs, or what xpnn.tune() found to be faster on this GPU.

A choice is between candidates that give the same results up to the order of sums. What was found lies in a file for each kind of
GPU and state of the kernels, in $XPNN_CACHE or ~/.cache/xpnn; where there is none, nothing is read and the model decides.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from . import launch
from .arguments import Arguments
from .plan import Plan
from .source import kernel_folder

__all__ = ["Tuning", "choice", "current_device", "file_of", "forget", "known", "tuning"]

Candidate = TypeVar("Candidate")
Clock = Callable[[Callable[[], None]], float]

# A candidate replaces that of the model if it takes at most this share of its time.
_CLEARLY = 0.97

_session: ContextVar[Tuning | None] = ContextVar("xpnn_tuning", default=None)


def choice(key: tuple[Any, ...], candidates: Callable[[], Sequence[Candidate]], model: Candidate) -> Candidate:
    """One of the candidates, of which the model's is one; key: what distinguishes this choice from all others."""
    session = _session.get()
    if session is not None:
        return session.turn(repr(key), candidates(), model)  # type: ignore[no-any-return]
    name = known(current_device()).get(repr(key)) if _has_folder() else None
    return model if name is None else next((c for c in candidates() if repr(c) == name), model)


class Tuning:
    """Lets the choices of repeated runs take turns, and keeps how long the launch behind each took, by the clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.number = 0
        self.most = 1  # candidates that a choice has
        self.models: dict[str, str] = {}
        self.times: dict[str, dict[str, list[float]]] = {}
        self._current: tuple[str, str] | None = None

    def turn(self, key: str, candidates: Sequence[Any], model: Any) -> Any:
        self.most = max(self.most, len(candidates))
        self.models[key] = repr(model)
        chosen = candidates[self.number % len(candidates)]
        self._current = key, repr(chosen)
        return chosen

    def faster(self) -> dict[str, tuple[str, float]]:
        """By key, the candidate that is clearly faster than the model's, and its share of that one's time."""
        found = {}
        for key, times in self.times.items():
            medians = {name: statistics.median(seconds) for name, seconds in times.items()}
            best = min(medians, key=medians.__getitem__)
            share = medians[best] / medians[self.models[key]]
            if share <= _CLEARLY:
                found[key] = best, share
        return found

    @contextmanager
    def running(self, timed: bool) -> Iterator[None]:
        """Inside, choices take their turns, and if ``timed`` the launch after each is timed."""
        inner = launch.current()

        def execute(plan: Plan, arguments: Arguments) -> None:
            current, self._current = self._current, None
            if current is None or not timed:
                return inner(plan, arguments)
            seconds = self.clock(lambda: inner(plan, arguments))
            self.times.setdefault(current[0], {}).setdefault(current[1], []).append(seconds)
            return None

        token = _session.set(self)
        try:
            with launch.executing(execute):
                yield
        finally:
            _session.reset(token)


def tuning(run: Callable[[], Any], clock: Clock, rounds: int) -> Tuning:
    """Runs the function until each candidate of each choice was timed ``rounds`` times, after a run that is not timed."""
    session = Tuning(clock)
    for timed in (False, *(True,) * rounds):
        session.number = 0
        while session.number < session.most:
            with session.running(timed):
                run()
            session.number += 1
    return session


def file_of(device: str) -> Path:
    """Where the choices for a kind of GPU lie: another state of the kernels has another file."""
    name = "".join(c if c.isalnum() else "-" for c in device)
    return _folder() / f"{name}-{_state()}.json"


def forget() -> None:
    """Choices are read from their file again."""
    known.cache_clear()
    _has_folder.cache_clear()


def _folder() -> Path:
    given = os.environ.get("XPNN_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "xpnn"


@functools.cache
def _has_folder() -> bool:
    return _folder().is_dir()


@functools.cache
def _state() -> str:
    """A hash of the kernels' sources."""
    files = sorted(kernel_folder().glob("*.cu*"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


@functools.cache
def known(device: str | None) -> dict[str, str]:
    """The choices of a file; none if there is no file, or none that can be read: they only cost time."""
    if device is None:
        return {}
    try:
        found = json.loads(file_of(device).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def current_device() -> str | None:
    """The name of the current GPU, None without one."""
    try:
        import cupy

        return _name(cupy.cuda.runtime.getDevice())
    except Exception:  # no CuPy, no driver, no GPU
        return None


@functools.cache
def _name(device: int) -> str:
    import cupy

    return str(cupy.cuda.runtime.getDeviceProperties(device)["name"].decode())
