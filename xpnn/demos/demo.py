"""What the four demonstrations have in common: settings in, an outcome out, and files of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..io import save
from ..nn.module import Module
from ..train.history import History
from .plots import learning_curves

__all__ = ["Demo", "Learned", "Outcome", "Settings", "report", "write_files"]


@dataclass(frozen=True)
class Settings:
    """How to run a demonstration. quick: a few epochs, to see that everything works."""

    seed: int = 0
    quick: bool = False
    progress: bool = True


@dataclass(frozen=True)
class Learned:
    """A trained network, how the training went, its result on the test part, and the seconds that took."""

    model: Module
    history: History
    result: float
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What a demonstration found; ``draw`` writes a picture of predictions to a path."""

    learned: Learned
    baseline: float
    draw: Callable[[Path], None]


@dataclass(frozen=True)
class Demo:
    """A network, the data it learns, how its result is measured, and the packages that hold the data."""

    name: str
    data: str
    metric: str
    baseline: str
    packages: tuple[str, ...]
    run: Callable[[Settings], Outcome]


def report(demo: Demo, outcome: Outcome, device: str) -> dict[str, Any]:
    """The outcome as plain values, an entry of results.json."""
    return {
        "network": demo.name,
        "data": demo.data,
        "metric": demo.metric,
        "result": round(outcome.learned.result, 4),
        "baseline": round(outcome.baseline, 4),
        "baseline_is": demo.baseline,
        "parameters": outcome.learned.model.parameter_count,
        "device": device,
        "seconds": round(outcome.learned.seconds, 2),
    }


def write_files(demo: Demo, outcome: Outcome, folder: Path) -> None:
    """Weights, learning curves and predictions, each file whole or not at all."""
    save(outcome.learned.model, folder / f"{demo.name}.safetensors")
    learning_curves(outcome.learned.history, folder / f"{demo.name}-curves.png", title=f"{demo.name}: {demo.data}")
    outcome.draw(folder / f"{demo.name}-predictions.png")
