"""`xpnn demo`: trains the networks that tutorials begin with, on real data, and shows what they learned."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from xpnn.cli.columns import columns
from xpnn.cli.options import device, writable_folder

NAMES = ("dnn", "cnn", "lstm", "gru")


def add_parser(subparsers: Any) -> None:
    """Add `demo [NETWORK …] [--device D] [--quick] [--seed N] [--out DIR] [--json]`."""
    parser = subparsers.add_parser(
        "demo",
        help="train a deep, a convolutional, an LSTM and a GRU network on real data",
        description="Trains networks on real data: dnn and cnn on handwritten digits, lstm on spoken vowels of varying length, "
        "gru on the electricity demand of the next half hour. Writes weights, learning curves, predictions and results.json.",
    )
    parser.add_argument(
        "network", nargs="?", default="all", choices=[*NAMES, "all"], help="which network (default: all)"
    )
    parser.add_argument("--device", type=device, default="auto", help="auto, cpu, gpu or gpu:N (default: auto)")
    parser.add_argument("--quick", action="store_true", help="few epochs on little data: to see that everything works")
    parser.add_argument("--seed", type=_seed, default=0, help="seed of the random numbers (default: 0)")
    parser.add_argument(
        "--out", type=writable_folder, metavar="DIR", help="folder for the files (default: ./xpnn-demo)"
    )
    parser.add_argument("--json", action="store_true", help="print results.json instead of the table")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Train, write the files, print the table (or JSON)."""
    from xpnn import backend
    from xpnn.demos import demos
    from xpnn.demos.demo import Settings, report, write_files
    from xpnn.errors import package_folder
    from xpnn.io import atomic_write

    folder = args.out or writable_folder("xpnn-demo")
    chosen = [demos()[name] for name in (NAMES if args.network == "all" else (args.network,))]
    for package in ("matplotlib", *(package for demo in chosen for package in demo.packages)):
        package_folder(package, "examples")
    settings = Settings(seed=args.seed, quick=args.quick, progress=sys.stderr.isatty() or not args.json)
    results: list[dict[str, Any]] = []
    with backend(args.device) as where:
        for demo in chosen:
            outcome = demo.run(settings)
            write_files(demo, outcome, folder)
            results.append(report(demo, outcome, where))
    text = json.dumps(results, indent=2) + "\n"
    atomic_write(folder / "results.json", text.encode())
    print(text if args.json else _table(results, folder), end="")


def _seed(text: str) -> int:
    try:
        seed = int(text)
    except ValueError:
        seed = -1
    if not 0 <= seed < 2**64:
        raise argparse.ArgumentTypeError(f"expected an integer from 0 to 2**64 - 1, got {text!r}")
    return seed


def _table(results: list[dict[str, Any]], folder: Path) -> str:
    """The results as aligned columns, and where the files are."""
    head = ["network", "data", "parameters", "device", "seconds", "result", "baseline"]
    rows = [head] + [
        [
            r["network"],
            r["data"],
            f"{r['parameters']:,}",
            r["device"],
            f"{r['seconds']:.1f}",
            f"{r['metric']} {r['result']:.4g}",
            f"{r['baseline']:.4g} ({r['baseline_is']})",
        ]
        for r in results
    ]
    return columns(rows) + f"Curves, predictions, weights and results.json are in {folder}/\n"
