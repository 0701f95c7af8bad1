"""fit: a whole training run in one call."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .. import tree
from ..data import batches
from ..gradients import value_and_grad
from ..io import load_checkpoint
from ..nn.module import Module
from ..optim import Grouped, LossScaler, Optimizer, ReduceLROnPlateau, Schedule, clip_grad_norm
from .callbacks import StopTraining
from .evaluate import call, evaluate, towards
from .history import History
from .progress import Progress

__all__ = ["fit"]

Metric = Callable[[Any, Any], Any]


def fit(
    model: Module,
    data: tuple[Any, Any],
    *,
    loss: Metric,
    optimizer: Optimizer,
    epochs: int = 1,
    batch_size: int = 32,
    validation: tuple[Any, Any] | None = None,
    metrics: Mapping[str, Metric] | None = None,
    schedule: Schedule | ReduceLROnPlateau | None = None,
    max_grad_norm: float | None = None,
    loss_scaler: LossScaler | None = None,
    augment: Callable[[Any], Any] | None = None,
    callbacks: Iterable[Callable[[Module, dict[str, float]], None]] = (),
    resume: str | os.PathLike[str] | None = None,
    progress: bool | str = True,
) -> History:
    """Trains a model and returns the history, one record per epoch; the model is trained in place and left in training mode.

    data: (inputs, targets), arrays with the same first dimension; inputs may be a tuple for a model of several arguments.
    Arrays of the host are brought to a model on a GPU batch by batch, ahead of their use; so are those of ``validation``.
    loss: loss(prediction, target) -> scalar. metrics: {name: metric(prediction, target) -> scalar}, computed on
    ``validation`` = (inputs, targets) after each epoch, beside val_loss. schedule: stepped after every update;
    ReduceLROnPlateau after every epoch, with val_loss, or with loss if there is no ``validation``.
    max_grad_norm: clips the norm of all gradients together. loss_scaler: scales the loss, so that gradients of 16 bits do not
    become zero. augment: applied to the inputs of each training batch.
    callbacks: called with (model, record) after each epoch. resume: a file of the callback Checkpoint; the training goes on
    behind its epoch, up to ``epochs`` in all, as if it had never stopped, if everything else is as it was.
    progress: a bar on stderr, with this text if it is a string.
    Every pass is shuffled; xpnn.seed(n) before the call makes the run reproducible.
    """
    _check_optimizer(optimizer, model)
    stepped = schedule if isinstance(schedule, Schedule) else None
    step = _step(model, loss, optimizer, stepped, max_grad_norm, loss_scaler)
    train = towards(model, batches(*data, batch_size=batch_size, shuffle=True))
    callbacks = list(callbacks)
    history = History()
    lasting = [callback for callback in callbacks if hasattr(callback, "state_dict")]
    parts = {"optimizer": optimizer, "schedule": schedule, "callbacks": lasting, "history": history}
    done = 0 if resume is None else _resume(resume, model, parts)
    for callback in callbacks:
        if hasattr(callback, "begin"):
            callback.begin(parts)
    with Progress(len(train) * (epochs - done), progress) as bar:
        for epoch in range(done + 1, epochs + 1):
            start = time.perf_counter()
            model.train()
            values = [bar.advance(step(augment(x) if augment else x, y)) for x, y in train]
            record = {"epoch": epoch, "loss": _mean(values), "lr": optimizer.lr}
            if validation is not None:
                scores = evaluate(model, validation, {"loss": loss, **(metrics or {})})
                record.update({f"val_{name}": value for name, value in scores.items()})
            if isinstance(schedule, ReduceLROnPlateau):
                schedule.step(record.get("val_loss", record["loss"]))
            record["seconds"] = time.perf_counter() - start
            history.append(record)
            bar.show(record)
            if _stops(callbacks, model, record):
                break
    for callback in callbacks:
        if hasattr(callback, "restore"):
            callback.restore(model)
    return history


def _resume(path: str | os.PathLike[str], model: Module, parts: dict[str, Any]) -> int:
    """Loads a checkpoint of fit into the model and the parts; returns the epochs that it has behind it."""
    states = {name: part for name, part in parts.items() if name != "history" and part}
    saved = load_checkpoint(path, model=model, **states)
    if "epoch" not in saved or "history" not in saved:
        raise ValueError(f"resume: {os.fspath(path)!r} is not from a Checkpoint of fit: it has no epoch or no history")
    parts["history"].extend(saved["history"])
    return int(saved["epoch"])


def _check_optimizer(optimizer: Any, model: Module) -> None:
    """Raises unless the optimiser updates arrays of the model: another model's would be trained by its gradients."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer: expected an xpnn.optim.Optimizer, got {type(optimizer).__name__}")
    own = {id(x) for x in model.parameters()}
    if not any(id(x) in own for x in tree.leaves(optimizer.params)):
        raise ValueError("optimizer: expected one made for this model; it holds none of the model's arrays")


def _step(
    model: Module,
    loss: Metric,
    optimizer: Optimizer,
    schedule: Schedule | None,
    max_norm: float | None,
    scaler: LossScaler | None,
) -> Callable[[Any, Any], Any]:
    """One update: (inputs, targets) -> loss as a 0-d array."""

    def objective(model: Module, x: Any, y: Any) -> Any:
        value = loss(call(model, x), y)
        return value if scaler is None else scaler.scale(value)

    differentiated = value_and_grad(objective)

    def step(x: Any, y: Any) -> Any:
        value, grads = differentiated(model, x, y)
        if scaler is not None:
            value, grads = scaler.unscale((value, grads))
        if max_norm is not None:
            grads, _ = clip_grad_norm(grads, max_norm)
        grads = _by_group(optimizer, model, grads) if isinstance(optimizer, Grouped) else grads
        if scaler is None:
            optimizer.step(grads)
        else:
            scaler.step(optimizer, grads, unscaled=True)
        if schedule is not None:
            schedule.step()
        return value

    return step


def _by_group(optimizer: Grouped, model: Module, grads: Any) -> list[Any]:
    """The gradients of the model in the form of the optimiser's groups."""
    known = {id(p): g for _, p, g in tree.flatten(model, grads)}
    return [tree.map(lambda p: known.get(id(p)), params) for params in optimizer.params]


def _mean(values: list[Any]) -> float:
    """The mean of 0-d arrays: fetched from the device once, at the end of the epoch."""
    return float(sum(values[1:], values[0])) / len(values)


def _stops(callbacks: list[Any], model: Module, record: dict[str, float]) -> bool:
    """Calls all callbacks, and tells whether one of them wants to stop."""
    stops = False
    for callback in callbacks:
        try:
            callback(model, record)
        except StopTraining:
            stops = True
    return stops
