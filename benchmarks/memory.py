"""What a training step needs at its peak: python -m benchmarks.memory [--quick] [--out DIR]

Of the four networks of `xpnn demo`, with xpnn and with torch where it is installed, each in a process of its own on the CPU:
resident memory when all is loaded, and the most that three steps of training need beyond it. Needs /proc, and so Linux.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
from collections.abc import Sequence
from pathlib import Path

from xpnn.bench.networks import networks

from . import child

__all__ = ["CODE", "main", "measure"]

STEPS = 3

# The network of xpnn is built either way, since torch gets its weights; it is not run where torch is measured.
CODE = f"""
import json, sys
from pathlib import Path

from xpnn.bench.devices import Cpu
from xpnn.bench.networks import networks
from xpnn.bench.peers import load

def kilobytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))

library, name, rows = sys.argv[1:]
running, task = networks()[name].prepared(Cpu(), int(rows))
if library != "xpnn":
    running = load(library).network(task, Cpu())
Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts from here
before = kilobytes("VmRSS")
for _ in range({STEPS}):
    running.step()
print(json.dumps([before * 1024, kilobytes("VmHWM") * 1024]))
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.split("\n\n")[1])
    parser.add_argument("--quick", action="store_true", help="few rows, one process each: does it run")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write memory.json into this folder")
    options = parser.parse_args(arguments)
    results = measure(8 if options.quick else 512, 1 if options.quick else 5)
    for found in results:
        print("  ".join(f"{key} {value}" for key, value in found.items()))
    if options.out is not None:
        child.write(options.out, "memory", options.quick, results)
    return 0


def measure(rows: int, rounds: int) -> list[dict[str, str | int]]:
    """One record a network and library: bytes when loaded, and the most beyond them, medians of processes."""
    libraries = ["xpnn", *(["torch"] if importlib.util.find_spec("torch") else [])]
    records: list[dict[str, str | int]] = []
    for network in networks():
        for library in libraries:
            found = [child.run(CODE, library, network, str(rows))[0] for _ in range(rounds)]
            records.append(
                {
                    "network": network,
                    "rows": rows,
                    "library": library,
                    "loaded_bytes": int(statistics.median(before for before, _ in found)),
                    "step_bytes": int(statistics.median(peak - before for before, peak in found)),
                }
            )
    return records


if __name__ == "__main__":
    raise SystemExit(main())
