"""`xpnn bench`: which device is faster for which network, and from which number of rows on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .columns import columns
from .options import device, writable_folder

if TYPE_CHECKING:
    from xpnn.bench.measure import Result
    from xpnn.bench.report import Report

MODELS = ("mlp", "cnn", "lstm", "gru")
LAYERS = (
    "linear", "conv2d", "depthwise_conv2d", "lstm_layer", "gru_layer", "batch_norm2d", "layer_norm", "attention_block",
)  # fmt: skip
PEERS = ("torch", "jax", "sklearn", "thinc", "plain")
SECONDS = 50  # of measuring in all, beside what is done at least


def add_parser(subparsers: Any) -> None:
    """Add `bench [--device cpu,gpu] [--model …] [--layer …] [--peer …] [--quick] [--out DIR] [--json]`."""
    parser = subparsers.add_parser(
        "bench",
        help="measure which device is faster for which network and which number of rows",
        description="Times inference and a training step of networks or layers with 1 to 512 rows, on each device, in about a "
        "minute. Times are those until the result is there. A peer's results are compared with ours before it is timed.",
    )
    parser.add_argument(
        "--device",
        type=_devices,
        help="cpu, gpu, gpu:N, with commas between (default: the CPU, and the GPU if there is one)",
    )
    parser.add_argument(
        "--model", type=_some(MODELS), default=[], help=f"networks of {', '.join(MODELS)} (default: all)"
    )
    parser.add_argument("--layer", type=_some(LAYERS), default=[], help=f"layers of {', '.join(LAYERS)}")
    parser.add_argument(
        "--peer", type=_some(PEERS), default=[], help=f"libraries to compare with, of {', '.join(PEERS)}"
    )
    parser.add_argument(
        "--quick", action="store_true", help="1 and 8 rows, few repetitions: to see that everything works"
    )
    parser.add_argument("--out", type=writable_folder, metavar="DIR", help="write bench.json, bench.md and pictures")
    parser.add_argument("--json", action="store_true", help="print bench.json instead of the table")
    parser.set_defaults(run=run)


def _some(known: Sequence[str]) -> Callable[[str], list[str]]:
    """The type of an option that takes some of the known words, with commas between."""

    def some(text: str) -> list[str]:
        from xpnn.bench.grid import words

        found = words(text)
        unknown = [word for word in found if word not in known] or ([] if found else [text])
        if unknown:
            raise argparse.ArgumentTypeError(
                f"expected some of {', '.join(known)}, got {', '.join(map(repr, unknown))}"
            )
        return found

    return some


def _devices(text: str) -> list[str]:
    from xpnn.backend import resolve
    from xpnn.bench.grid import words

    return list(dict.fromkeys(resolve("auto") if name == "auto" else device(name) for name in words(text) or [text]))


def run(args: argparse.Namespace) -> int:
    """Measure, write the files, print the table (or JSON); 1 if a peer's results were not ours."""
    from xpnn.backend import gpu_is_available
    from xpnn.bench import devices
    from xpnn.bench.grid import load_peers
    from xpnn.bench.grid import run as run_grid
    from xpnn.bench.measure import Pace
    from xpnn.errors import package_folder
    from xpnn.train.progress import Progress

    names = args.device or (["cpu", "gpu:0"] if gpu_is_available() else ["cpu"])
    if args.out:
        package_folder("matplotlib", "examples")
    for name in names:  # what cannot be had is said before anything is measured
        load_peers(args.peer, name)
    entries = _entries(args)
    total = 2 * len(entries) * len(names)
    pace = Pace.quick(wait=True) if args.quick else Pace(SECONDS / total, 5, wait=True)
    with Progress(total, (sys.stderr.isatty() or not args.json) and "xpnn bench", unit="measurement") as bar:
        where = [devices.device(name) for name in names]
        report = run_grid(
            entries, where, args.peer, pace, args.quick, lambda r: bar.tick(f"{r.case} {r.mode} {r.device}")
        )
    if args.out:
        _write(report, args)
    print(report.json() if args.json else table(report), end="")
    for result in report.results:
        if result.problem:
            print(f"xpnn: not timed: {result.problem}", file=sys.stderr)
    return 1 if any(result.problem for result in report.results) else 0


def _entries(args: argparse.Namespace) -> list[Any]:
    from functools import partial

    from xpnn.bench.grid import Entry
    from xpnn.bench.networks import SIZES, layers, networks

    models = args.model or ([] if args.layer else MODELS)
    found = [*(networks()[name] for name in models), *(layers()[name] for name in args.layer)]
    sizes = SIZES[:2] if args.quick else SIZES
    return [Entry(n.name, f"{n.name} N={rows}", partial(n.jobs, rows=rows)) for n in found for rows in sizes]


def _write(report: Report, args: argparse.Namespace) -> None:
    from xpnn.bench.plots import draw

    report.write(args.out, "bench")
    draw(report, args.out, "bench")


def table(report: Report) -> str:
    """A line a network, mode and number of rows: milliseconds by device and peer; then from where on a GPU is faster."""
    from xpnn.bench.crossover import crossover, verdict

    devices, peers = list(report.limits), list(report.peers)
    cells: dict[tuple[str, str, int], dict[str, str]] = {}
    for result in report.results:
        if result.ms is not None and result.size is not None:
            row = cells.setdefault((result.group, result.mode, result.size), {})
            row[result.device] = _ms(result.ms)
            row |= {f"{p} {result.device}": f"{_ms(f.ms)} ({f.ratio:.2f})" for p, f in result.peers.items()}
    heads = [*devices, *(f"{peer} {device}" for peer in peers for device in devices)]
    names = [f"{name} ms" if name in devices else f"{name} ms (ratio)" for name in heads]
    rows = [["network", "mode", "rows", *names, *(["faster"] if len(devices) > 1 else [])]]
    times = {(r.group, r.mode, r.size, r.device): r.ms for r in report.results if r.ms is not None}
    for (group, mode, size), row in sorted(cells.items(), key=lambda item: _order(report.results, item[0])):
        line = [group, mode, str(size), *(row.get(name, "") for name in heads)]
        rows.append(line + ([_fastest(times, (group, mode, size), devices)] if len(devices) > 1 else []))
    lines = [columns(rows)]
    lines += [f"{g}, {m}: {verdict(line, gpu)}\n" for (g, m, gpu), line in crossover(report.results).items()]
    if peers:
        lines.append("ratio: the peer's time over ours; above 1 xpnn is faster\n")
    return "".join(lines)


def _order(results: Sequence[Result], key: tuple[str, str, int]) -> tuple[int, str, int]:
    """Networks as they came, then by mode and rows."""
    group, mode, size = key
    return [result.group for result in results].index(group), mode, size


def _fastest(times: dict[Any, float], key: tuple[str, str, int], devices: Sequence[str]) -> str:
    there = [device for device in devices if (*key, device) in times]
    best = min(there, key=lambda device: times[*key, device])
    worst = max(times[*key, device] for device in there)
    return f"{best}, {worst / times[*key, best]:.1f} times"


def _ms(x: float) -> str:
    return f"{x:.3g}" if x < 1000 else f"{x:.0f}"
