"""Containers of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

from ..namespace.array import unbox
from ..namespace.libraries import is_array
from .container import Named, Numbered

__all__ = ["ParameterDict", "ParameterList"]


class ParameterList(Numbered):
    """A list of arrays that are trained, with a list's methods; in state dicts they are called "0", "1", … as in torch's."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__(() if values is None else values)

    def _checked(self, name: str, x: Any) -> Any:
        if not is_array(unbox(x)):
            raise TypeError(f"{type(self).__name__}: value {name} is {type(x).__name__}, expected an array")
        return x

    def extra_repr(self) -> str:
        return _described(self._named())


class ParameterDict(Named):
    """Arrays that are trained, by name, in the order in which they came; with a dict's methods."""

    _expected: ClassVar[str] = "an array"

    def __init__(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None) -> None:
        self._fill({} if parameters is None else parameters)

    def _holds(self, x: Any) -> bool:
        return is_array(unbox(x))

    def copy(self) -> Self:
        """Another dict with the same arrays."""
        return type(self)(self)

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> Self:
        """A dict with one array, ``default``, under all names: tied."""
        return type(self)(dict.fromkeys(keys, default))

    def __or__(self, other: Mapping[str, Any]) -> Self:
        return type(self)({**self, **other})

    def __ror__(self, other: Mapping[str, Any]) -> Self:
        return type(self)({**other, **self})

    def __ior__(self, other: Mapping[str, Any]) -> Self:
        self.update(other)
        return self

    def extra_repr(self) -> str:
        return _described(self._named())


def _described(arrays: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {x.dtype} {tuple(x.shape)}" for name, x in arrays.items())
