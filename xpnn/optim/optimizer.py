"""What all optimisers share: the arrays they update, in place, and the state they keep for each."""

from __future__ import annotations

import functools
from numbers import Real
from typing import Any, ClassVar

from .. import tree
from ..backend import device_of, follow
from ..compiled import optimizer as compiled_optimizer
from ..cuda import optimizer as cuda_optimizer
from ..cuda.optimizer import Item, Step
from ..fallback import note_fallback
from ..namespace.array import Array
from ..namespace.libraries import is_array, library_name, raw_namespace
from ..namespace.lift import is_inexact
from ..ops._checks import check_number
from .groups import Group, arguments, is_groups, options_of

__all__ = [
    "Grouped",
    "Optimizer",
    "bring",
    "check_betas",
    "check_state",
    "copied",
    "is_short",
    "nonnegative",
    "widened",
    "with_master_weights",
]


class Optimizer:
    """Base of the optimisers: ``step(grads)`` updates the arrays of ``params`` in place.

    params: a module or a tree (dict, list, tuple) of arrays, looked up anew at every step, so that a model may be moved to
    another device in between. grads: what value_and_grad returned for it. An array in two places (tied weights) is
    updated once. Options are attributes of the arguments' names; schedules set lr. float16 and bfloat16 are computed in
    float32, which their state is kept in.

    params may be torch's list of groups as well, ``[{"params": model.encoder, "lr": 1e-4}, {"params": model.head}]``: what
    is made then is a ``Grouped``, with one optimiser of this class for each group.
    """

    maximize = False
    master_weights = False  # whether a step moves float32 copies of arrays of 16 bits, which are rounded from these
    initial_lr: float | None = None  # lr before the first schedule, which those that follow start from, too

    # By the library of the arrays: what steps many of them in one launch.
    implementations: ClassVar[dict[str, Any]] = {"numpy": compiled_optimizer, "cupy": cuda_optimizer}

    def __new__(cls, params: Any = None, *args: Any, **options: Any) -> Any:
        if not is_groups(params):
            return super().__new__(cls)
        return Grouped([cls(**own) for own in arguments(cls, params, args, options)])

    def __init__(self, params: Any, lr: float) -> None:
        nonnegative(lr=lr)
        self.params = params
        self.lr = lr
        self.steps = 0
        self.state: dict[str, dict[str, Any]] = {}
        self.masters: dict[str, Any] = {}
        if not any(is_array(x) and (is_short(x) or is_inexact(x)) for x in tree.leaves(params)):
            raise ValueError(
                f"params: expected a module or tree with floating-point arrays, got {type(params).__name__} without any"
            )

    @property
    def parts(self) -> list[Optimizer]:
        """The optimisers of the groups: this one alone, or those of a ``Grouped``."""
        return [self]

    @property
    def groups(self) -> list[Group]:
        """Arrays and options by group, as torch's param_groups; what is assigned to an option holds from the next step on."""
        return [Group(part) for part in self.parts]

    def step(self, grads: Any) -> None:
        """One update of all arrays. Raises ValueError if grads is not of the form of params."""
        self._apply(self._pairs(grads))

    def _apply(self, pairs: list[tuple[str, Any, Any]]) -> None:
        self.steps += 1
        owners = [(name, p) for name, p, _ in pairs if self.master_weights and is_short(p)]
        for name, p in owners:
            self._refresh_master(name, p)
        if owners:
            pairs = [(name, self.masters.get(name, p), widened(g)) for name, p, g in pairs]
        for p, g, state in self._without_kernel([Item(p, g, self._state_of(name, p)) for name, p, g in pairs]):
            wide = p
            if is_short(p):
                xp = raw_namespace(p)
                wide, g = xp.astype(p, xp.float32), xp.astype(g, xp.float32)
            if self.maximize:
                g = -g
            if not state:
                state.update(self.start(wide))
            self.update(wide, g, state)
            if wide is not p:
                p[...] = xp.astype(wide, p.dtype)
        for name, p in owners:
            p[...] = raw_namespace(p).astype(self.masters[name], p.dtype)

    def _refresh_master(self, name: str, p: Any) -> None:
        """The float32 copy of an array of 16 bits takes over what others have written to the array since the last step."""
        if name not in self.masters:
            self.masters[name] = widened(p)
            return
        own = {name: self.masters[name]}
        bring(own, p)
        self.masters.update(own)
        xp, master = raw_namespace(p), own[name]
        master[...] = xp.where(xp.astype(master, p.dtype) == p, master, widened(p))

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

    def unfused(self) -> str | None:
        """The option that the kernel does not know, or None."""
        return "maximize" if self.maximize else None

    def _without_kernel(self, items: list[Item]) -> list[Item]:
        """Steps what a kernel takes, and returns the rest."""
        library = library_name(items[0].p) if items else ""
        kind: Any = type(self)
        kernel = self.implementations.get(library) if _has_kernel(kind) else None
        option = self.unfused()
        if kernel is None or option is not None:
            why, rest = f"no kernel with {option}" if kernel is not None else "no kernel yet", items
        else:
            why, rest = kernel.step(self, items)
        if rest and library == "cupy":
            note_fallback(type(self).__name__, why)
        return rest

    def _state_of(self, name: str, p: Any) -> dict[str, Any]:
        """The state of an array, brought to where the array is now."""
        state = self.state.setdefault(name, {})
        bring(state, p)
        return state

    def _pairs(self, grads: Any) -> list[tuple[str, Any, Any]]:
        """(name, array, gradient) of everything that is trained, tied arrays once."""
        try:
            found = [(name, p, g) for name, p, g in tree.flatten(self.params, grads) if is_array(p) and g is not None]
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise ValueError(
                f"grads: expected a tree of the form of params ({type(self.params).__name__}), got {_form(grads)}: {error!r}"
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
        """Steps done, the options, and a copy of the state of every array, for load_state_dict."""
        return {"steps": self.steps, "lr": self.lr, **options_of(self), **self._kept()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over a copy of what state_dict returned, options included: training goes on bit for bit.

        Raises ValueError, before anything is changed, for the state of other arrays.
        """
        check_state(state)
        if "groups" in state:
            raise ValueError("state: expected that of an optimiser without groups; it has groups")
        check_state(state, "steps", "lr", "state")
        self._check_state(state["state"])
        self._adopt(state["steps"], state)

    def _adopt(self, steps: int, state: dict[str, Any]) -> None:
        for name in ("lr", *options_of(self)):
            setattr(self, name, state.get(name, getattr(self, name)))
        self.steps = steps
        self._keep(state)

    def _check_state(self, state: dict[str, dict[str, Any]]) -> None:
        """Raises unless what is kept by names belongs to arrays of params, of the same shape where it has as many axes."""
        own = {name: tuple(x.shape) for name, x in tree.flatten(self.params) if is_array(x)}
        if unknown := [name for name in state if name not in own]:
            raise ValueError(f"state: expected that of {', '.join(own)}, got {', '.join(unknown)}")
        for name, kept in state.items():
            for key, x in kept.items():
                if is_array(x) and len(x.shape) == len(own[name]) and tuple(x.shape) != own[name]:
                    raise ValueError(f"state: {key} of {name} has shape {tuple(x.shape)}, expected {own[name]}")

    def _kept(self) -> dict[str, Any]:
        """A copy of the state of every array, and of the float32 copies if there are any."""
        masters = {"masters": tree.map(copied, self.masters)} if self.masters else {}
        return {"state": tree.map(copied, self.state), **masters}

    def _keep(self, kept: dict[str, Any]) -> None:
        self.state = tree.map(copied, kept["state"])
        self.masters = tree.map(copied, kept.get("masters", {}))


class Grouped(Optimizer):
    """Optimisers of one class for groups of arrays: made by that class from torch's list of dicts.

    ``step(grads)`` takes a list of gradients, one for each group, each of the form of the group's "params". ``lr`` is the
    rate of the first group; assigned to, that of all.
    """

    def __init__(self, parts: list[Optimizer]) -> None:
        _check_apart(parts)
        self._parts = parts
        self.params = [part.params for part in parts]
        self.steps = 0

    @property
    def parts(self) -> list[Optimizer]:
        return self._parts

    @property
    def lr(self) -> float:
        return self._parts[0].lr

    @lr.setter
    def lr(self, lr: float) -> None:
        for part in self._parts:
            part.lr = lr

    def step(self, grads: Any) -> None:
        """One update of all groups. Raises ValueError, before any array moves, if grads is not of the form of params."""
        if not isinstance(grads, list | tuple) or len(grads) != len(self._parts):
            raise ValueError(
                f"grads: expected a list of {len(self._parts)} trees, one for each group, got {type(grads).__name__}"
                + (f" of {len(grads)}" if isinstance(grads, list | tuple) else "")
            )
        pairs = [part._pairs(g) for part, g in zip(self._parts, grads, strict=True)]
        self.steps += 1
        for part, own in zip(self._parts, pairs, strict=True):
            part._apply(own)

    def state_dict(self) -> dict[str, Any]:
        """Steps done, and by group the options and a copy of the state of every array."""
        groups = [{**options_of(part), **part._kept()} for part in self._parts]
        return {"steps": self.steps, "groups": groups}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over a copy of what state_dict returned, options included: training goes on bit for bit."""
        check_state(state)
        saved = state.get("groups", [])
        if len(saved) != len(self._parts):
            raise ValueError(f"state: expected that of {len(self._parts)} groups, got {len(saved)}")
        for part, group in zip(self._parts, saved, strict=True):
            part._check_state(group["state"])
        self.steps = state["steps"]
        for part, group in zip(self._parts, saved, strict=True):
            part._adopt(self.steps, group)


def _check_apart(parts: list[Optimizer]) -> None:
    """Raises ValueError if an array is in two groups: it would be updated twice."""
    owner: dict[int, int] = {}
    for i, part in enumerate(parts):
        for name, x in tree.flatten(part.params):
            if is_array(x) and owner.setdefault(id(x), i) != i:
                raise ValueError(f"params: {name} of group {i} is in group {owner[id(x)]} already")


def is_short(x: Any) -> bool:
    """Whether the dtype of x is float16 or bfloat16."""
    kind: Any = type(x)
    return _is_short(kind, x.dtype)


@functools.cache
def _is_short(kind: type, dtype: Any) -> bool:
    """By name: the standard knows neither of them; by type of array too: dtypes of two libraries do not like to be compared."""
    return str(dtype).rpartition(".")[2] in ("float16", "bfloat16")


def with_master_weights(optimizer: Optimizer) -> Optimizer:
    """The optimiser, which from now on updates float32 copies of arrays of float16 and bfloat16 and rounds these from them.

    Without, each update is rounded to 16 bits, and one that is less than half a step of the array's numbers is lost.
    """
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer: expected an xpnn.optim.Optimizer, got {type(optimizer).__name__}")
    for part in optimizer.parts:
        part.master_weights = True
    return optimizer


def widened(x: Any) -> Any:
    """x, in float32 if it is of float16 or bfloat16."""
    return raw_namespace(x).astype(x, raw_namespace(x).float32) if is_short(x) else x


def bring(state: dict[str, Any], p: Any) -> None:
    """Brings what is kept for an array to where the array is: it may come from a file, or the model was moved."""
    device = device_of(p)
    for key, x in state.items():
        if type(x) is not type(p) or device_of(x) != device:
            state[key] = follow(x, p)


def nonnegative(**options: float) -> None:
    """Raises ValueError unless all are 0 or more."""
    for name, value in options.items():
        check_number(name, value)
        if not value >= 0:
            raise ValueError(f"{name}: expected 0 or more, got {value}")


def check_state(state: Any, *keys: str) -> None:
    """Raises unless state is a dict with the keys."""
    if not isinstance(state, dict):
        raise TypeError(f"state: expected what state_dict() gave, a dict, got {type(state).__name__}")
    if missing := [key for key in keys if key not in state]:
        raise ValueError(f"state: expected what state_dict() gave, it has no {', '.join(sorted(missing))}")


def check_betas(betas: Any) -> None:
    """Raises unless they are two numbers in [0, 1)."""
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise ValueError(f"betas: expected two numbers in [0, 1), got {betas}")
    if not all(isinstance(beta, Real) and 0 <= float(beta) < 1 for beta in betas):
        raise ValueError(f"betas: expected two numbers in [0, 1), got {betas}")


def _form(grads: Any) -> str:
    """What gradients came, in a few words."""
    return f"dict of {', '.join(map(str, grads))}" if isinstance(grads, dict) else type(grads).__name__


@functools.cache
def _has_kernel(kind: Any) -> bool:
    """Whether the class that has the update says, too, how the kernel does it."""
    return "fused" in vars(next(c for c in kind.__mro__ if "update" in vars(c)))


def copied(x: Any) -> Any:
    """A copy of an array; anything else as it is."""
    return raw_namespace(x).asarray(x, copy=True) if is_array(x) else x
