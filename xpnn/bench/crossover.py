"""Which device is faster for which size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .measure import Result

__all__ = ["Line", "crossover", "curves", "verdict"]


@dataclass(frozen=True)
class Line:
    """Time of the CPU over that of a GPU, by number of rows."""

    sizes: tuple[int, ...]
    ratios: tuple[float, ...]

    def crossing(self) -> float | None:
        """The number of rows from which on the GPU stays faster, between the sizes by their logarithms; None if never."""
        if self.ratios[-1] < 1:
            return None
        last = max((i for i, ratio in enumerate(self.ratios) if ratio < 1), default=-1)
        if last < 0:
            return float(self.sizes[0])
        a, b = (math.log(ratio) for ratio in self.ratios[last : last + 2])
        low, high = (math.log(size) for size in self.sizes[last : last + 2])
        return math.exp(low + (high - low) * a / (a - b))


def curves(results: Sequence[Result]) -> dict[tuple[str, str], dict[str, list[tuple[int, float]]]]:
    """{(group, mode): {device or peer: [(size, ms), …]}} of the results at several sizes."""
    found: dict[tuple[str, str], dict[str, list[tuple[int, float]]]] = {}
    for r in sorted((r for r in results if r.size is not None), key=lambda r: r.size or 0):
        if r.size is not None and r.ms is not None:
            lines = found.setdefault((r.group, r.mode), {})
            lines.setdefault(f"xpnn, {r.device}", []).append((r.size, r.ms))
            for name, peer in r.peers.items():
                lines.setdefault(f"{name}, {r.device}", []).append((r.size, peer.ms))
    several = {key: lines for key, lines in found.items() if any(len(line) > 1 for line in lines.values())}
    order = list(dict.fromkeys((r.group, r.mode) for r in results))
    return {key: several[key] for key in order if key in several}


def crossover(results: Sequence[Result]) -> dict[tuple[str, str, str], Line]:
    """{(group, mode, GPU): Line} of what was measured on the CPU and on a GPU at the same sizes."""
    times = {(r.group, r.mode, r.device, r.size): r.ms for r in results if r.size is not None and r.ms is not None}
    found = {}
    for group, mode, gpu in dict.fromkeys((g, m, d) for g, m, d, _ in times if d != "cpu"):
        sizes = sorted(s for g, m, d, s in times if (g, m, d) == (group, mode, gpu) and s is not None)
        both = tuple(s for s in sizes if (group, mode, "cpu", s) in times)
        if both:
            ratios = tuple(times[group, mode, "cpu", s] / times[group, mode, gpu, s] for s in both)
            found[group, mode, gpu] = Line(both, ratios)
    return found


def verdict(line: Line, gpu: str) -> str:
    """A line in words."""
    crossing = line.crossing()
    if crossing is None:
        return f"the CPU is faster up to {line.sizes[-1]} rows"
    if crossing <= line.sizes[0]:
        return f"{gpu} is faster from {line.sizes[0]} rows on, {line.ratios[-1]:.1f} times at {line.sizes[-1]}"
    return f"{gpu} is faster from about {crossing:.0f} rows on, {line.ratios[-1]:.1f} times at {line.sizes[-1]}"
