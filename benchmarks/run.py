"""The whole grid against the peers: results are compared first, then all are timed in turns.

Operations are timed forward (inference) and forward and backward with the gradients of all floating-point arguments, networks and
layers in inference and in a training step. What counts is the ratio of a peer's time to ours, taken pair by pair: above 1 xpnn
is faster. On a GPU it is the GPU's time, with a cold cache; beside it stand the time of the Python call, and for our own
kernels the bytes a second that they move.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path

import xpnn
from xpnn.backend import on_device
from xpnn.bench import peers
from xpnn.bench.compare import compare
from xpnn.bench.devices import Device, device
from xpnn.bench.limits import limits
from xpnn.bench.measure import Pace, Result, level, measured
from xpnn.bench.report import Report, markdown, score_line
from xpnn.io import atomic_write

from .registry import Entry, chosen, entries

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        if options.compare:
            old, *new = (Report.read(path) for path in options.compare[:2])
            if new:
                print(compare(old, new[0]), end="")
                return 0
        names = chosen([*options.names, *_words(options.case)])
        found = [entry for name in names for entry in entries(name, options.quick)]
        if options.list:
            print("\n".join(f"{entry.group}: {entry.name}" for entry in found))
            return 0
        report = run(found, device(options.device), _words(options.peer), options.quick)
    except (OSError, ValueError, xpnn.BackendError, xpnn.MissingExtraError) as error:
        parser.error(" ".join(str(error).split()))
    if options.out is not None:
        write(report, options.out, f"{options.device.replace(':', '')}-cases")
    if options.compare:
        print(compare(old, report), end="")
    return 1 if any(result.problem for result in report.results) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help="as --case")
    parser.add_argument(
        "--case", help="names with commas between: ops, networks, layers, or those of --list (default: all)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, gpu or gpu:N (default: cpu)")
    parser.add_argument(
        "--peer", help=f"of {', '.join(peers.NAMES)}, with commas between (default: all installed ones)"
    )
    parser.add_argument("--quick", action="store_true", help="few repetitions: does it run, not how fast")
    parser.add_argument("--list", action="store_true", help="print the cases and stop")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write DEVICE-cases.json, .md and pictures into this folder"
    )
    parser.add_argument(
        "--compare", nargs="+", type=Path, metavar="JSON", help="OLD [NEW]: what moved; without NEW since now, by a run"
    )
    return parser


def _words(text: str | None) -> list[str]:
    return [word for word in (text or "").split(",") if word]


def run(found: Sequence[Entry], where: Device, wanted: Sequence[str], quick: bool) -> Report:
    """Measures, printing a line for each result. Peers that were not asked for by name may be missing."""
    present, missing = _peers(wanted, where.name)
    for name, why in missing.items():
        print(f"{name} is left out: {why}", file=sys.stderr)
    pace = Pace.quick() if quick else Pace()
    results: list[Result] = []
    with on_device(where.name):
        limit = limits(where, quick)
        for entry in found:
            jobs = functools.partial(entry.jobs, where, present)
            for result in measured(entry.group, entry.name, jobs, where, pace, limit):
                print(line(result), flush=True)
                results.append(result)
    for peer in present:
        score = level(results, peer.name)
        if score["cells"]:
            print(score_line(peer.name, score))
    return Report.of(results, {where.name: limit}, {peer.name: peer.version for peer in present}, missing, quick)


def _peers(wanted: Sequence[str], where: str) -> tuple[list[peers.Peer], dict[str, str]]:
    present, missing = [], {}
    for name in wanted or peers.NAMES:
        try:
            present.append(peers.load(name, where))
        except (xpnn.MissingExtraError, xpnn.BackendError) as error:
            if wanted:
                raise
            missing[name] = str(error)
    return present, missing


def line(result: Result) -> str:
    """A result in a line of the terminal."""
    if result.ms is None:
        return f"{result.case:44s} NOT TIMED: {result.problem}"
    numbers = [f"{result.case:44s} {result.mode:8s} {result.ms:9.3f} ms"]
    numbers += [f"{name} {peer.ratio:.2f} ({peer.low:.2f}-{peer.high:.2f})" for name, peer in result.peers.items()]
    if result.gflops is not None:
        numbers.append(f"{result.gflops:.1f} GFLOP/s")
    if result.gbps is not None:
        numbers.append(f"{result.gbps:.1f} GB/s")
    if result.share is not None:
        numbers.append(f"{result.share:.0%} of the limit")
    return "  ".join(numbers)


def write(report: Report, folder: Path, stem: str) -> None:
    """JSON, Markdown and, where matplotlib is installed, pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / f"{stem}.json", report.json().encode())
    atomic_write(folder / f"{stem}.md", markdown(report).encode())
    try:
        from xpnn.bench.plots import draw

        draw(report, folder, stem)
    except xpnn.MissingExtraError as error:
        print(f"no pictures: {error}", file=sys.stderr)
