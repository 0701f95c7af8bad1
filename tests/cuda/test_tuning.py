"""tune: every candidate is tried, the faster one is kept in a file and taken from there, and results stay the same."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn.cuda import conv, conv_gather, conv_tf32, timing, tuning
from xpnn.cuda.launch import executing
from xpnn.cuda.plan import Plan

from .emulated import FEW, Emulator
from .test_conv_plans import convolution

train_tune = importlib.import_module("xpnn.train.tune")  # not the function of this name
STATIC = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1)}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XPNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tuning, "current_device", lambda: "Some GPU")
    tuning.forget()
    yield tmp_path / "cache"
    tuning.forget()


class Clock:
    """Time goes by as a function of the plan that ran."""

    def __init__(self, emulator: Emulator, seconds: Callable[[Plan], float]) -> None:
        self.emulator, self.seconds = emulator, seconds

    def once(self, call: Callable[[], None]) -> tuple[float, float]:
        call()
        return self.seconds(self.emulator.launched[-1]), 0.0


def run() -> Any:
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-4, 5, shape).astype(np.float32) for shape in ((1, 40, 5, 5), (20, 40, 3, 3)))
    return conv.forward(x, w, None, **STATIC, need=(False,) * 5)[0]


def tuned(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[Plan], float]) -> list[str]:
    emulator = Emulator(FEW[:1])
    monkeypatch.setattr(train_tune, "Stopwatch", lambda: Clock(emulator, seconds))
    with executing(emulator):
        return xpnn.tune(run, rounds=2)


def test_the_fastest_is_kept_and_taken(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    with executing(Emulator(FEW[:1])) as _:
        expected = run()
    seen: set[str] = set()

    def seconds(plan: Plan) -> float:
        seen.add(f"{plan.entry} {plan.grid}")
        return 0.5 if plan.grid[0] == 1 else 1.0

    lines = tuned(monkeypatch, seconds)
    assert len(seen) > 2
    assert len(lines) == 1
    assert "takes 50% of the time" in lines[0]
    assert list(json.loads(tuning.file_of("Some GPU").read_text())) != []
    emulator = Emulator(FEW[:1])
    with executing(emulator):
        assert np.array_equal(run(), expected)
    assert emulator.launched[-1].grid[0] == 1


def test_what_is_hardly_faster_is_not_kept(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    assert tuned(monkeypatch, lambda plan: 1.0) == []
    assert json.loads(tuning.file_of("Some GPU").read_text()) == {}


def test_a_file_that_cannot_be_read_costs_nothing_but_time(folder: Path) -> None:
    folder.mkdir()
    tuning.file_of("Some GPU").write_text("{no json")
    own = convolution(1, 64, 64, 14, 3)
    kind = conv_tf32.KINDS["high"]
    assert kind.tiling(own, False) == conv_gather.chosen(kind.products, *_arguments(own))


def test_choices_of_other_kernels_and_gpus_are_not_taken(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    tuned(monkeypatch, lambda plan: 1.0 / plan.grid[0])
    first = tuning.file_of("Some GPU")
    assert first != tuning.file_of("Another GPU")
    monkeypatch.setattr(tuning, "_state", lambda: "other")
    assert first != tuning.file_of("Some GPU")


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "current_device", lambda: None)
    with pytest.raises(ValueError, match="tune: expected a GPU whose plans can be timed"):
        xpnn.tune(run)
    with pytest.raises(ValueError, match="rounds: expected an integer of at least 1, got 0"):
        xpnn.tune(run, rounds=0)


def test_the_model_is_among_the_candidates_and_none_comes_twice() -> None:
    for own in (convolution(1, 256, 256, 14, 3), convolution(32, 64, 64, 56, 3), convolution(1, 1, 6, 28, 5)):
        found = conv_gather.candidates(*_arguments(own))
        assert conv_gather.tiling(*_arguments(own)) == found[0]
        assert len(set(found)) == len(found)


def _arguments(own: Any) -> tuple[Any, ...]:
    from xpnn.cuda.conv_tensor import _LARGE, _NARROW, _SMALL

    return (_LARGE, _SMALL, _NARROW), own, False, 16


def test_the_clock_of_a_gpu_is_a_stopwatch() -> None:
    assert train_tune.Stopwatch is timing.Stopwatch
