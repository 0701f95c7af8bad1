"""warmup: the model runs once and stays as it was; the command compiles every kernel."""

from __future__ import annotations

import numpy as np
import pytest

import xpnn
from tests import fake_gpu
from tests.cuda import fake_cupy
from xpnn import nn
from xpnn.cli.main import main
from xpnn.cuda import warmup


def test_a_model_is_run_and_stays_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    before = {name: np.array(x) for name, x in model.state_dict().items()}
    state = xpnn.random.get_state()
    lines = xpnn.warmup(model, np.ones((5, 3), np.float32))
    assert lines[0] == "linear: cpu.linear" and lines[-1] == "linear: cpu.linear"
    assert xpnn.random.get_state() == state
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(x, before[name])


def test_a_model_without_parameters_and_one_with_two_inputs_and_outputs() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            self.a = nn.Linear(3, 2)

        def forward(self, x: object, y: object) -> object:
            return self.a(x), {"y": self.a(y)}

    x = np.ones((2, 3), np.float32)
    assert xpnn.warmup(nn.ReLU(), x) == ["relu: cpu.relu"]
    assert xpnn.warmup(Both(), x, x) == ["linear: cpu.linear"] * 2


@pytest.mark.parametrize("arch", ["80", "90"])
def test_every_kernel_that_the_gpu_runs_is_compiled_once(monkeypatch: pytest.MonkeyPatch, arch: str) -> None:
    fake = fake_cupy.install(monkeypatch)
    fake.arch = arch
    entries, plans = list(warmup.precompile()), warmup.instantiations()
    assert entries == list(plans) and len(entries) == len(set(entries))
    wanted = {entry for entry, plan in plans.items() if arch == "90" or not plan.specific}
    assert {name for name, _ in fake.kernels} - {"smoke"} == wanted
    count = len(fake.modules)
    list(warmup.precompile())
    assert len(fake.modules) == count


def test_the_command_says_why_there_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_gpu.fresh_process(monkeypatch)
    fake_gpu.install(monkeypatch, 0)
    with pytest.raises(SystemExit) as stopped:
        main(["warmup"])
    assert stopped.value.code == 2
    assert "cannot be had" in capsys.readouterr().err
    assert main(["warmup", "--device", "cpu"]) == 2
    assert "the CPU has nothing to compile" in capsys.readouterr().err


def test_the_command_counts_what_it_compiled(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_gpu.fresh_process(monkeypatch)
    fake_gpu.install(monkeypatch, 2)
    monkeypatch.setattr(warmup, "prepare", lambda plan: None)
    assert main(["warmup", "--device", "gpu:1"]) == 0
    assert capsys.readouterr().out == f"{len(warmup.instantiations())} kernels are compiled for gpu:1\n"
