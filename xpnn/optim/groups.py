"""Parameter groups as torch writes them: a list of dicts, each of "params" and of the options that differ."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator, MutableMapping
from typing import Any

__all__ = ["Group", "arguments", "is_groups", "option_names", "options_of"]


class Group(MutableMapping[str, Any]):
    """One group's "params" and options by name, read from and written to its optimiser: ``groups[1]["lr"] = 1e-4``."""

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = optimizer

    def __getitem__(self, name: str) -> Any:
        return getattr(self._optimizer, self._known(name))

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self._optimizer, self._known(name), value)

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"groups: {name!r} cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        return iter(("params", *options_of(self._optimizer)))

    def __len__(self) -> int:
        return 1 + len(options_of(self._optimizer))

    def __repr__(self) -> str:
        return repr(dict(self))

    def _known(self, name: str) -> str:
        if name not in list(self):
            raise KeyError(f"no option {name!r}; known: {', '.join(self)}")
        return name


def is_groups(params: Any) -> bool:
    """Whether params is a list of groups, and not a tree of arrays."""
    return type(params) is list and all(type(x) is dict for x in params) and any("params" in x for x in params)


@functools.cache
def option_names(kind: Any) -> tuple[str, ...]:
    """The arguments of an optimiser class after ``params``, which are attributes of the same names."""
    return tuple(inspect.signature(kind).parameters)[1:]


def options_of(optimizer: Any) -> dict[str, Any]:
    """The options of an optimiser as they are now."""
    kind: Any = type(optimizer)
    return {name: getattr(optimizer, name) for name in option_names(kind) if hasattr(optimizer, name)}


def arguments(kind: Any, groups: list[dict[str, Any]], args: tuple[Any, ...], options: dict[str, Any]) -> list[Any]:
    """The arguments by which the optimiser of each group is made: its own options, and the common ones."""
    common = inspect.signature(kind).bind_partial(None, *args, **options).arguments
    del common["params"]
    for i, group in enumerate(groups):
        if "params" not in group:
            raise ValueError(f"params: group {i} has no 'params', as the others have")
        unknown = sorted(set(group) - {"params", *option_names(kind)})
        if unknown:
            known = ", ".join(option_names(kind))
            raise ValueError(f"params: group {i} has {', '.join(map(repr, unknown))}; {kind.__name__} knows {known}")
    return [{**common, **group} for group in groups]
