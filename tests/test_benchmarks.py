"""python -m benchmarks: the registry, the whole grid's command, and what it writes."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import registry, run
from benchmarks.case import Case, normal
from xpnn import ops
from xpnn.bench.case import DisagreementError
from xpnn.bench.grid import Entry

from . import fake_gpu

ROOT = Path(__file__).parents[1]
OPS = registry.operations()


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name stands for one small case."""
    case = Case("toy", lambda rng: (normal(rng, 50),), ops.relu, peers={"plain": lambda x: np.maximum(x, 0)})
    monkeypatch.setattr(run, "entries", lambda name, quick: [Entry(name, case.name, case.jobs)])


def test_a_gpu_that_is_not_there_is_said_so(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    fake_gpu.fresh_process(monkeypatch)
    fake_gpu.install(monkeypatch, 0)
    with pytest.raises(SystemExit) as stopped:
        run.main(["relu", "--device", "gpu"])
    assert stopped.value.code == 2
    assert "cannot be had" in capsys.readouterr().err


def test_the_files_say_on_what_it_ran(toy: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib, of the extra examples")
    out = tmp_path / "new"
    assert run.main(["relu", "--quick", "--peer", "plain", "--out", str(out)]) == 0
    found = json.loads((out / "cpu-cases.json").read_text(encoding="utf-8"))
    assert found["machine"]["packages"]["numpy"] == np.__version__
    assert found["peers"] == {"plain": f"numpy {np.__version__}"} and found["quick"] is True
    assert found["limits"]["cpu"]["copy"] > 0 < found["limits"]["cpu"]["gemm"]
    forward, both = found["results"]
    assert (forward["group"], forward["case"], forward["mode"], both["mode"]) == ("relu", "toy", "forward", "both")
    assert forward["peers"]["plain"]["ratio"] > 0 and both["peers"] == {}
    assert {path.name for path in out.iterdir()} == {"cpu-cases.json", "cpu-cases.md", "cpu-cases-cpu-plain.png"}
    assert "plain: geometric mean" in capsys.readouterr().out
    assert run.main(["--compare", *[str(out / "cpu-cases.json")] * 2]) == 0
    assert capsys.readouterr().out == "0 of 2 moved beyond their noise.\n"


def test_a_case_that_is_wrong_fails_the_run_and_the_others_go_on(
    toy: None, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before = run.entries

    def entries(name: str, quick: bool) -> list[Entry]:
        def disagree(*_: Any) -> Any:
            raise DisagreementError("toy: output is off by 1")

        return [Entry("relu", "bad", disagree), *before(name, quick)]

    monkeypatch.setattr(run, "entries", entries)
    assert run.main(["relu", "--quick", "--peer", "plain"]) == 1
    first, *others = capsys.readouterr().out.splitlines()
    assert first.split() == "bad NOT TIMED: toy: output is off by 1".split() and others[0].startswith("toy ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["convolution"], "unknown: convolution; there are ops, networks, layers, activations, adaptive_avg_pool,"),
        (["--case", "relu,nothing"], "unknown: nothing; there are"),
        (["relu", "--peer", "keras"], "peer must be one of torch, jax,"),
        (["relu", "--device", "tpu"], "backend must be one of"),
        (["--compare", "pyproject.toml"], "pyproject.toml: expected a file written by"),
        (["--compare", "no-such.json"], "No such file"),
    ],
)
def test_wrong_usage_is_told_in_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run.main(arguments)
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and words in error.splitlines()[-1]


def test_names_choose_cases(capsys: pytest.CaptureFixture[str]) -> None:
    assert registry.chosen(["networks", "relu"]) == [
        "relu",
        "network-mlp",
        "network-cnn",
        "network-lstm",
        "network-gru",
    ]
    assert registry.chosen([]) == [name for group in registry.names().values() for name in group]
    assert run.main(["--list", "--case", "relu,network-gru", "--quick"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert listed[0] == "relu: relu (128, 512)" and listed[-1] == "network-gru: gru N=8"


def test_the_names_of_all_results_differ() -> None:
    """--compare finds a case by its name."""
    found = [entry.name for name in registry.chosen([]) for entry in registry.entries(name)]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("op", OPS)
def test_every_case_makes_float32_arrays_that_its_function_takes(op: str) -> None:
    """The smallest case runs: one that breaks would be noticed only when somebody measures."""
    cases = importlib.import_module(f"benchmarks.cases.{op}").CASES
    assert len({case.name for case in cases}) == len(cases)
    smallest = min(cases, key=lambda case: sum(a.size for a in case.make(np.random.default_rng(0))))
    arrays = smallest.make(np.random.default_rng(0))
    assert all(a.dtype == np.float32 or a.dtype.kind == "i" for a in arrays)
    assert np.isfinite(smallest.run(*arrays)).all()
