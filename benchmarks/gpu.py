"""Everything that a machine with a GPU has to answer, in one command: python -m benchmarks.gpu [--out DIR] [--only STEP ...]

Runs the tests that need a GPU, the same kernels under each tool of compute-sanitizer, and the benchmarks against torch, in this
order; benchmarks only if the tests passed. Each step writes DIR/gpu-STEP.json: device, driver, versions, commit, and what it
found. Exit code 1 if a step failed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import xpnn
from xpnn.bench.machine import describe
from xpnn.cuda.timing import describe_gpu
from xpnn.io.atomic import atomic_write

__all__ = ["STEPS", "main"]

ROOT = Path(__file__).parents[1]
SANITIZERS = ("memcheck", "racecheck", "synccheck", "initcheck")
_FOUND_BY_A_TOOL = 86
Findings = dict[str, Any]


def tests(out: Path) -> Findings:
    """`pytest -m gpu` over the whole suite."""
    return _pytest([], "tests")


def sanitizer(out: Path) -> Findings:
    """The kernels' tests under compute-sanitizer, one tool after another."""
    command = shutil.which("compute-sanitizer")
    if command is None:
        return {"passed": False, "problem": "compute-sanitizer is not on the PATH; it comes with the CUDA toolkit"}
    found: Findings = {}
    for tool in SANITIZERS:
        options = ["--tool", tool, "--error-exitcode", str(_FOUND_BY_A_TOOL), "--target-processes", "all"]
        found[tool] = _pytest([command, *options], "tests/cuda")
    return {"passed": all(result["passed"] for result in found.values()), **found}


def benchmarks(out: Path) -> Findings:
    """`python -m benchmarks --device gpu`: the cases of every op against torch."""
    done = _run([sys.executable, "-m", "benchmarks", "--device", "gpu", "--out", str(out)])
    return {"passed": done.returncode == 0, "results": "gpu-cases.json", "output": _tail(done)}


def demo(out: Path) -> Findings:
    """`xpnn demo all --device gpu`: the four networks of the main job."""
    with tempfile.TemporaryDirectory() as folder:
        done = _run([sys.executable, "-m", "xpnn", "demo", "all", "--device", "gpu", "--out", folder])
        results = Path(folder) / "results.json"
        found = json.loads(results.read_text(encoding="utf-8")) if results.exists() else None
    return {"passed": done.returncode == 0, "results": found, "output": _tail(done)}


STEPS: dict[str, Callable[[Path], Findings]] = {
    "tests": tests, "sanitizer": sanitizer, "benchmarks": benchmarks, "demo": demo,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.split("\n\n")[1])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder for the JSON files")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS), help="these steps (default: all)")
    options = parser.parse_args(arguments)
    if not xpnn.gpu_is_available():
        parser.error(f"no GPU: {xpnn.gpu_status()}")
    options.out.mkdir(parents=True, exist_ok=True)
    passed: dict[str, bool] = {}
    for name in (name for name in STEPS if name in options.only):
        if name == "benchmarks" and not passed.get("tests", True):
            print("benchmarks: left out, since the tests failed")
            continue
        passed[name] = _step(name, options.out)
    return 0 if all(passed.values()) else 1


def _step(name: str, out: Path) -> bool:
    start = time.perf_counter()
    found = STEPS[name](out)
    seconds = round(time.perf_counter() - start, 1)
    record = {"machine": describe() | {"gpu": describe_gpu()}, "seconds": seconds, **found}
    atomic_write(out / f"gpu-{name}.json", (json.dumps(record, indent=2) + "\n").encode())
    print(f"{name}: {'passed' if found['passed'] else 'FAILED'} in {seconds} s", flush=True)
    return bool(found["passed"])


def _pytest(before: list[str], *places: str) -> Findings:
    """The counts of a run of the GPU's tests, and the names of those that failed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = ["-m", "gpu", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        done = _run([*before, sys.executable, "-m", "pytest", *options, *places])
        counts, failed = _counts(report) if report.exists() else ({}, [])
    found = {"passed": done.returncode == 0, "counts": counts, "failed": failed}
    return found if done.returncode == 0 else found | {"output": _tail(done)}


def _counts(report: Path) -> tuple[dict[str, int], list[str]]:
    suite = next(xml.etree.ElementTree.parse(report).iter("testsuite"))
    counts = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    bad = [
        f"{case.get('classname')}::{case.get('name')}"
        for case in suite.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    return counts, bad


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def _tail(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stdout[-6000:] + done.stderr[-2000:]).strip()


if __name__ == "__main__":
    raise SystemExit(main())
