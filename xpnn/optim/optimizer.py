"""What all optimisers share: the arrays they update, in place, and the state they keep for each."""

from __future__ import annotations

from typing import Any

from .. import tree
from ..namespace.array import Array
from ..namespace.libraries import is_array, raw_namespace
from ..namespace.lift import is_inexact

__all__ = ["Optimizer"]


class Optimizer:
    """Base of the optimisers: ``step(grads)`` updates the arrays of ``params`` in place.

    params: a module or a tree (dict, list, tuple) of arrays, looked up anew at every step, so that a model may be moved to
    another device in between. grads: what value_and_grad returned for it. An array in two places (tied weights) is
    updated once. lr is an attribute that schedules set.
    """

    def __init__(self, params: Any, lr: float) -> None:
        if not lr >= 0:
            raise ValueError(f"lr: expected 0 or more, got {lr}")
        self.params = params
        self.lr = lr
        self.steps = 0
        self.state: dict[str, dict[str, Any]] = {}
        if not any(is_array(x) and is_inexact(x) for x in tree.leaves(params)):
            raise ValueError(
                f"params: expected a module or tree with floating-point arrays, got {type(params).__name__} without any"
            )

    def step(self, grads: Any) -> None:
        """One update of all arrays. Raises ValueError if grads is not of the form of params."""
        pairs = self._pairs(grads)
        self.steps += 1
        for name, p, g in pairs:
            state = self.state.get(name)
            if state is None:
                state = self.state[name] = self.start(p)
            self.update(p, g, state)

    def start(self, p: Any) -> dict[str, Any]:
        """The state of an array that was not updated yet."""
        return {}

    def update(self, p: Any, g: Any, state: dict[str, Any]) -> None:
        """Updates the array p in place, given its gradient g (not to be written to) and its state."""
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def _pairs(self, grads: Any) -> list[tuple[str, Any, Any]]:
        """(name, array, gradient) of everything that is trained, tied arrays once."""
        try:
            found = [(name, p, g) for name, p, g in tree.flatten(self.params, grads) if is_array(p) and g is not None]
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise ValueError(
                f"grads: expected a tree of the form of params ({type(self.params).__name__}): {error!r}"
            ) from None
        for name, p, g in found:
            if type(g) is Array:
                raise TypeError(
                    f"grads: {name} is a traced array; call step() outside of the function that is differentiated"
                )
            if getattr(g, "shape", None) != p.shape:
                raise ValueError(f"grads: {name} has shape {getattr(g, 'shape', None)}, expected {p.shape}")
        unique = {id(p): (name, p, g) for name, p, g in reversed(found)}
        return list(reversed(unique.values()))

    def state_dict(self) -> dict[str, Any]:
        """Steps done, the rate, and a copy of the state of every array, for load_state_dict."""
        return {"steps": self.steps, "lr": self.lr, "state": tree.map(_copy, self.state)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over a copy of what state_dict returned: training goes on bit for bit."""
        self.steps, self.lr = state["steps"], state["lr"]
        self.state = tree.map(_copy, state["state"])


def _copy(x: Any) -> Any:
    return raw_namespace(x).asarray(x, copy=True) if is_array(x) else x
