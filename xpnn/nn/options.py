"""Layers that are a function and its options: a class lists the options, a dataclass makes the constructor of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, dataclass_transform

from ..ops._checks import check_flags, check_number, check_whole
from .module import Module

__all__ = ["Function", "check_options", "options"]


# By the annotation of an option.
_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "float": check_number,
    "int": check_whole,
    "bool": lambda name, value: check_flags(**{name: value}),
    "bool | None": lambda name, value: None if value is None else check_flags(**{name: value}),
}


@dataclass_transform()
def options(cls: Any) -> Any:
    """Makes the constructor; a module keeps its identity, and its own way to look."""
    return dataclass(repr=False, eq=False)(cls)


def check_options(module: Any) -> None:
    """Raises TypeError unless every option is of the kind that its annotation says."""
    for field in fields(module):
        check = _CHECKS.get(str(field.type))
        if check is not None:
            check(field.name, getattr(module, field.name))


class Function(Module):
    """Calls ``function`` with its arrays and its options; ``inplace`` is accepted for torch's sake, and changes nothing."""

    function: ClassVar[Callable[..., Any]]

    def __post_init__(self) -> None:
        check_options(self)

    def forward(self, x: Any) -> Any:
        return type(self).function(x, **self._options())

    def _options(self) -> dict[str, Any]:
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]
        return {name: getattr(self, name) for name in names if name != "inplace"}

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self._options().items())
