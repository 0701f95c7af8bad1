"""Module: what all layers are. A plain object whose attributes are its arrays, submodules and options."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

from .. import tree
from ..backend import asarray, device_of, follow, on_device
from ..gradients import replaying, stop_gradient
from ..namespace.array import Array
from ..namespace.libraries import is_array, library_name, raw_namespace
from ..namespace.lift import floating_kind
from ..ops._checks import check_flags

__all__ = ["Buffer", "IncompatibleKeys", "Module"]

_TIES = "__ties__"  # in a pickle: for each leaf the place of the first that is the same array
_PLAIN = frozenset((int, float, bool, str, type(None), complex))


class Buffer:
    """An array that a layer keeps but that is no parameter (running statistics, counters).

    The cell is shared with the copies that value_and_grad makes of a module, so that an update inside a trace reaches the
    module itself; what is stored is detached from the trace. Where checkpoint runs a function again, it stays as it is.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def update(self, value: Any) -> None:
        """Stores a new value, raw; nothing in the second run of a checkpoint, for the first has stored it."""
        if replaying():
            return
        value = stop_gradient(value)
        self.value = value._value if type(value) is Array else value

    def __reduce__(self) -> tuple[Any, ...]:
        return Buffer, (_host(self.value),)

    def __deepcopy__(self, memo: dict[int, Any]) -> Buffer:
        return Buffer(copy.deepcopy(self.value, memo))

    def __copy__(self) -> Buffer:
        return Buffer(self.value)


class IncompatibleKeys(NamedTuple):
    """What load_state_dict passed over, as torch names it; both are empty unless strict=False."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base of all layers and networks.

    Assign arrays, modules, or lists, tuples and dicts of them to attributes and write ``forward``; nothing is registered.
    Floating-point arrays are the parameters, under their attribute's name. ``training`` is what train() and eval() set.
    """

    training: bool = True

    def forward(self, *args: Any, **options: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.forward(*args, **options)

    # ---- the tree

    def __tree_children__(self) -> list[str]:
        return [name for name, value in self.__dict__.items() if type(value) not in _PLAIN and _is_branch(value)]

    def __tree_copy__(self, children: Mapping[str, Any]) -> Self:
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new.__dict__.update(children)
        return new

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """Pairs (name, array) like ("layers.0.weight", w); an array in two places comes once, under its first name."""
        seen: set[int] = set()
        for name, value in tree.flatten(self):
            if is_array(value) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def parameters(self) -> Iterator[Any]:
        """The arrays that are trained."""
        return (value for _, value in self.named_parameters())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module ("") and all below it, with their names."""
        yield prefix, self
        for name, value in self.__dict__.items():
            for inner, module in _modules_in(value, name):
                yield from module.named_modules(f"{prefix}.{inner}" if prefix else inner)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Pairs (name, buffer) of this module and all below it."""
        for prefix, module in self.named_modules():
            for name, value in module.__dict__.items():
                if type(value) is Buffer:
                    yield (f"{prefix}.{name}" if prefix else name), value

    # ---- state

    def train(self, mode: bool = True) -> Self:
        """Switches dropout, batch statistics and the like on (or off), here and below; returns the module."""
        check_flags(mode=mode)
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switches to evaluation: train(False)."""
        return self.train(False)

    def state_dict(self) -> dict[str, Any]:
        """All parameters and buffers by name, the arrays themselves."""
        arrays = {name: value for name, value in tree.flatten(self) if is_array(value)}
        return {**arrays, **{name: buffer.value for name, buffer in self.named_buffers()}}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copies arrays (of any library, torch's tensors too) into the parameters and buffers of the same names, in place.

        Raises ValueError that lists missing, unexpected and mis-shaped names, and what is no array of numbers; then nothing
        was changed. strict=False passes over missing and unexpected names, and returns them.
        """
        own = self.state_dict()
        found = _read_state(own, state, strict)
        buffers = dict(self.named_buffers())
        for name, new in found.items():
            if name in buffers:
                buffers[name].update(new)
            else:
                own[name][...] = new
        return IncompatibleKeys(
            [name for name in own if name not in state], [name for name in state if name not in own]
        )

    def to(self, device: str) -> Self:
        """Moves all parameters and buffers to a device ("cpu", "gpu", "gpu:1"), in place; returns the module."""
        return self._convert(lambda x: asarray(x, device=device))

    def astype(self, dtype: str) -> Self:
        """Converts all floating-point parameters and buffers to a dtype ("float32", …), in place; returns the module."""

        def cast(x: Any) -> Any:
            return asarray(x, dtype, device=device_of(x)) if floating_kind(x) == "real" else x

        return self._convert(cast)

    # ---- copies

    def __getstate__(self) -> dict[str, Any]:
        """For pickle, joblib and the like: the arrays of a GPU as NumPy arrays, so that any machine can read them."""
        leaves = list(tree.leaves(self))
        arrays = [x for x in [*leaves, *(buffer.value for _, buffer in self.named_buffers())] if is_array(x)]
        memo = {id(x): _host(x) for x in arrays}
        state = self.__dict__
        if any(memo[id(x)] is not x for x in arrays):
            state = copy.deepcopy(state, memo)  # the memo gives tied arrays, and modules in two places, one copy
        first: dict[int, int] = {}
        places = [first.setdefault(id(x), i) if is_array(x) else i for i, x in enumerate(leaves)]
        return {**state, _TIES: places} if len(first) < sum(map(is_array, leaves)) else state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Ties again what was tied: joblib, unlike pickle, makes an array of its own of each."""
        self.__dict__.update({name: value for name, value in state.items() if name != _TIES})
        if _TIES in state:
            leaves = list(tree.leaves(self))
            tied = (leaves[i] for i in state[_TIES])
            self._adopt(tree.map(lambda _: next(tied), self))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        new = object.__new__(type(self))
        memo[id(self)] = new
        new.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return new

    def __copy__(self) -> Self:
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        return new

    @property
    def device(self) -> str:
        """The device of the parameters: "cpu" or "gpu:N"; "cpu" where there are none."""
        return next((device_of(x) for x in self.parameters()), "cpu")

    @property
    def parameter_count(self) -> int:
        """How many numbers are trained."""
        return sum(math.prod(x.shape) for x in self.parameters())

    def _convert(self, f: Callable[[Any], Any]) -> Self:
        done: dict[int, tuple[Any, Any]] = {}  # keeps tied arrays tied; holds the old ones, whose ids must stay taken

        def once(x: Any) -> Any:
            if not is_array(x):
                return x
            if id(x) not in done:
                done[id(x)] = x, f(x)
            return done[id(x)][1]

        self._adopt(tree.map(once, self))
        for _, buffer in self.named_buffers():
            buffer.value = f(buffer.value)
        return self

    def _adopt(self, other: Module) -> None:
        """Takes over the arrays of a copy of this module; submodules stay the objects that they are."""
        for name in self.__tree_children__():
            setattr(self, name, _adopted(getattr(self, name), getattr(other, name)))

    # ---- how it looks

    def summary(self, *inputs: Any) -> Any:
        """A table, to print, of the layers: their output shapes and how many numbers they train; a forward finds them.

        inputs: the shapes of the forward's arguments, batch included, which then are zeros of the parameters' dtype, or
        the arguments themselves: ``model.summary((1, 28, 28))``, ``model.summary(indices)``. The forward is one in
        evaluation, of a copy: the model stays as it is.
        """
        from .summary import summarize

        return summarize(self, inputs)

    def extra_repr(self) -> str:
        """The options shown by repr(), as in torch."""
        return ""

    def __repr__(self) -> str:
        children = [(n, m) for name, value in self.__dict__.items() for n, m in _modules_in(value, name)]
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = [f"  ({name}): " + repr(module).replace("\n", "\n  ") for name, module in children]
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])


def _host(x: Any) -> Any:
    """An array of a GPU as a NumPy array; anything else as it is."""
    return x.get() if is_array(x) and device_of(x) != "cpu" else x


def _is_branch(value: Any) -> bool:
    """Whether an attribute belongs to the tree: an array that can be written to, a module, a container with one of them."""
    if isinstance(value, Module) or type(value) is Array:
        return True
    if isinstance(value, list | tuple):
        return any(map(_is_branch, value))
    if type(value) is dict:
        return any(map(_is_branch, value.values()))
    return is_array(value) and hasattr(value, "__setitem__")  # a NumPy scalar is an option, no parameter


def _modules_in(value: Any, name: str) -> Iterator[tuple[str, Module]]:
    """Modules in an attribute or in the containers it holds, with their names."""
    if isinstance(value, Module):
        yield name, value
    elif isinstance(value, list | tuple | dict):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _modules_in(item, f"{name}.{key}")


def _adopted(old: Any, new: Any) -> Any:
    if isinstance(old, Module):
        old._adopt(new)
        return old
    if isinstance(old, list | tuple):
        items = [_adopted(a, b) for a, b in zip(old, new, strict=True)]
        return type(old)(*items) if hasattr(old, "_fields") else type(old)(items)
    if type(old) is dict:
        return {key: _adopted(item, new[key]) for key, item in old.items()}
    return new


def _read_state(own: Mapping[str, Any], state: Any, strict: bool) -> dict[str, Any]:
    """Copies of the arrays that are in both, as they are kept here; ValueError that lists all that does not fit."""
    if not isinstance(state, Mapping):
        raise TypeError(f"state: expected a dict of arrays by name, got {type(state).__name__}")
    problems = []
    if strict and (missing := [name for name in own if name not in state]):
        problems.append(f"missing: {', '.join(missing)}")
    if strict and (unexpected := [str(name) for name in state if name not in own]):
        problems.append(f"unexpected: {', '.join(unexpected)}")
    found: dict[str, Any] = {}
    shapes, kinds = [], []
    for name in (name for name in own if name in state):
        expected, shape = tuple(own[name].shape), getattr(state[name], "shape", None)
        if shape is not None and tuple(shape) != expected:
            shapes.append(f"{name} {tuple(shape)}, expected {expected}")
            continue
        if _is_convertible(state[name], own[name]):
            found[name] = _converted(state[name], own[name])
        else:
            kind = getattr(state[name], "dtype", type(state[name]).__name__)
            kinds.append(f"{name} {kind}, expected {own[name].dtype}")
    problems += [f"of another shape: {'; '.join(shapes)}"] if shapes else []
    problems += [f"of another kind: {'; '.join(kinds)}"] if kinds else []
    if problems:
        raise ValueError("state_dict does not fit the expected names and shapes: " + " | ".join(problems))
    return found


def _is_convertible(x: Any, like: Any) -> bool:
    """Whether x is an array of numbers that the dtype of ``like`` can stand for."""
    if not is_array(x) or getattr(x.dtype, "kind", "f") in "OSUMm":
        return False
    return "complex" not in str(x.dtype) or "complex" in str(like.dtype)


def _converted(x: Any, like: Any) -> Any:
    """A copy of x in the library, device and dtype of ``like``."""
    if library_name(x) == "torch" and library_name(like) != "torch":  # which gives nothing away on a GPU or in a graph
        x = x.detach().cpu()
        x = x.float() if str(x.dtype) == "torch.bfloat16" else x
    with on_device(device_of(like)):
        return raw_namespace(like).astype(_followed(x, like), like.dtype)


def _followed(x: Any, like: Any) -> Any:
    """x in the library of ``like``. bfloat16, which is no kind of number to the standard, passes as it is or as float32."""
    if str(x.dtype) == "bfloat16" and library_name(x) == "numpy":
        x = x.astype("float32")
    return follow(x, like)
