"""python -m benchmarks.program and .memory: what they ask of child processes, and what they make of the answers."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import child, memory, program
from xpnn.bench.networks import networks


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let only these libraries be found."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in names else None)


def test_a_program_is_the_median_of_processes_in_turns(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of each library the first two processes, which fill caches, take 100 s, two more 1 s, and all others 3 s."""
    asked: list[str] = []

    def run(code: str) -> tuple[float, float]:
        library = next(name for name in ("xpnn", "torch") if f"import {name}" in code)
        asked.append(library)
        seconds = {0: 100.0, 1: 1.0}.get((asked.count(library) - 1) // 2, 3.0)
        return (seconds, 0.0) if "perf_counter" in code else (50.0 + seconds, 50.0)

    installed(monkeypatch, "xpnn", "torch")
    monkeypatch.setattr(child, "run", run)
    monkeypatch.setattr(program, "installed_bytes", lambda name: 7)
    assert program.main(["--out", str(tmp_path / "new")]) == 0
    assert asked == ["xpnn", "xpnn", "torch", "torch"] * 8
    found = json.loads((tmp_path / "new/program.json").read_text())
    assert (found["kind"], found["quick"], list(found["results"])) == ("program", False, ["xpnn", "torch"])
    assert found["results"]["torch"] == {"import_seconds": 3.0, "first_step_seconds": 3.0, "installed_bytes": 7}
    assert capsys.readouterr().out.splitlines()[0] == "xpnn   import_seconds 3  first_step_seconds 3  installed_bytes 7"
    asked.clear()
    assert program.measure(1)["xpnn"] == {"import_seconds": 1.0, "first_step_seconds": 1.0, "installed_bytes": 7}


@pytest.mark.parametrize("library", program.LIBRARIES)
def test_the_programs_run(library: str) -> None:
    pytest.importorskip(library, reason=f"needs {library}, a peer of the benchmarks")
    end, start = child.run(program._DATA + program.LIBRARIES[library] + program._DONE)
    assert end > start


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="ModuleNotFoundError: No module named 'nothing_like_it'"):
        child.run("import nothing_like_it")


def test_bytes_of_a_package_and_of_what_it_requires(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """a requires b (and C_c, which requires a) and, for an extra, d; what is missing or compiled does not count."""
    requires = {"a": ["b>=1", "C_c; python_version > '3'", "d; extra == 'x'", "gone"], "b": None, "c-c": ["a"], "d": []}

    def distribution(name: str) -> Any:
        if name not in requires:
            raise program.PackageNotFoundError(name)
        files = []
        for suffix, size in ((".py", 10), (".pyc", 1000)):
            path = tmp_path / f"{name}{suffix}"
            path.write_bytes(b"x" * size)
            files.append(SimpleNamespace(locate=lambda path=path: path))
        return SimpleNamespace(requires=requires[name], files=files)

    monkeypatch.setattr(program, "distribution", distribution)
    assert program._required("a") == {"a", "b", "c-c", "gone"}
    assert program.installed_bytes("a") == 30


def test_bytes_of_xpnn_are_those_of_its_sources() -> None:
    assert 1e5 < program._own_bytes("xpnn") < 1e8


def test_memory_asks_for_each_network_and_library(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, ...]] = []

    def run(code: str, *arguments: str) -> tuple[Any, float]:
        asked.append(arguments)
        return [1000, 1000 + len(asked)], 0.0

    installed(monkeypatch, "torch")
    monkeypatch.setattr(child, "run", run)
    assert memory.main(["--out", str(tmp_path)]) == 0
    assert asked == [(lib, name, "512") for name in networks() for lib in ("xpnn", "torch") for _ in range(5)]
    first, second, *_ = json.loads((tmp_path / "memory.json").read_text())["results"]
    assert first == {"network": "mlp", "rows": 512, "library": "xpnn", "loaded_bytes": 1000, "step_bytes": 3}
    assert (second["library"], second["step_bytes"]) == ("torch", 8)
    assert len(capsys.readouterr().out.splitlines()) == 8


@pytest.mark.parametrize("library", ["xpnn", "torch"])
def test_a_step_needs_memory(library: str) -> None:
    """At least the gradients and Adam's two moments of 269,322 float32 parameters."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("needs /proc of Linux")
    pytest.importorskip(library, reason=f"needs {library}")
    (loaded, most), _ = child.run(memory.CODE, library, "mlp", "8")
    assert most - loaded > 3 * 4 * 269_322 * 0.9
