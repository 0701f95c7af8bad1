"""Writes the figures of benchmarks/results/*.json into the pages that show them: python -m benchmarks.tables [--check]

docs/how-fast.md gets all of them, README.md those of the networks, each between the lines <!-- figures --> and <!-- /figures -->.
With --check nothing is written; exit code 1 if a page is not what the results give.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xpnn.bench.measure import Result, level
from xpnn.bench.report import Report, markdown, score_line, table
from xpnn.io import atomic_write

__all__ = ["PAGES", "all_figures", "main", "read", "replaced", "summary"]

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
_BETWEEN = re.compile(r"(<!-- figures -->\n).*?(<!-- /figures -->)", re.DOTALL)
_COMMANDS = {
    "cases": "python -m benchmarks --out benchmarks/results",
    "program": "python -m benchmarks.program --out benchmarks/results",
    "memory": "python -m benchmarks.memory --out benchmarks/results",
}

Found = dict[str, list[Any]]


def read(folder: Path) -> Found:
    """What the JSON files of a folder hold, by kind: reports for "cases", else plain values; ValueError for a quick run."""
    found: Found = {"cases": [], "program": [], "memory": [], "overhead": []}
    for path in sorted(folder.glob("*.json")):
        value = json.loads(path.read_text(encoding="utf-8"))
        kind = value.get("kind", "overhead" if "figures" in value else "")
        if kind not in found:
            continue  # records of python -m benchmarks.gpu
        if value.get("quick"):
            raise ValueError(f"{path}: it is of a quick run, which measures nothing; run it again without --quick")
        found[kind].append(Report.read(path) if kind == "cases" else value)
    return found


def all_figures(found: Found) -> str:
    """Everything, wins and losses alike."""
    parts = [_cases(report) for report in found["cases"]]
    parts += [f"### The whole program\n\n{_on(v)}\n\n{_program(v['results'])}" for v in found["program"]]
    parts += [f"### Memory of a training step\n\n{_on(v)}\n\n{_memory(v['results'])}" for v in found["memory"]]
    parts += [f"### The cost of tracing\n\n{_on(v)}\n\n{_overhead(v['figures'])}" for v in found["overhead"]]
    parts += [f"Not measured yet: `{command}`.\n" for kind, command in _COMMANDS.items() if not found[kind]]
    return "\n".join(parts)


def summary(found: Found) -> str:
    """The networks at all sizes, and the score over all cases."""
    if not found["cases"]:
        return f"No figures have been published yet; `{_COMMANDS['cases']}` measures them.\n"
    return "\n".join(_networks(report) for report in found["cases"])


PAGES: dict[str, Callable[[Found], str]] = {"docs/how-fast.md": all_figures, "README.md": summary}


def replaced(page: str, text: str) -> str:
    """A page with a text between its markers; ValueError unless it has them once."""
    if len(_BETWEEN.findall(page)) != 1:
        raise ValueError("expected the lines <!-- figures --> and <!-- /figures --> once in the page")
    return _BETWEEN.sub(lambda match: f"{match[1]}{text}{match[2]}", page)


def _cases(report: Report) -> str:
    """The report of a run below a heading of its own."""
    title, _, rest = markdown(report).partition("\n")
    assert title.startswith("# ")
    return f"### All cases on {_devices(report)}\n{rest}"


def _devices(report: Report) -> str:
    return " and ".join("the CPU" if name == "cpu" else "a GPU" for name in report.limits)


def _networks(report: Report) -> str:
    """Milliseconds of xpnn and each peer's time over ours, a line for a network, mode and number of rows."""
    peers = list(report.peers)
    timed = [r for r in report.results if r.group.startswith("network-") and r.ms is not None]
    head = ["network, rows", "", "xpnn ms", *(f"{peer} / xpnn" for peer in peers)]
    rows = [[r.case, _mode(r), f"{r.ms:.3g}", *(_ratio(r, peer) for peer in peers)] for r in timed]
    scores = [score_line(peer, score) for peer in peers if (score := level(report.results, peer))["cells"]]
    machine = f"On {_devices(report)} ({_processor(report.machine)}):\n"
    return "\n".join([machine, table(head, rows), *(f"- All cases, {line}" for line in scores)]) + "\n"


def _mode(result: Result) -> str:
    return {"forward": "inference", "step": "training step"}[result.mode]


def _ratio(result: Result, peer: str) -> str:
    return f"{result.peers[peer].ratio:.2f}" if peer in result.peers else ""


def _processor(machine: Mapping[str, Any]) -> str:
    gpu = f", {machine['gpu']['name']}" if "gpu" in machine else ""
    return f"{machine['processor']}, {machine['cores']} cores{gpu}"


def _on(value: Mapping[str, Any]) -> str:
    machine = value["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return f"{_processor(machine)}; {packages}; commit {machine['commit'] or 'unknown'}."


def _program(results: Mapping[str, Mapping[str, float]]) -> str:
    head = [
        "library",
        "import, beyond NumPy's",
        "start to the end of the first training step",
        "installed, with what it requires",
    ]
    rows = [
        [
            name,
            f"{v['import_seconds']:.2f} s",
            f"{v['first_step_seconds']:.2f} s",
            f"{v['installed_bytes'] / 1e6:.0f} MB",
        ]
        for name, v in results.items()
    ]
    return table(head, rows)


def _memory(results: Sequence[Mapping[str, Any]]) -> str:
    head = ["network, rows", "library", "loaded", "at most beyond that in three steps"]
    return table(
        head,
        [
            [
                f"{v['network']}, {v['rows']}",
                v["library"],
                f"{v['loaded_bytes'] / 1e6:.0f} MB",
                f"{v['step_bytes'] / 1e6:.1f} MB",
            ]
            for v in results
        ],
    )


def _overhead(figures: Mapping[str, Mapping[str, float]]) -> str:
    rows = [[name, ", ".join(f"{key} {_number(value)}" for key, value in v.items())] for name, v in figures.items()]
    return "Here a ratio is our time over the other's: below 1 xpnn is faster.\n\n" + table(["what", "figures"], rows)


def _number(x: float) -> str:
    return f"{x:.3g}" if x < 1000 else f"{x:.0f}"


def main(arguments: Sequence[str] | None = None, root: Path = ROOT, results: Path = RESULTS) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__.split("\n\n")[1])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a page is out of date")
    options = parser.parse_args(arguments)
    try:
        found = read(results)
        stale = []
        for name, figures in PAGES.items():
            before = (root / name).read_text(encoding="utf-8")
            after = replaced(before, figures(found))
            if after != before:
                stale.append(name)
                if not options.check:
                    atomic_write(root / name, after.encode())
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    for name in stale:
        print(f"{name}: {'out of date' if options.check else 'written'}")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
