"""Networks of torch's layers as the same networks of ours, and back."""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .. import nn, random, tree
from ..backend import asarray
from ..errors import require
from ..namespace.libraries import is_array
from ..nn.module import Buffer, Module
from .host import bfloat16, host, is_bfloat16
from .options import kind_of, options, read_arguments

__all__ = ["from_torch", "to_torch"]


def from_torch(module: Any) -> Any:
    """The xpnn network of a torch network of layers that xpnn.nn has, with copies of its parameters and buffers.

    Containers may be nested; tied parameters stay tied, dtypes and training flags are kept. The arrays are made on the
    current backend. Raises ValueError that lists, by path, every layer or option that xpnn.nn does not have. A module with
    a forward of its own is to be written as an xpnn.nn.Module, which then takes torch's state_dict as it is.
    """
    torch = require("torch", "test-torch")
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module: expected a torch.nn.Module, got {type(module).__name__}")
    walk = _Walk(
        torch.nn,
        torch.nn.Module,
        nn,
        Module,
        lambda x: asarray(host(x).copy()),
        _fill_ours,
        _children_of_torch,
        "xpnn.nn",
    )
    with random.replay(random.get_state()):  # first values are drawn, and overwritten: the stream shall not notice
        return walk.result(module)


def to_torch(model: Module) -> Any:
    """The torch network of an xpnn network of layers that torch.nn has, on the CPU, with copies of its arrays.

    Raises ValueError that lists, by path, every layer or option that torch.nn does not have.
    """
    torch = require("torch", "test-torch")
    if not isinstance(model, Module):
        raise TypeError(f"model: expected an xpnn.nn.Module, got {type(model).__name__}")
    tensor = functools.partial(_tensor, torch)
    fill = functools.partial(_fill_theirs, torch)
    walk = _Walk(nn, Module, torch.nn, torch.nn.Module, tensor, fill, _children_of_ours, "torch.nn")
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "enable_nested_tensor")  # a default of torch that torch warns of
        return walk.result(model)


@dataclass
class _Walk:
    """From the layers of one package to those of the other; collects what cannot be converted."""

    source: Any
    source_base: type
    target: Any
    target_base: type
    array: Callable[[Any], Any]
    fill: Callable[[Any, Any, dict[int, Any]], None]
    children: Callable[[Any], list[tuple[str, Any]]]
    name: str
    problems: list[str] = field(default_factory=list)
    own: bool = False  # whether one of the problems is a module with a forward of its own
    done: dict[int, Any] = field(default_factory=dict)  # a module in two places stays one
    tied: dict[int, Any] = field(default_factory=dict)

    def result(self, module: Any) -> Any:
        made = self.build(module, "")
        if self.problems:
            how = "" if not self.own else (
                "; a module with a forward of its own is to be written as a class of xpnn.nn.Module with the same "
                "attributes, whose load_state_dict takes torch's state_dict() as it is"
            )  # fmt: skip
            raise ValueError(f"module: {self.name} does not have {', '.join(self.problems)}{how}")
        return made

    def build(self, module: Any, path: str) -> Any:
        if id(module) not in self.done:
            self.done[id(module)] = self.array(module) if is_array(module) else self._build(module, path)
        return self.done[id(module)]

    def _build(self, module: Any, path: str) -> Any:
        kind = kind_of(module, self.source, self.source_base)
        target = None if kind is None else getattr(self.target, kind.__name__, None)
        if target is None:
            self.own |= isinstance(module, self.source_base) and kind is None
            self._miss(path, f"{type(module).__module__}.{type(module).__qualname__}")
            return None
        made = self._container if kind.__name__ in _CONTAINERS else self._layer
        result = made(module, kind, target, path)
        if result is not None:
            result.train(module.training) if kind.__name__ not in _CONTAINERS else setattr(
                result, "training", module.training
            )
        return result

    def _container(self, module: Any, kind: Any, target: Any, path: str) -> Any:
        made = {name: self.build(child, f"{path}.{name}" if path else name) for name, child in self.children(module)}
        if any(child is None for child in made.values()):
            return None
        return _CONTAINERS[kind.__name__](target, made)

    def _layer(self, module: Any, kind: Any, target: Any, path: str) -> Any:
        given, wanted = options(kind, self.source_base), options(target, self.target_base)
        arguments, problems = read_arguments(module, given, wanted, kind.__name__)
        for problem in problems:
            self._miss(path, problem)
        arguments = {name: self._argument(x, f"{path}.{name}") for name, x in arguments.items()}
        if problems:
            return None
        try:
            made = target(**arguments)
            self.fill(made, module, self.tied)
        except (TypeError, ValueError, RuntimeError) as error:
            self._miss(path, f"{kind.__name__} like this one ({' '.join(str(error).split())})")
            return None
        return made

    def _argument(self, x: Any, path: str) -> Any:
        if isinstance(x, self.source_base):
            return self.build(x, path)
        x = x.value if type(x) is Buffer else x
        return self.array(x) if is_array(x) else x

    def _miss(self, path: str, what: str) -> None:
        self.problems.append(f"{what} at {path!r}" if path else what)


def _sequential(kind: Any, modules: dict[str, Any]) -> Any:
    numbered = list(modules) == [str(i) for i in range(len(modules))]
    return kind(*modules.values()) if numbered else kind(OrderedDict(modules))


_CONTAINERS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "Sequential": _sequential,
    "ModuleList": lambda kind, modules: kind(modules.values()),
    "ModuleDict": lambda kind, modules: kind(modules),
    "ParameterList": lambda kind, arrays: kind(arrays.values()),
    "ParameterDict": lambda kind, arrays: kind(arrays),
}


def _children_of_torch(module: Any) -> list[tuple[str, Any]]:
    return [*module._modules.items(), *module._parameters.items()]


def _children_of_ours(module: Any) -> list[tuple[str, Any]]:
    return list(module._named().items())


def _fill_ours(made: Module, module: Any, tied: dict[int, Any]) -> None:
    """Copies a torch layer's tensors into ours, in torch's dtype."""
    state = module.state_dict()
    dtypes = [str(x.dtype).removeprefix("torch.") for x in state.values() if x.is_floating_point()]
    if dtypes:
        made.astype(_bfloat16_or_longer() if dtypes[0] == "bfloat16" else dtypes[0])
    made.load_state_dict(state)
    arrays = dict(_arrays(made))
    for name, parameter in module.named_parameters(remove_duplicate=False):
        array = tied.setdefault(id(parameter), arrays[name])
        if array is not arrays[name]:
            *owners, last = name.split(".")
            setattr(functools.reduce(getattr, owners, made), last, array)


def _fill_theirs(torch: Any, made: Any, module: Module, tied: dict[int, Any]) -> None:
    """Copies our layer's arrays into torch's, in our dtype."""
    made.load_state_dict({name: _tensor(torch, x) for name, x in module.state_dict().items()}, assign=True)
    for name, array in _arrays(module):
        owner, _, last = name.rpartition(".")
        place = made.get_submodule(owner)._parameters
        place[last] = tied.setdefault(id(array), place[last])


def _bfloat16_or_longer() -> Any:
    kind = bfloat16()
    return "float32" if kind is None else kind


def _arrays(module: Module) -> Iterator[tuple[str, Any]]:
    return ((name, x) for name, x in tree.flatten(module) if is_array(x))


def _tensor(torch: Any, x: Any) -> Any:
    y = host(x)
    if is_bfloat16(y):
        return torch.from_numpy(y.view("int16").copy()).view(torch.bfloat16)
    return torch.from_numpy(y.copy())
