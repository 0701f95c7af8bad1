"""Averages of weights over the steps of a training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from .. import tree
from ..namespace.libraries import is_array, raw_namespace
from ..namespace.lift import is_inexact
from ..ops._checks import check_number
from .optimizer import bring, copied, is_short

__all__ = ["EMA"]


class EMA:
    """An exponential moving average of the arrays of a model: average = decay * average + (1 - decay) * array.

    model: a module or a tree of arrays, looked up anew each time. It starts with the arrays as they are; call update()
    after each optimiser step. The average of float16 and bfloat16 is kept in float32. Buffers (running statistics) and
    integers are not averaged.
    """

    def __init__(self, model: Any, decay: float = 0.999) -> None:
        check_number("decay", decay)
        if not 0 <= decay <= 1:
            raise ValueError(f"decay: expected a number in [0, 1], got {decay}")
        self.model = model
        self.decay = decay
        self.steps = 0
        self.average = {name: _start(x) for name, x in _arrays(model)}
        if not self.average:
            raise ValueError(f"model: expected floating-point arrays, got {type(model).__name__} without any")

    def update(self) -> None:
        """Takes in the arrays as they are now."""
        for (_, p), average in zip(_arrays(self.model), self._averages(self.model), strict=True):
            x = raw_namespace(p).astype(p, average.dtype, copy=False)
            average *= self.decay
            average += (1 - self.decay) * x
        self.steps += 1

    def copy_to(self, model: Any = None) -> None:
        """Writes the averages into the arrays of a model of the same form; None: of the model itself."""
        model = self.model if model is None else model
        for (_, p), average in zip(_arrays(model), self._averages(model), strict=True):
            p[...] = raw_namespace(p).astype(average, p.dtype, copy=False)

    @contextlib.contextmanager
    def applied(self) -> Iterator[Any]:
        """``with ema.applied():`` the model has the averages, and afterwards, whatever happens, its own arrays again."""
        own = [(p, copied(p)) for _, p in _arrays(self.model)]
        try:
            self.copy_to()
            yield self.model
        finally:
            for p, before in own:
                p[...] = before

    def state_dict(self) -> dict[str, Any]:
        """Steps done, and a copy of the averages by the paths of the arrays, for load_state_dict."""
        return {"steps": self.steps, "decay": self.decay, "average": tree.map(copied, self.average)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over a copy of what state_dict returned."""
        _check_names(state["average"], self.average)
        self.steps, self.decay = state["steps"], state["decay"]
        self.average = tree.map(copied, state["average"])

    def _averages(self, model: Any) -> list[Any]:
        """The averages of the model's arrays, brought to where these are."""
        arrays = dict(_arrays(model))
        _check_names(arrays, self.average)
        for name, p in arrays.items():
            one = {name: self.average[name]}
            bring(one, p)
            self.average.update(one)
        return [self.average[name] for name in arrays]


def _arrays(model: Any) -> list[tuple[str, Any]]:
    """(path, array) of what is averaged, an array in two places once."""
    found: dict[int, tuple[str, Any]] = {}
    for name, x in tree.flatten(model):
        if is_array(x) and (is_short(x) or is_inexact(x)):
            found.setdefault(id(x), (name, x))
    return list(found.values())


def _start(p: Any) -> Any:
    xp = raw_namespace(p)
    return xp.astype(p, xp.float32) if is_short(p) else copied(p)


def _check_names(found: dict[str, Any], own: dict[str, Any]) -> None:
    if found.keys() != own.keys():
        raise ValueError(f"average: expected arrays {', '.join(own)}, got {', '.join(found)}")
