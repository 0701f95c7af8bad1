"""What moved between two runs: the ratio of ratios where both have a peer, else the ratio of times, with its noise."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .measure import Result
from .report import Report, table

__all__ = ["Move", "compare", "moves"]

_LEAST = 0.05  # a change below this is no news, however quiet the machine


@dataclass(frozen=True)
class Move:
    """How much faster a case is than before (1.1: by a tenth), the band of noise around 1, and what it was measured by."""

    case: str
    mode: str
    device: str
    change: float
    noise: float
    by: str

    @property
    def moved(self) -> bool:
        return not 1 / (1 + self.noise) <= self.change <= 1 + self.noise


def moves(old: Report, new: Report) -> list[Move]:
    """Of each case that both runs timed, those first that became slower."""
    before = {(r.case, r.mode, r.device): r for r in old.results if r.problem is None}
    found = []
    for result in new.results:
        key = result.case, result.mode, result.device
        if result.problem is None and key in before:
            found.append(Move(*key, *_change(before[key], result)))
    return sorted(found, key=lambda move: move.change)


def _change(old: Result, new: Result) -> tuple[float, float, str]:
    """(change, noise, by). A peer in the same run stands still: its ratio takes out what the machine itself changed.

    The noise is the spread of both runs, half the distance of the quartiles of each, as a share.
    """
    shared = [name for name in new.peers if name in old.peers]
    if shared:
        changes = [new.peers[name].ratio / old.peers[name].ratio for name in shared]
        spreads = [_spread(p.low, p.high, p.ratio) for name in shared for p in (old.peers[name], new.peers[name])]
        return statistics.median(changes), max(_LEAST, 2 * max(spreads)), "ratio to " + ", ".join(shared)
    assert old.ms is not None
    assert new.ms is not None
    spread = max(_spread(r.low_ms or r.ms, r.high_ms or r.ms, r.ms) for r in (old, new) if r.ms is not None)
    return old.ms / new.ms, max(_LEAST, 2 * spread), "time"


def _spread(low: float, high: float, middle: float) -> float:
    return (high - low) / 2 / middle


def compare(old: Report, new: Report) -> str:
    """A Markdown table of what moved beyond its noise, and how many did not."""
    found = moves(old, new)
    moved = [move for move in found if move.moved]
    rows = [
        [m.case, m.mode, m.device, f"{m.change:.2f}", f"±{m.noise:.0%}", "faster" if m.change > 1 else "slower", m.by]
        for m in moved
    ]
    words = [f"{len(moved)} of {len(found)} moved beyond their noise."]
    keys: Sequence[set[tuple[str, str]]] = [{(r.case, r.mode) for r in report.results} for report in (old, new)]
    for text, only in (("gone", keys[0] - keys[1]), ("new", keys[1] - keys[0])):
        if only:
            words.append(f"{len(only)} {text}.")
    head = ["case", "mode", "device", "new / old speed", "noise", "", "measured by"]
    return (table(head, rows) + "\n" if rows else "") + " ".join(words) + "\n"
