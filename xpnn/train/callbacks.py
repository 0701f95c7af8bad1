"""Callbacks of fit: functions called after each epoch with (model, record), the record being the epoch's numbers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..io import save, save_checkpoint
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

    def state_dict(self) -> dict[str, Any]:
        """What was seen so far, for a checkpoint."""
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what state_dict returned."""
        self.best = state["best"]


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

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "waited": self.waited, "weights": dict(self._state)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.waited, self._state = state["waited"], dict(state["weights"])
        super().load_state_dict(state)

    def restore(self, model: Module) -> None:
        """Gives the model the weights of its best epoch."""
        if self._state:
            model.load_state_dict(self._state)


class Checkpoint(_Best):
    """Writes the training to a file every ``every`` epochs; with best_only, if ``monitor`` is better than ever before then.

    path: of a .safetensors or .npz file; ``"run-{epoch}.safetensors"`` takes numbers of the record in, and keep=3 then
    deletes all but the last three. The file is written by xpnn.io.save_checkpoint: ``fit(..., resume=path)`` goes on from
    it, bit for bit if the checkpoint is the last of the callbacks, and ``xpnn.load`` reads the weights. weights_only=True,
    or a call outside of fit, writes these alone.
    """

    def __init__(
        self, path: str | os.PathLike[str], monitor: str = "val_loss", mode: str = "min", *, best_only: bool = True,
        every: int = 1, keep: int | None = None, weights_only: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(monitor, mode)
        for name, value in (("every", every), ("keep", 1 if keep is None else keep)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}: expected a positive integer, got {value!r}")
        if keep is not None and "{" not in os.fspath(path):
            raise ValueError(f'keep: expected a path with "{{epoch}}" in it, got {os.fspath(path)!r}')
        self.path = path
        self.best_only = best_only
        self.every = every
        self.keep = keep
        self.weights_only = weights_only
        self.files: list[str] = []
        self._parts: Mapping[str, Any] | None = None

    def begin(self, parts: Mapping[str, Any]) -> None:
        """Called by fit with what belongs into a checkpoint beside the model."""
        self._parts = parts

    def __call__(self, model: Module, record: dict[str, float]) -> None:
        if record["epoch"] % self.every or (self.best_only and not self.improved(record)):
            return
        path = self._path(record)
        files = [*(file for file in self.files if file != path), path]
        self.files = files if self.keep is None else files[-self.keep :]
        if self._parts is None or self.weights_only:
            save(model, path)
        else:
            save_checkpoint(path, model=model, epoch=record["epoch"], **self._parts)
        for file in set(files) - set(self.files):
            Path(file).unlink(missing_ok=True)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "files": list(self.files)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.files = list(state["files"])
        super().load_state_dict(state)

    def _path(self, record: dict[str, float]) -> str:
        path = os.fspath(self.path)
        try:
            return path.format(**record) if "{" in path else path
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"path: {path!r} asks for {error}; known: {', '.join(record)}") from None
