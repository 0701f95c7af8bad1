"""warmup: one pass through a model before it counts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import random, tree
from ..backend import synchronize
from ..gradients import vjp
from ..namespace import namespace
from ..namespace.libraries import is_array
from ..namespace.lift import is_inexact
from ..nn.module import Module
from ..primitive import explain

__all__ = ["both_ways", "warmup"]


def warmup(model: Module, *inputs: Any) -> list[str]:
    """Runs model(*inputs) forward and backward and waits for it, so that kernels are compiled before the first real step.

    Parameters, buffers and the random stream stay as they are. Returns the lines of ``explain``: which implementation of
    each fused primitive ran, and why. `xpnn warmup` in a shell compiles all kernels, for any model.
    """
    buffers = [(buffer, buffer.value) for _, buffer in model.named_buffers()]
    try:
        with random.replay(random.get_state()):
            lines = explain(both_ways(model), *inputs)
        synchronize()
    finally:
        for buffer, value in buffers:
            buffer.value = value
    return lines


def both_ways(model: Module) -> Callable[..., Any]:
    """The model forward and backward, as a function of its inputs; one without parameters forward only."""
    trains = any(is_inexact(x) for x in model.parameters())
    return functools.partial(_both, model) if trains else model


def _both(model: Module, *inputs: Any) -> None:
    """Forward and backward, with a gradient of ones."""
    y, pullback = vjp(lambda model: model(*inputs), model)
    pullback(tree.map(lambda x: namespace(x).ones_like(x) if is_array(x) else x, y))
