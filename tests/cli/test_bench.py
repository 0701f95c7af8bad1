"""`xpnn bench`: table, JSON and files of a quick run, wrong usage in one line, exit code 1 where a peer disagrees."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import fake_gpu
from tests.conftest import libraries
from xpnn.bench import peers
from xpnn.bench.limits import Limits
from xpnn.bench.measure import PeerResult, Result
from xpnn.bench.networks import layers, networks
from xpnn.bench.report import Report
from xpnn.cli import bench
from xpnn.cli.main import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `xpnn bench …` and gives its exit code, stdout and stderr."""

    def run_it(*args: str) -> tuple[int, str, str]:
        try:
            code = main(["bench", *args])
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_it


def test_the_parser_names_what_there_is() -> None:
    """It has the names twice, since the networks are not imported before a benchmark runs."""
    assert tuple(networks()) == bench.MODELS and tuple(layers()) == bench.LAYERS and peers.NAMES == bench.PEERS


def test_the_table_is_for_people(run: Run) -> None:
    code, out, err = run("--device", "cpu", "--layer", "linear", "--model", "mlp", "--peer", "plain", "--quick")
    assert code == 0, err
    head, *lines, note = out.splitlines()
    assert head.split() == "network mode rows cpu ms plain cpu ms (ratio)".split()
    assert [line.split()[:3] for line in lines] == [
        [name, mode, rows] for name in ("mlp", "linear") for mode in ("forward", "step") for rows in ("1", "8")
    ]
    assert len(lines[0].split()) == 6 and len(lines[-1].split()) == 4
    assert note.startswith("ratio: ")


def test_json_and_files_are_for_programs(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib, of the extra examples")
    code, out, err = run("--device", "cpu", "--model", "gru,mlp", "--quick", "--json", "--out", str(tmp_path / "new"))
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert [result["case"] for result in found["results"][::2]] == ["gru N=1", "gru N=8", "mlp N=1", "mlp N=8"]
    assert json.loads((tmp_path / "new/bench.json").read_text()) == found
    names = {"bench.json", "bench.md", "bench-sizes.png", "bench-cpu-roofline.png"}
    assert {path.name for path in (tmp_path / "new").iterdir()} == names


def test_a_peer_that_disagrees_is_said_and_ends_in_code_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = importlib.import_module("xpnn.bench.peers.with_plain")
    monkeypatch.setitem(plain._NETWORKS, "cnn", lambda xp, p, x: xp.zeros((len(x), 10), dtype=x.dtype))
    code, out, err = run("--device", "cpu", "--model", "cnn", "--peer", "plain", "--quick", "--json")
    assert code == 1 and [result["ms"] for result in json.loads(out)["results"]] == [None, None]
    assert err.splitlines()[0].startswith("xpnn: not timed: cnn: output is off by")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--model", "transformer"), "argument --model: expected some of mlp, cnn, lstm, gru, got 'transformer'"),
        (("--layer", "linear,cov,x"), "got 'cov', 'x'"),
        (("--layer", ","), "got ','"),
        (("--peer", "keras"), "expected some of torch, jax, sklearn, thinc, plain, got 'keras'"),
        (("--device", "cpu,tpu"), "backend must be one of"),
        (("--device", ""), "backend must be one of"),
        (("--device", "gpu:99"), "backend 'gpu:99' cannot be had"),
        (("mlp",), "unrecognized arguments: mlp"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(args: tuple[str, ...], words: str, run: Run) -> None:
    code, out, err = run(*args)
    assert (code, out) == (2, "") and words in err and err.count("\n") == 1


@pytest.mark.parametrize(("option", "value", "missing"), [("--peer", "torch", "torch"), ("--out", "x", "matplotlib")])
def test_what_is_not_installed_is_named(
    option: str, value: str, missing: str, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(importlib.import_module("sys").modules, missing, None)
    code, out, err = run("--device", "cpu", option, value)
    assert (code, out) == (2, "") and f"{missing} is not installed: pip install" in err and err.count("\n") == 1


def test_without_a_gpu_the_reason_is_given(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.fresh_process(monkeypatch)
    fake_gpu.install(monkeypatch, 0)
    code, _, err = run("--device", "cpu,gpu")
    assert code == 2 and "cannot be had" in err and err.count("\n") == 1


def test_two_devices_are_told_apart() -> None:
    def result(mode: str, device: str, size: int, ms: float) -> Result:
        found = {"torch": PeerResult(ms * 2, 2.0, 2.0, 2.0)} if device == "cpu" else {}
        return Result("mlp", f"mlp N={size}", mode, device, size, ms, peers=found)

    times = {("cpu", 1): 1.0, ("cpu", 8): 8.0, ("gpu:0", 1): 4.0, ("gpu:0", 8): 4.0}
    results = [result("step", device, size, ms) for (device, size), ms in times.items()]
    limits = {name: Limits(1.0, 1.0) for name in ("cpu", "gpu:0")}
    lines = bench.table(Report(results, limits, {"torch": "2"}, {}, False, {})).splitlines()
    assert lines[1].split() == ["mlp", "step", "1", "1", "4", "2", "(2.00)", "cpu,", "4.0", "times"]
    assert lines[2].split() == ["mlp", "step", "8", "8", "4", "16", "(2.00)", "gpu:0,", "2.0", "times"]
    assert lines[3] == "mlp, step: gpu:0 is faster from about 4 rows on, 2.0 times at 8"


@pytest.mark.gpu
@pytest.mark.parametrize("library", libraries("cupy"))
def test_on_cpu_and_gpu(library: Any, run: Run) -> None:
    library()
    code, out, err = run("--device", "cpu,gpu", "--model", "mlp,cnn,lstm,gru", "--peer", "plain", "--quick")
    assert code == 0, err
    assert out.splitlines()[0].split()[:6] == ["network", "mode", "rows", "cpu", "ms", "gpu:0"]
    assert "mlp, step: " in out
