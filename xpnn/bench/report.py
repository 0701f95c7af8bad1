"""What a run found, as a JSON document and as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..io import atomic_write
from .limits import Limits
from .machine import describe
from .measure import PeerResult, Result, level

__all__ = ["Report", "markdown", "table"]


@dataclass(frozen=True)
class Report:
    """Results and on what they were found. limits: by device; peers: their versions; missing: why others are left out."""

    results: Sequence[Result]
    limits: Mapping[str, Limits]
    peers: Mapping[str, str]
    missing: Mapping[str, str]
    quick: bool
    machine: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        results: Sequence[Result],
        limits: Mapping[str, Limits],
        peers: Mapping[str, str],
        missing: Mapping[str, str],
        quick: bool,
    ) -> Report:
        """With a description of this machine."""
        machine = describe()
        if any(name != "cpu" for name in limits):
            from ..cuda.timing import describe_gpu

            machine["gpu"] = describe_gpu()
        return cls(results, limits, peers, missing, quick, machine)

    def json(self) -> str:
        return json.dumps({"kind": "cases", **asdict(self)}, indent=2) + "\n"

    def write(self, folder: Path, stem: str) -> None:
        """STEM.json and STEM.md in a folder."""
        atomic_write(folder / f"{stem}.json", self.json().encode())
        atomic_write(folder / f"{stem}.md", markdown(self).encode())

    @classmethod
    def read(cls, path: Path) -> Report:
        """From a file that ``json`` was written to; ValueError if it is another."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found.pop("kind") != "cases":
                raise KeyError("kind")
            found["limits"] = {name: Limits(**values) for name, values in found["limits"].items()}
            found["results"] = [
                Result(**{**r, "peers": {name: PeerResult(**values) for name, values in r["peers"].items()}})
                for r in found["results"]
            ]
            return cls(**found)
        except (AttributeError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path}: expected a file written by python -m benchmarks or xpnn bench") from error


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def markdown(report: Report) -> str:
    """The whole report: machine, limits, score, one row a case and mode, and what was not timed."""
    parts = [f"# Benchmarks\n\n{_machine(report)}\n"]
    for peer in report.peers:
        score = level(report.results, peer)
        if score["cells"]:
            parts.append(f"{score_line(peer, score)}\n")
    timed = [result for result in report.results if result.problem is None]
    head = ["case", "mode", "device", "xpnn ms", "GFLOP/s", "GB/s", "of the limit"]
    head += [f"{peer} ms, ratio (quartiles)" for peer in report.peers]
    parts.append(table(head, [_row(result, list(report.peers)) for result in timed]))
    problems = [f"- not timed: {result.problem}" for result in report.results if result.problem]
    return "\n".join([*parts, *problems]).rstrip() + "\n"


def score_line(peer: str, score: Mapping[str, Any]) -> str:
    """The score against a peer in words."""
    return (
        f"{peer}: geometric mean of its time over ours {score['geometric_mean']:.2f}, worst {score['worst']:.2f}, "
        f"{score['at_1_or_better']} of {score['cells']} at 1 or better."
    )


def _machine(report: Report) -> str:
    machine = report.machine
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads; "
        + ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
        + f"; commit {machine['commit'] or 'unknown'}."
    ]
    lines += [
        f"Limits of {name}, measured in this run: a copy {limits.copy / 1e9:.1f} GB/s, a product {limits.gemm / 1e9:.0f} GFLOP/s."
        for name, limits in report.limits.items()
    ]
    lines += [f"Left out: {name} ({why})." for name, why in report.missing.items()]
    if report.quick:
        lines.append("A quick run: it shows that everything runs, its times mean little.")
    return "\n".join(lines)


def _row(result: Result, peers: Sequence[str]) -> list[str]:
    numbers = [_number(result.ms), _number(result.gflops), _number(result.gbps)]
    share = "" if result.share is None else f"{result.share:.0%}"
    return [result.case, result.mode, result.device, *numbers, share, *(_peer(result.peers.get(p)) for p in peers)]


def _number(x: float | None) -> str:
    return "" if x is None else f"{x:.3g}" if x < 1000 else f"{x:.0f}"


def _peer(found: PeerResult | None) -> str:
    return "" if found is None else f"{_number(found.ms)}, **{found.ratio:.2f}** ({found.low:.2f}-{found.high:.2f})"
