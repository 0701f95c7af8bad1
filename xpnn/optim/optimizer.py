"""What all optimisers share: the arrays they update, in place, and the state they keep for each."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

from .. import tree
from ..backend import device_of, follow
from ..cuda import optimizer as cuda_optimizer
from ..cuda.optimizer import Item, Step
from ..fallback import note_fallback
from ..namespace.array import Array
from ..namespace.libraries import is_array, library_name, raw_namespace
from ..namespace.lift import is_inexact

__all__ = ["Optimizer", "check_betas", "is_short"]


class Optimizer:
    """Base of the optimisers: ``step(grads)`` updates the arrays of ``params`` in place.

    params: a module or a tree (dict, list, tuple) of arrays, looked up anew at every step, so that a model may be moved to
    another device in between. grads: what value_and_grad returned for it. An array in two places (tied weights) is
    updated once. lr is an attribute that schedules set. float16 and bfloat16 are computed in float32, which their state
    is kept in.
    """

    # By the library of the arrays: what steps many of them in one launch.
    implementations: ClassVar[dict[str, Any]] = {"cupy": cuda_optimizer}

    def __init__(self, params: Any, lr: float) -> None:
        if not lr >= 0:
            raise ValueError(f"lr: expected 0 or more, got {lr}")
        self.params = params
        self.lr = lr
        self.steps = 0
        self.state: dict[str, dict[str, Any]] = {}
        if not any(is_array(x) and (is_short(x) or is_inexact(x)) for x in tree.leaves(params)):
            raise ValueError(
                f"params: expected a module or tree with floating-point arrays, got {type(params).__name__} without any"
            )

    def step(self, grads: Any) -> None:
        """One update of all arrays. Raises ValueError if grads is not of the form of params."""
        pairs = self._pairs(grads)
        self.steps += 1
        for p, g, state in self._without_kernel([Item(p, g, self._state_of(name, p)) for name, p, g in pairs]):
            wide = p
            if is_short(p):
                xp = raw_namespace(p)
                wide, g = xp.astype(p, xp.float32), xp.astype(g, xp.float32)
            if not state:
                state.update(self.start(wide))
            self.update(wide, g, state)
            if wide is not p:
                p[...] = xp.astype(wide, p.dtype)

    def start(self, p: Any) -> dict[str, Any]:
        """The state of an array that was not updated yet."""
        return {}

    def update(self, p: Any, g: Any, state: dict[str, Any]) -> None:
        """Updates the array p in place, given its gradient g (not to be written to) and its state."""
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def fused(self, fresh: bool) -> Step:
        """The same update for the kernel; fresh: of arrays that have no state yet, which is then all zeros.

        It belongs to ``update``: a class that has an update and no ``fused`` of its own is computed without the kernel.
        """
        raise NotImplementedError(f"{type(self).__name__} has no kernel")

    def _without_kernel(self, items: list[Item]) -> list[Item]:
        """Steps what a kernel takes, and returns the rest."""
        library = library_name(items[0].p) if items else ""
        kind: Any = type(self)
        kernel = self.implementations.get(library) if _has_kernel(kind) else None
        if kernel is None:
            why, rest = "no kernel yet", items
        else:
            why, rest = kernel.step(self, items)
        if rest and library == "cupy":
            note_fallback(type(self).__name__, why)
        return rest

    def _state_of(self, name: str, p: Any) -> dict[str, Any]:
        """The state of an array, brought to where the array is now: it may come from a file, or the model was moved."""
        state = self.state.setdefault(name, {})
        device = device_of(p)
        for key, x in state.items():
            if type(x) is not type(p) or device_of(x) != device:
                state[key] = follow(x, p)
        return state

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


def is_short(x: Any) -> bool:
    """Whether the dtype of x is float16 or bfloat16."""
    kind: Any = type(x)
    return _is_short(kind, x.dtype)


@functools.cache
def _is_short(kind: type, dtype: Any) -> bool:
    """By name: the standard knows neither of them; by type of array too: dtypes of two libraries do not like to be compared."""
    return str(dtype).rpartition(".")[2] in ("float16", "bfloat16")


def check_betas(betas: tuple[float, float]) -> None:
    """Raises ValueError unless both are in [0, 1)."""
    if not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"betas: expected two numbers in [0, 1), got {betas}")


@functools.cache
def _has_kernel(kind: Any) -> bool:
    """Whether the class that has the update says, too, how the kernel does it."""
    return "fused" in vars(next(c for c in kind.__mro__ if "update" in vars(c)))


def _copy(x: Any) -> Any:
    return raw_namespace(x).asarray(x, copy=True) if is_array(x) else x
