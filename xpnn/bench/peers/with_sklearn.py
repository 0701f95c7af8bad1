"""scikit-learn's MLPClassifier, which does one of the networks, and its whole training step only."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import BackendError
from . import Peer, Running, Task

__all__ = ["make"]


def make(device: str) -> Peer:
    importlib.import_module("sklearn.neural_network")
    if device != "cpu":
        raise BackendError(f"scikit-learn computes on the CPU, not on {device}")
    return Sklearn(importlib.import_module("sklearn"))


class Sklearn:
    name = "sklearn"

    def __init__(self, sklearn: Any) -> None:
        self.version = str(sklearn.__version__)

    def function(
        self, f: Callable[..., Any], arrays: Sequence[Any], places: Sequence[int], g: Any, device: Any
    ) -> dict[str, Callable[[], Any]]:
        return {"forward": lambda: f(*arrays)}

    def network(self, task: Task, device: Any) -> Running | None:
        if task.name != "mlp":
            return None
        x, labels = task.inputs[0].reshape(len(task.target), -1), task.target
        trained = _model(task, x)

        def step() -> Any:
            return trained.partial_fit(x, labels).loss_

        # Its Adam adds epsilon before the correction of the second moment, not after: small gradients move less.
        return Running(None, step, tolerance=2e-2)

    def to_numpy(self, x: Any) -> Any:
        return np.asarray(x)


def _model(task: Task, x: Any) -> Any:
    """The network with the weights of the task; made by a step on other data, whose optimiser is thrown away."""
    model = importlib.import_module("sklearn.neural_network").MLPClassifier(
        (256, 256), alpha=0.0, batch_size=len(x), learning_rate_init=task.lr, shuffle=False
    )
    model.partial_fit(np.zeros_like(x), task.target, classes=np.arange(10))
    model.coefs_ = [np.ascontiguousarray(task.weights[f"{name}.weight"].T) for name in "147"]
    model.intercepts_ = [task.weights[f"{name}.bias"].copy() for name in "147"]
    del model._optimizer
    return model
