"""tune: which plans are fastest on this GPU, measured once and kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ..backend import get_backend
from ..cuda import tuning
from ..cuda.timing import Stopwatch
from ..io.atomic import atomic_write
from ..nn.module import Module
from .warmup import both_ways

__all__ = ["tune"]


def tune(f: Callable[..., Any], *args: Any, rounds: int = 7) -> list[str]:
    """Times the plans between which convolutions can choose (tiles, and blocks that share a sum), and keeps the fastest.

    f: a model, which is run forward and backward, or a function of the arguments. It is called ``rounds`` times and once more
    for each plan. What is clearly faster than the plan of the model of costs is written to a file, in $XPNN_CACHE or
    ~/.cache/xpnn, for this kind of GPU, these kernels and exactly these shapes; later calls, of later programs too, take it.
    Results change by no more than the order of sums. Returns a line for each choice that was changed.
    Raises ValueError without a GPU.
    """
    if not isinstance(rounds, int) or rounds < 1:
        raise ValueError(f"rounds: expected an integer of at least 1, got {rounds!r}")
    device = tuning.current_device()
    if device is None:
        raise ValueError(f"tune: expected a GPU whose plans can be timed, but the backend is {get_backend()}")
    run = both_ways(f) if isinstance(f, Module) else f
    watch = Stopwatch()
    found = tuning.tuning(lambda: run(*args), lambda call: watch.once(call)[0], rounds).faster()
    _keep(device, {key: name for key, (name, _) in found.items()})
    return [f"{key}: {name} takes {share:.0%} of the time" for key, (name, share) in found.items()]


def _keep(device: str, choices: dict[str, str]) -> None:
    """Adds choices to the file of a kind of GPU."""
    path = tuning.file_of(device)
    path.parent.mkdir(parents=True, exist_ok=True)
    tuning.forget()
    known = tuning.known(device)
    atomic_write(path, (json.dumps({**known, **choices}, indent=2, sort_keys=True) + "\n").encode())
    tuning.forget()
