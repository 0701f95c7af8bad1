"""Scaling of the loss, so that small gradients of 16 bits do not become zero."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import tree
from ..backend import follow
from ..namespace.libraries import is_array, raw_namespace
from ..namespace.lift import is_inexact
from ..ops._checks import check_floating, check_number, check_whole
from .optimizer import Optimizer, check_state, copied, is_short, widened

__all__ = ["LossScaler"]


class LossScaler:
    """Dynamic scaling of the loss, with the defaults of torch's GradScaler.

    ``scale(loss)`` is what is differentiated; ``step(optimizer, grads)`` divides the gradients by the scale, in float32, and
    steps. Where one of them is infinite or nan, that step leaves all arrays and all state as they were, and the scale is
    multiplied by backoff_factor; after growth_interval steps in a row without, by growth_factor. Both are decided on the
    device: nothing is fetched to the host. What the host counts, the optimiser's steps and its schedule, goes on in a
    step that is left out, too.
    """

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
    ) -> None:
        for name, value in (
            ("init_scale", init_scale), ("growth_factor", growth_factor), ("backoff_factor", backoff_factor)
        ):  # fmt: skip
            check_number(name, value)
        check_whole("growth_interval", growth_interval)
        if not 0 < init_scale < math.inf:
            raise ValueError(f"init_scale: expected a positive number, got {init_scale}")
        if not 1 < growth_factor < math.inf:
            raise ValueError(f"growth_factor: expected a number above 1, got {growth_factor}")
        if not 0 < backoff_factor < 1:
            raise ValueError(f"backoff_factor: expected a number between 0 and 1, got {backoff_factor}")
        if growth_interval < 1:
            raise ValueError(f"growth_interval: expected 1 or more, got {growth_interval}")
        self.growth_factor = growth_factor
        self.backoff_factor = backoff_factor
        self.growth_interval = growth_interval
        # 0-d arrays of float32, which follow the loss and the gradients to their device.
        self._scale: Any = np.asarray(init_scale, np.float32)
        self._growing: Any = np.asarray(0.0, np.float32)  # steps in a row without an infinite or nan gradient

    def scale(self, loss: Any) -> Any:
        """loss times the scale, in float32 or better."""
        check_floating("loss", loss)
        self._scale = follow(self._scale, loss)
        return loss * self._scale

    def unscale(self, grads: Any) -> Any:
        """grads divided by the scale; float16 and bfloat16 become float32, which is where small ones can be told from zero."""
        return tree.map(lambda g: self._unscaled(g) if is_array(g) else g, grads)

    def step(self, optimizer: Optimizer, grads: Any, *, unscaled: bool = False) -> None:
        """One step of the optimiser with the gradients of the scaled loss; unscaled: they come from ``unscale`` already."""
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer: expected an xpnn.optim.Optimizer, got {type(optimizer).__name__}")
        own = grads if unscaled else self.unscale(grads)
        arrays = [g for g in tree.leaves(own) if is_array(g)]
        if not arrays:
            raise ValueError(f"grads: expected a tree with arrays, got {type(grads).__name__} without any")
        bad = _any_nonfinite(arrays)
        before = {place: copied(x) for place, x in _held(optimizer)}
        # Zeros in the place of what is left out: no arithmetic with inf and nan, of which NumPy would warn.
        optimizer.step(tree.map(lambda g: _chosen(bad, raw_namespace(g).zeros_like(g), g) if is_array(g) else g, own))
        for place, x in _held(optimizer):
            old = before[place] if place in before else _first(optimizer, place, x, before)
            x[...] = _chosen(bad, old, x)
        self._update(bad)

    def get_scale(self) -> float:
        """The scale as it is now; on a GPU this waits for it."""
        return float(self._scale)

    def state_dict(self) -> dict[str, Any]:
        """Scale, options and the number of good steps in a row, for load_state_dict; on a GPU this waits for it."""
        return {
            "scale": self.get_scale(),
            "growth_factor": self.growth_factor,
            "backoff_factor": self.backoff_factor,
            "growth_interval": self.growth_interval,
            "growth_tracker": int(self._growing),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what state_dict returned."""
        check_state(state, "scale", "growth_factor", "backoff_factor", "growth_interval", "growth_tracker")
        self._scale = np.asarray(state["scale"], np.float32)
        self._growing = np.asarray(state["growth_tracker"], np.float32)
        self.growth_factor, self.backoff_factor = state["growth_factor"], state["backoff_factor"]
        self.growth_interval = state["growth_interval"]

    def _unscaled(self, g: Any) -> Any:
        self._scale = follow(self._scale, g)
        wide = widened(g)
        return wide / raw_namespace(wide).astype(self._scale, wide.dtype, copy=False)

    def _update(self, bad: Any) -> None:
        """The scale and the count behind a step; bad: whether it was left out."""
        xp = raw_namespace(bad)
        scale, growing = follow(self._scale, bad), follow(self._growing, bad)
        zero = xp.zeros_like(growing)
        growing = xp.where(bad, zero, growing + 1)
        grows = growing >= self.growth_interval
        larger = scale * self.growth_factor
        larger = xp.where(grows & xp.isfinite(larger), larger, scale)
        self._scale = xp.where(bad, scale * self.backoff_factor, larger)
        self._growing = xp.where(grows, zero, growing)


_Place = tuple[int, str, str]  # a group, what of it, and the path of an array
_MASTER = "float32 copy"


def _held(optimizer: Optimizer) -> Iterator[tuple[_Place, Any]]:
    """All arrays that a step may change: ("", path) those that are trained, else by what the state calls them."""
    for i, part in enumerate(optimizer.parts):
        yield from (((i, "", path), x) for path, x in tree.flatten(part.params) if is_array(x) and _is_float(x))
        yield from (((i, _MASTER, path), x) for path, x in part.masters.items())
        for path, state in part.state.items():
            yield from (((i, name, path), x) for name, x in state.items() if is_array(x))


def _first(optimizer: Optimizer, place: _Place, x: Any, before: dict[_Place, Any]) -> Any:
    """What an array of the state was before its first step."""
    i, name, path = place
    wide = widened(before[i, "", path])
    return wide if name == _MASTER else optimizer.parts[i].start(wide).get(name, raw_namespace(x).zeros_like(x))


def _chosen(first: Any, a: Any, b: Any) -> Any:
    return raw_namespace(b).where(follow(first, b), a, b)


def _any_nonfinite(arrays: list[Any]) -> Any:
    """Whether any element of any array is infinite or nan, as a 0-d array."""
    xp, bad = raw_namespace(arrays[0]), None
    for g in arrays:
        own = ~xp.all(xp.isfinite(g))
        bad = own if bad is None else bad | follow(own, bad)
    return bad


def _is_float(x: Any) -> bool:
    return is_short(x) or is_inexact(x)
