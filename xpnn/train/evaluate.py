"""Predictions and metrics of a model over many rows, in batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import tree
from ..backend import asarray
from ..data import Batches, Prefetch, batches, prefetch
from ..namespace.libraries import is_array, raw_namespace
from ..nn.module import Module

__all__ = ["call", "evaluate", "predict", "towards"]


def predict(model: Module, inputs: Any, batch_size: int = 256) -> Any:
    """model(inputs) in evaluation mode, batch by batch, joined along the first axis; the model's mode is kept.

    inputs: an array, or a tuple of arrays for a model of several arguments; arrays of the host are brought to a model on a
    GPU batch by batch, ahead of their use, and the result stays there.
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        parts = [call(model, x) for x in towards(model, batches(inputs, batch_size=batch_size))]
    finally:
        for module, mode in modes:
            module.training = mode
    return parts[0] if len(parts) == 1 else raw_namespace(parts[0]).concat(parts, axis=0)


def evaluate(
    model: Module, data: tuple[Any, Any], metrics: Mapping[str, Callable[[Any, Any], Any]], batch_size: int = 256
) -> dict[str, float]:
    """Each metric(prediction, target) over all rows of data = (inputs, targets), in evaluation mode, as Python floats."""
    inputs, targets = data
    prediction = predict(model, inputs, batch_size)
    if model.device != "cpu":
        targets = tree.map(lambda x: asarray(x, device=model.device) if is_array(x) else x, targets)
    return {name: float(metric(prediction, targets)) for name, metric in metrics.items()}


def towards(model: Module, data: Batches) -> Batches | Prefetch:
    """The batches on the model's device if that is a GPU; what is on a GPU does not go to the host unasked."""
    return data if model.device == "cpu" else prefetch(data, model.device)


def call(model: Any, inputs: Any) -> Any:
    """The model of one input, or of a tuple of them."""
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)
