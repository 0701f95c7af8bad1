"""Containers of modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, ClassVar, Self

from ..ops._checks import check_whole
from .activation import ReLU, Sigmoid, Tanh
from .batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from .convolution import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .linear import Linear
from .module import Module
from .normalization import GroupNorm, LayerNorm

__all__ = ["ModuleDict", "ModuleList", "Sequential"]

# Layers that compute one of these activations along; of these very types, for a subclass may do something else.
_JOINING = frozenset((
    Linear, Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d,
    BatchNorm1d, BatchNorm2d, BatchNorm3d, GroupNorm, LayerNorm,
))  # fmt: skip
_ACTIVATIONS: dict[type, str] = {ReLU: "relu", Tanh: "tanh", Sigmoid: "sigmoid"}


class Numbered(Module):
    """Modules (or in a subclass arrays) called "0", "1", …, as in torch's state dicts; with the methods of a list."""

    def __init__(self, items: Iterable[Any] = ()) -> None:
        self._number(items)

    def _named(self) -> dict[str, Any]:
        return {name: x for name, x in self.__dict__.items() if name.isdigit() or isinstance(x, Module)}

    def _items(self) -> list[Any]:
        return list(self._named().values())

    def _number(self, items: Iterable[Any]) -> None:
        """Takes the items in the place of those that are there."""
        self._name({str(i): x for i, x in enumerate(_iterated(self, items))})

    def _name(self, items: Mapping[str, Any]) -> None:
        items = {name: self._checked(name, x) for name, x in items.items()}
        for name in self._named():
            del self.__dict__[name]
        self.__dict__.update(items)

    def _checked(self, name: str, x: Any) -> Any:
        if not callable(x):
            raise TypeError(f"{type(self).__name__}: module {name} is {_kind(x)}, expected a module or a function")
        return x

    def _like(self, items: Iterable[Any]) -> Self:
        """A container of the same kind, without what the constructor of a subclass would do."""
        new = object.__new__(type(self))
        new.training = self.training
        new._number(items)
        return new

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items())

    def __len__(self) -> int:
        return len(self._items())

    def __getitem__(self, index: int | slice) -> Any:
        items = self._items()[index]
        return self._like(items) if isinstance(index, slice) else items

    def __setitem__(self, index: int, item: Any) -> None:
        check_whole("index", index)
        name = list(self._named())[index]
        self.__dict__[name] = self._checked(name, item)

    def __delitem__(self, index: int | slice) -> None:
        items = self._items()
        del items[index]
        self._number(items)

    def __add__(self, other: Iterable[Any]) -> Self:
        return self._like([*self, *_iterated(self, other)])

    def __iadd__(self, other: Iterable[Any]) -> Self:
        return self.extend(other)

    def append(self, item: Any) -> Self:
        """Adds one at the end; returns the container."""
        name = next(str(i) for i in range(len(self), 2 * len(self) + 1) if str(i) not in self.__dict__)
        self.__dict__[name] = self._checked(name, item)
        return self

    def extend(self, items: Iterable[Any]) -> Self:
        """Adds several at the end; returns the container."""
        for item in _iterated(self, items):
            self.append(item)
        return self

    def insert(self, index: int, item: Any) -> Self:
        """Puts one before that at ``index``; returns the container, whose modules are numbered anew."""
        check_whole("index", index)
        items = self._items()
        items.insert(index, item)
        self._number(items)
        return self

    def pop(self, index: int = -1) -> Any:
        """Takes one out, the last one by default, and returns it."""
        check_whole("index", index)
        item = self[index]
        del self[index]
        return item


class Sequential(Numbered):
    """Modules (or plain functions) applied one after another: Sequential(a, b)(x) = b(a(x)).

    Of a dict of modules the names are kept: Sequential({"first": a, "second": b}). With the methods of a list, + and *.
    A Linear, convolution, BatchNorm, GroupNorm or LayerNorm followed by a ReLU, Tanh or Sigmoid is computed in one step, with
    the same result.
    """

    def __init__(self, *modules: Module | Callable[..., Any] | dict[str, Module]) -> None:
        if len(modules) == 1 and isinstance(modules[0], dict):
            for name, module in modules[0].items():
                check_name(self, name)
                if not isinstance(module, Module):
                    raise TypeError(f"{type(self).__name__}: {name} is {_kind(module)}, expected a module")
            self._name(modules[0])
        else:
            self._number(modules)

    def forward(self, x: Any) -> Any:
        ahead = self._items()[::-1]
        while ahead:
            module = ahead.pop()
            if ahead and type(module) in _JOINING and (activation := _ACTIVATIONS.get(type(ahead[-1]))):
                ahead.pop()
                x = module(x, activation=activation)
            else:
                x = module(x)
        return x

    def __getitem__(self, index: int | slice) -> Any:
        """Of a slice a Sequential of the same modules, under the same names."""
        if not isinstance(index, slice):
            return super().__getitem__(index)
        new = self._like(())
        new._name(dict(list(self._named().items())[index]))
        return new

    def __mul__(self, times: int) -> Self:
        """The same modules several times: their parameters are tied."""
        check_whole("times", times)
        if times < 1:
            raise ValueError(f"{type(self).__name__}: expected to be repeated 1 or more times, got {times}")
        return self._like(self._items() * times)

    __rmul__ = __mul__

    def __imul__(self, times: int) -> Self:
        self._number(self * times)
        return self


class ModuleList(Numbered):
    """A list of modules, with a list's methods; how they are applied is up to the module that holds it."""

    def __init__(self, modules: Iterable[Any] = ()) -> None:
        super().__init__(modules)


class Named(Module, MutableMapping[str, Any]):
    """Children by name, in the order in which they came; with the methods of a dict."""

    _expected: ClassVar[str] = "a module"
    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def _fill(self, items: Any) -> None:
        """Takes a dict, or pairs of names and values."""
        pairs = list(items.items() if isinstance(items, Mapping) else _iterated(self, items))
        for pair in pairs:
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise TypeError(
                    f"{type(self).__name__}: got {_kind(items)}, expected a dict, or pairs of names and values"
                )
            self[pair[0]] = pair[1]

    def _holds(self, x: Any) -> bool:
        return isinstance(x, Module)

    def _named(self) -> dict[str, Any]:
        return {name: x for name, x in self.__dict__.items() if self._holds(x)}

    def __setitem__(self, name: str, x: Any) -> None:
        check_name(self, name)
        if not self._holds(x):
            raise TypeError(f"{type(self).__name__}: {name} is {_kind(x)}, expected {self._expected}")
        self.__dict__[name] = x

    def __getitem__(self, name: str) -> Any:
        return self._named()[name]

    def __delitem__(self, name: str) -> None:
        del self._named()[name]  # raises for attributes of other kinds
        del self.__dict__[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._named())

    def popitem(self) -> tuple[str, Any]:
        """Takes the last one out; (name, value)."""
        if not len(self):
            raise KeyError(f"popitem: {type(self).__name__} is empty")
        name = next(reversed(self))
        return name, self.pop(name)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._named())

    def __len__(self) -> int:
        return len(self._named())


class ModuleDict(Named):
    """Modules by name, with a dict's methods; how they are applied is up to the module that holds it."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        self._fill({} if modules is None else modules)


def check_name(container: Module, name: Any) -> None:
    """Raises unless a child may have the name."""
    kind = type(container).__name__
    if not isinstance(name, str):
        raise TypeError(f"{kind}: the name {name!r} cannot be used; expected a string, got {_kind(name)}")
    if not name or "." in name or hasattr(type(container), name):
        raise ValueError(f"{kind}: the name {name!r} cannot be used; expected one without dots that is no attribute")


def _iterated(container: Module, items: Any) -> Iterable[Any]:
    if not isinstance(items, Iterable):
        raise TypeError(f"{type(container).__name__}: got {_kind(items)}, expected something to iterate over")
    return items


def _kind(x: Any) -> str:
    return type(x).__name__
