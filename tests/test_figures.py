"""The pages show what the results give, and nothing that a quick run gave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import tables
from xpnn.bench.limits import Limits
from xpnn.bench.measure import PeerResult, Result
from xpnn.bench.report import Report

MACHINE: dict[str, Any] = {
    "processor": "Abacus", "cores": 2, "threads": 1, "packages": {"numpy": "2", "torch": "3"}, "commit": "abc",
}  # fmt: skip


def test_the_pages_are_what_the_results_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert tables.main(["--check"]) == 0, "run python -m benchmarks.tables; " + "".join(capsys.readouterr())


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder with results of each kind, in which xpnn wins and loses."""
    peers = [{"torch": PeerResult(2.0, ratio, ratio, ratio)} for ratio in (2.0, 0.5)]
    found = [
        Result("network-mlp", "mlp N=1", "forward", ms=1.0, size=1, peers=peers[0]),
        Result("network-mlp", "mlp N=1", "step", ms=4.0, size=1, peers=peers[1]),
        Result("relu", "relu (3,)", "both", ms=0.1, peers=peers[1]),
    ]
    report = Report(found, {"cpu": Limits(1e9, 1e9)}, {"torch": "3"}, {}, False, MACHINE)
    folder = tmp_path / "results"
    folder.mkdir()
    report.write(folder, "cpu-cases")
    program = {"xpnn": {"import_seconds": 0.125, "first_step_seconds": 0.5, "installed_bytes": 59e6}}
    memory = [{"network": "cnn", "rows": 9, "library": "torch", "loaded_bytes": 3e8, "step_bytes": 1.25e7}]
    for kind, value in (("program", program), ("memory", memory)):
        record = {"kind": kind, "machine": MACHINE, "quick": False, "results": value}
        (folder / f"{kind}.json").write_text(json.dumps(record))
    overhead = {"machine": MACHINE, "figures": {"multiply": {"raw_us": 0.5, "ratio": 1234.0}}}
    (folder / "cpu-overhead.json").write_text(json.dumps(overhead))
    (folder / "gpu-tests.json").write_text('{"passed": true}')
    return folder


def test_all_figures_are_shown(results: Path) -> None:
    text = tables.all_figures(tables.read(results))
    for line in (
        "### All cases on the CPU",
        "torch: geometric mean of its time over ours 0.79, worst 0.50, 1 of 3 at 1 or better.",
        "| relu (3,) | both | cpu | 0.1 |  |  |  | 2, **0.50** (0.50-0.50) |",
        "| xpnn | 0.12 s | 0.50 s | 59 MB |",
        "| cnn, 9 | torch | 300 MB | 12.5 MB |",
        "| multiply | raw_us 0.5, ratio 1234 |",
        "Abacus, 2 cores; numpy 2, torch 3; commit abc.",
    ):
        assert line in text
    assert "Not measured yet" not in text


def test_the_summary_has_the_networks_and_the_score_of_everything(results: Path) -> None:
    text = tables.summary(tables.read(results))
    assert "| mlp N=1 | inference | 1 | 2.00 |\n| mlp N=1 | training step | 4 | 0.50 |" in text
    assert "- All cases, torch: geometric mean of its time over ours 0.79, worst 0.50, 1 of 3" in text
    assert "relu" not in text and "On the CPU (Abacus, 2 cores):" in text


def test_what_is_not_measured_is_said(tmp_path: Path) -> None:
    found = tables.read(tmp_path)
    assert tables.all_figures(found).count("Not measured yet: `python -m benchmarks") == 3
    assert tables.summary(found).startswith("No figures have been published yet")


def test_only_what_is_between_the_markers_is_written(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    for name in tables.PAGES:
        (tmp_path / name).write_text("before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n")
    assert tables.main(["--check"], tmp_path, results) == 1
    assert capsys.readouterr().out == "docs/how-fast.md: out of date\nREADME.md: out of date\n"
    assert "old" in (tmp_path / "README.md").read_text()
    assert tables.main([], tmp_path, results) == 0 == tables.main(["--check"], tmp_path, results)
    page = (tmp_path / "README.md").read_text()
    assert page.startswith("before\n<!-- figures -->\nOn the CPU") and "old" not in page
    assert page.endswith("\n<!-- /figures -->\nafter\n")


@pytest.mark.parametrize(
    ("page", "results", "words"),
    [
        ("no markers", {}, "expected the lines <!-- figures -->"),
        ("<!-- figures -->\n<!-- /figures -->\n" * 2, {}, "once in the page"),
        ("<!-- figures -->\n<!-- /figures -->\n", {"kind": "memory", "quick": True}, "it is of a quick run"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    page: str, results: dict[str, Any], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    for name in tables.PAGES:
        (tmp_path / name).write_text(page)
    (tmp_path / "x.json").write_text(json.dumps(results))
    assert tables.main([], tmp_path, tmp_path) == 1
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
