"""Containers of modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

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


class _Numbered(Module):
    """Modules under the names "0", "1", …, as in torch's state dicts."""

    def __init__(self, modules: Iterable[Any]) -> None:
        for i, module in enumerate(modules):
            if not callable(module):
                raise TypeError(
                    f"{type(self).__name__}: module {i} is {type(module).__name__}, expected a module or a function"
                )
            self.__dict__[str(i)] = module

    def _items(self) -> list[Any]:
        return [value for name, value in self.__dict__.items() if name.isdigit()]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items())

    def __len__(self) -> int:
        return len(self._items())

    def __getitem__(self, index: int | slice) -> Any:
        items = self._items()[index]
        return type(self)._of(items) if isinstance(index, slice) else items

    def append(self, module: Any) -> Self:
        """Adds a module at the end; returns the container."""
        self.__dict__[str(len(self))] = module
        return self

    @classmethod
    def _of(cls, items: Iterable[Any]) -> Self:
        new = object.__new__(cls)
        _Numbered.__init__(new, items)
        return new


class Sequential(_Numbered):
    """Modules (or plain functions) applied one after another: Sequential(a, b)(x) = b(a(x)).

    A Linear, convolution, BatchNorm, GroupNorm or LayerNorm followed by a ReLU, Tanh or Sigmoid is computed in one step, with
    the same result.
    """

    def __init__(self, *modules: Module | Callable[..., Any]) -> None:
        super().__init__(modules)

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


class ModuleList(_Numbered):
    """A list of modules; how they are applied is up to the module that holds it."""

    def __init__(self, modules: Iterable[Any] = ()) -> None:
        super().__init__(modules)


class ModuleDict(Module):
    """Modules by name; how they are applied is up to the module that holds it."""

    def __init__(self, modules: dict[str, Module] | None = None) -> None:
        for name, module in (modules or {}).items():
            self[name] = module

    def __setitem__(self, name: str, module: Module) -> None:
        if not name.isidentifier() or hasattr(type(self), name):
            raise ValueError(f"ModuleDict: the name {name!r} cannot be used; expected an identifier that is no method")
        self.__dict__[name] = module

    def __getitem__(self, name: str) -> Module:
        return self._named()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._named())

    def __len__(self) -> int:
        return len(self._named())

    def keys(self) -> Iterable[str]:
        return self._named().keys()

    def values(self) -> Iterable[Module]:
        return self._named().values()

    def items(self) -> Iterable[tuple[str, Module]]:
        return self._named().items()

    def _named(self) -> dict[str, Module]:
        return {name: value for name, value in self.__dict__.items() if isinstance(value, Module)}
