"""Callbacks of fit: functions called after each epoch with (model, record), the record being the epoch's numbers."""

from __future__ import annotations

import os
from typing import Any

from ..io import save
from ..nn.module import Module

__all__ = ["Checkpoint", "EarlyStopping", "StopTraining"]


class StopTraining(Exception):
    """Raised by a callback to end the training after the epoch."""


class _Best:
    """Watches one number of the records and tells when it is better than ever before."""

    def __init__(self, monitor: str, mode: str) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f'mode: expected "min" or "max", got {mode!r}')
        self.monitor = monitor
        self.mode = mode
        self.best: float | None = None

    def improved(self, record: dict[str, float]) -> bool:
        if self.monitor not in record:
            raise ValueError(f"monitor: no {self.monitor!r} in the history; known: {', '.join(record)}")
        value = record[self.monitor]
        better = self.best is None or (value < self.best if self.mode == "min" else value > self.best)
        if better:
            self.best = value
        return better


class EarlyStopping(_Best):
    """Stops when ``monitor`` has not improved for ``patience`` epochs; then the best weights are put back.

    ``restore()`` puts them back at any time; fit calls it at the end of the training.
    """

    def __init__(self, monitor: str = "val_loss", patience: int = 5, mode: str = "min") -> None:
        super().__init__(monitor, mode)
        self.patience = patience
        self.waited = 0
        self._state: dict[str, Any] = {}

    def __call__(self, model: Module, record: dict[str, float]) -> None:
        if self.improved(record):
            self.waited = 0
            self._state = {name: x + 0 for name, x in model.state_dict().items()}
            return
        self.waited += 1
        if self.waited >= self.patience:
            raise StopTraining

    def restore(self, model: Module) -> None:
        """Gives the model the weights of its best epoch."""
        if self._state:
            model.load_state_dict(self._state)


class Checkpoint(_Best):
    """Saves the weights to a file whenever ``monitor`` is better than ever before."""

    def __init__(self, path: str | os.PathLike[str], monitor: str = "val_loss", mode: str = "min") -> None:
        super().__init__(monitor, mode)
        self.path = path

    def __call__(self, model: Module, record: dict[str, float]) -> None:
        if self.improved(record):
            save(model, self.path)
