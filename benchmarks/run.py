"""The whole grid against the peers: results are compared first, then all are timed in turns.

Operations are timed forward (inference) and forward and backward with the gradients of all floating-point arguments, networks and
layers in inference and in a training step. What counts is the ratio of a peer's time to ours, taken pair by pair: above 1 xpnn
is faster. On a GPU it is the GPU's time, with a cold cache; beside it stand the time of the Python call, and for our own
kernels the bytes a second that they move.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import xpnn
from xpnn.bench import peers
from xpnn.bench.compare import compare
from xpnn.bench.devices import device
from xpnn.bench.grid import Entry, run, words
from xpnn.bench.measure import Pace, Result, level
from xpnn.bench.report import Report, score_line

from .registry import chosen, entries

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
        names = chosen([*options.names, *words(options.case)])
        found = [entry for name in names for entry in entries(name, options.quick)]
        if options.list:
            print("\n".join(f"{entry.group}: {entry.name}" for entry in found))
            return 0
        report = _measured(found, options)
    except (OSError, ValueError, xpnn.BackendError, xpnn.MissingExtraError) as error:
        parser.error(" ".join(str(error).split()))
    if options.out is not None:
        _write(report, options)
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


def _measured(found: Sequence[Entry], options: argparse.Namespace) -> Report:
    """All results, a line for each, and the score."""
    pace = Pace.quick() if options.quick else Pace()
    wanted = words(options.peer) or None
    report = run(
        found, [device(options.device)], wanted, pace, options.quick, lambda result: print(line(result), flush=True)
    )
    for name, why in report.missing.items():
        print(f"{name} was left out: {why}", file=sys.stderr)
    for peer in report.peers:
        score = level(report.results, peer)
        if score["cells"]:
            print(score_line(peer, score))
    return report


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


def _write(report: Report, options: argparse.Namespace) -> None:
    """JSON, Markdown and, where matplotlib is installed, pictures."""
    options.out.mkdir(parents=True, exist_ok=True)
    stem = f"{options.device.replace(':', '')}-cases"
    report.write(options.out, stem)
    try:
        from xpnn.bench.plots import draw

        draw(report, options.out, stem)
    except xpnn.MissingExtraError as error:
        print(f"no pictures: {error}", file=sys.stderr)
