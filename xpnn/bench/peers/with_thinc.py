"""Thinc: of the networks it has the dense one."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import BackendError
from . import Peer, Running, Task

__all__ = ["make"]


def make(device: str) -> Peer:
    api = importlib.import_module("thinc.api")
    if device != "cpu":
        raise BackendError(f"Thinc is measured on the CPU only, not on {device}")
    return Thinc(api, importlib.import_module("thinc").__version__)


class Thinc:
    name = "thinc"

    def __init__(self, api: Any, version: str) -> None:
        self._api, self.version = api, version

    def function(
        self, f: Callable[..., Any], arrays: Sequence[Any], places: Sequence[int], g: Any, device: Any
    ) -> dict[str, Callable[[], Any]]:
        return {"forward": lambda: f(*arrays)}

    def network(self, task: Task, device: Any) -> Running | None:
        if task.name != "mlp":
            return None
        x = task.inputs[0].reshape(len(task.target), -1)
        evaluated, trained = (self._model(task, x) for _ in range(2))
        optimizer = self._api.Adam(task.lr, L2=0.0, grad_clip=0.0, use_averages=False)
        rows = np.arange(len(x))

        def step() -> Any:
            logits, backward = trained.begin_update(x)
            p = np.exp(logits - logits.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            loss = -np.log(p[rows, task.target]).mean()
            p[rows, task.target] -= 1
            backward(p / np.float32(len(x)))
            trained.finish_update(optimizer)
            optimizer.step_schedules()
            return loss

        return Running(lambda: evaluated.predict(x), step)

    def to_numpy(self, x: Any) -> Any:
        return np.asarray(x)

    def _model(self, task: Task, x: Any) -> Any:
        layers = [self._api.Relu(256), self._api.Relu(256), self._api.Linear(10)]
        model = self._api.chain(*layers).initialize(X=x, Y=np.zeros((len(x), 10), np.float32))
        for layer, name in zip(layers, "147", strict=True):
            layer.set_param("W", task.weights[f"{name}.weight"].copy())
            layer.set_param("b", task.weights[f"{name}.bias"].copy())
        return model
