"""The benchmark runner: the gate in front of the clock, what it writes, and the names it takes."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import devices, run
from benchmarks.case import Case, normal
from xpnn import ops

from . import fake_gpu
from .conftest import libraries

ROOT = Path(__file__).parents[1]
OPS = sorted(path.stem for path in (ROOT / "benchmarks/cases").glob("*.py"))


def case(**changes: Any) -> Case:
    import torch

    def make(rng: np.random.Generator) -> Any:
        return normal(rng, 8, 16), normal(rng, 4, 16), normal(rng, 4)

    options: dict[str, Any] = {
        "run": ops.linear,
        "torch": torch.nn.functional.linear,
        "flops": 2.0 * 8 * 16 * 4,
        **changes,
    }
    return Case("toy", make, **options)


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="needs torch, the peer of the benchmarks")


def test_both_modes_are_timed(torch: Any) -> None:
    forward, both = run.measure(case(), torch, quick=True)
    assert (forward.mode, both.mode) == ("forward", "both")
    for result, work in ((forward, 1), (both, 3)):
        assert result.ratio_quartiles is not None and result.gflops is not None and result.ratio is not None
        assert result.ratio_quartiles[0] <= result.ratio <= result.ratio_quartiles[1]
        assert result.gflops == pytest.approx(work * 2 * 8 * 16 * 4 / result.xpnn_ms / 1e6)


def test_wrong_results_are_not_timed(torch: Any) -> None:
    with pytest.raises(AssertionError, match="toy: output is off"):
        run.measure(case(run=lambda x, w, b: ops.linear(x, w, b * 1.01)), torch, quick=True)
    scaled = case(torch=lambda x, w, b: torch.nn.functional.linear(x, w, 0.5 * b + 0.5 * b.detach()))
    with pytest.raises(AssertionError, match="toy: gradient 2 is off by 0.5|toy: gradient 2 is off by 1"):
        run.measure(scaled, torch, quick=True)


def test_without_a_peer_there_is_no_ratio() -> None:
    result = run.measure(Case("alone", lambda rng: (normal(rng, 5),), ops.relu), None, quick=True)[0]
    assert result.xpnn_ms > 0 and result.torch_ms is None and result.ratio is None


def test_a_gpu_that_is_not_there_is_said_so(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    fake_gpu.fresh_process(monkeypatch)
    fake_gpu.install(monkeypatch, 0)
    with pytest.raises(SystemExit) as stopped:
        run.main(["relu", "--device", "gpu"])
    assert stopped.value.code == 2
    assert "cannot be had" in capsys.readouterr().err


@pytest.mark.gpu
@pytest.mark.parametrize("library", libraries("cupy"))
def test_on_a_gpu_the_gpu_s_time_counts(library: Any) -> None:
    library()
    forward, both = run.measure(
        Case("relu", lambda rng: (normal(rng, 50),), ops.relu), None, True, devices.Gpu(), bandwidth=1e9
    )
    for result in (forward, both):
        assert result.xpnn_ms > 0 and result.call_ms is not None and result.call_ms > 0


def test_the_file_says_on_what_it_ran(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(run, "measure", lambda *_: [run.Result("toy", "forward", 1.0, 2.0, 2.0, (1.9, 2.1), 3.0)])
    assert run.main(["relu", "--quick", "--out", str(tmp_path / "new" / "results.json")]) == 0
    found = json.loads((tmp_path / "new" / "results.json").read_text(encoding="utf-8"))
    assert found["machine"]["packages"]["numpy"] == np.__version__
    assert found["results"][0]["ratio"] == 2.0
    assert "geometric mean 2.00" in capsys.readouterr().out


def test_an_unknown_name_is_answered_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run.main(["convolution"])
    assert stopped.value.code == 2
    assert "unknown: convolution; there are activations, adaptive_avg_pool," in capsys.readouterr().err


@pytest.mark.parametrize("op", OPS)
def test_every_case_makes_float32_arrays_that_its_function_takes(op: str) -> None:
    """The smallest case runs: one that breaks would be noticed only when somebody measures."""
    cases = importlib.import_module(f"benchmarks.cases.{op}").CASES
    assert len({case.name for case in cases}) == len(cases)
    smallest = min(cases, key=lambda case: sum(a.size for a in case.make(np.random.default_rng(0))))
    arrays = smallest.make(np.random.default_rng(0))
    assert all(a.dtype == np.float32 or a.dtype.kind == "i" for a in arrays)
    assert np.isfinite(smallest.run(*arrays)).all()
