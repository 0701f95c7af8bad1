"""python -m benchmarks.gpu: the steps, what they write, and what stops them; the GPU and the programs are pretended."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu

from . import fake_gpu

_REPORT = """<testsuites><testsuite tests="3" failures="1" errors="0" skipped="1">
<testcase classname="tests.a" name="one"/><testcase classname="tests.a" name="two"><failure/></testcase>
</testsuite></testsuites>"""


class Programs:
    """Stands for subprocess.run: keeps the commands, writes what pytest would write."""

    def __init__(self, code: int) -> None:
        self.code, self.commands = code, list[list[str]]()

    def __call__(self, command: list[str]) -> Any:
        self.commands.append(command)
        for word in command:
            if word.startswith("--junitxml="):
                Path(word.partition("=")[2]).write_text(_REPORT, encoding="utf-8")
        return subprocess.CompletedProcess(command, self.code, "said", "more")


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Programs:
    found = Programs(0)
    monkeypatch.setattr(gpu, "_run", found)
    monkeypatch.setattr(gpu.xpnn, "gpu_is_available", lambda: True)
    monkeypatch.setattr(gpu, "describe_gpu", lambda: {"name": "Pretender"})
    monkeypatch.setattr(gpu.shutil, "which", lambda name: f"/bin/{name}")
    return found


def record(folder: Path, step: str) -> dict[str, Any]:
    return json.loads((folder / f"gpu-{step}.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_all_steps_are_run_and_written(programs: Programs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--out", str(tmp_path / "new")]) == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == list(gpu.STEPS)
    found = record(tmp_path / "new", "tests")
    assert found["machine"]["gpu"] == {"name": "Pretender"} and found["machine"]["packages"]["numpy"]
    assert found["counts"] == {"tests": 3, "failures": 1, "errors": 0, "skipped": 1}
    assert found["failed"] == ["tests.a::two"]
    assert [c[2] for c in programs.commands if "compute-sanitizer" in c[0]] == list(gpu.SANITIZERS)
    assert set(gpu.SANITIZERS) < set(record(tmp_path / "new", "sanitizer"))


def test_benchmarks_are_left_out_if_the_tests_fail(programs: Programs, tmp_path: Path) -> None:
    programs.code = 1
    assert gpu.main(["--out", str(tmp_path), "--only", "tests", "benchmarks"]) == 1
    assert not (tmp_path / "gpu-benchmarks.json").exists()
    assert record(tmp_path, "tests")["output"] == "saidmore"


def test_a_tool_that_is_missing_is_named(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu.shutil, "which", lambda name: None)
    assert gpu.main(["--out", str(tmp_path), "--only", "sanitizer"]) == 1
    assert "compute-sanitizer is not on the PATH" in record(tmp_path, "sanitizer")["problem"]


def test_without_a_gpu_it_says_why(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fake_gpu.fresh_process(monkeypatch)
    fake_gpu.install(monkeypatch, 0)
    with pytest.raises(SystemExit) as stopped:
        gpu.main([])
    assert stopped.value.code == 2
    assert "no GPU: CuPy 14.0.0 is installed, but" in capsys.readouterr().err
