"""A grid of cases on one device or several, against peers: the loop behind `xpnn bench` and `python -m benchmarks`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..backend import on_device
from ..errors import BackendError, MissingExtraError
from . import peers
from .case import Job
from .devices import Device
from .limits import limits
from .measure import Pace, Result, measured
from .report import Report

__all__ = ["Entry", "load_peers", "run", "words"]


@dataclass(frozen=True)
class Entry:
    """A case: its group, its name, and what gives its jobs on a device with some peers."""

    group: str
    name: str
    jobs: Callable[[Device, Sequence[peers.Peer]], list[Job]]


def run(
    entries: Sequence[Entry],
    devices: Sequence[Device],
    wanted: Sequence[str] | None,
    pace: Pace,
    quick: bool,
    seen: Callable[[Result], None],
) -> Report:
    """Measures each entry on each device, and shows each result at once.

    wanted: names of peers, which raise if they cannot be had; None for all that can.
    """
    results: list[Result] = []
    limit, versions, missing = {}, dict[str, str](), dict[str, str]()
    for device in devices:
        with on_device(device.name):
            present, absent = load_peers(wanted, device.name)
            versions |= {peer.name: peer.version for peer in present}
            missing |= absent
            limit[device.name] = limits(device, quick)
            for entry in entries:
                jobs = functools.partial(entry.jobs, device, present)
                for result in measured(entry.group, entry.name, jobs, device, pace, limit[device.name]):
                    results.append(result)
                    seen(result)
    return Report.of(results, limit, versions, missing, quick)


def load_peers(wanted: Sequence[str] | None, device: str) -> tuple[list[peers.Peer], dict[str, str]]:
    """The peers for a device, and why others are left out; those asked for by name raise instead."""
    present, missing = [], {}
    for name in peers.NAMES if wanted is None else wanted:
        try:
            present.append(peers.load(name, device))
        except (BackendError, MissingExtraError) as error:
            if wanted is not None:
                raise
            missing[name] = str(error)
    return present, missing


def words(text: str | None) -> list[str]:
    """ "a,b" -> ["a", "b"], each once."""
    return list(dict.fromkeys(word for word in (text or "").split(",") if word))
