"""The table of a network's layers: what Module.summary gives."""

from __future__ import annotations

import copy
import math
from typing import Any

from .. import random, tree
from ..backend import on_device
from ..namespace.libraries import is_array
from .module import Module

__all__ = ["Summary", "summarize"]


class Summary(str):
    """Text that looks the same without print(), as at a prompt and in a notebook."""

    def __repr__(self) -> str:
        return str(self)


def summarize(model: Module, inputs: tuple[Any, ...]) -> Summary:
    """Runs a copy of the model, which shares its arrays, and makes the table of what its modules returned."""
    if not inputs:
        raise ValueError("inputs: expected the shape of each argument of forward, or the arguments, got none")
    shadow = copy.deepcopy(model, {id(x): x for x in tree.leaves(model) if is_array(x)}).eval()
    found: dict[int, str] = {}
    modules = list(shadow.named_modules())
    for module in {id(module): module for _, module in modules}.values():
        module.__class__ = _watched(type(module), found)
    with random.replay(random.get_state()):  # for what draws numbers in evaluation, too
        shadow(*[_argument(model, x) for x in inputs])
    return _table(model, [found.get(id(module), "") for _, module in modules])


def _watched(kind: Any, found: dict[int, str]) -> Any:
    """A class like this one, whose calls leave the shapes of what they return behind.

    As it is another class, a Sequential calls each of its modules by itself.
    """

    def __call__(self: Any, *args: Any, **options: Any) -> Any:
        y = kind.__call__(self, *args, **options)
        found[id(self)] = _shapes(y)
        return y

    return type(kind.__name__, (kind,), {"__call__": __call__, "__qualname__": kind.__qualname__})


def _argument(model: Module, x: Any) -> Any:
    """An argument of forward: an array as it is, or zeros of the shape."""
    if is_array(x):
        return x
    if not isinstance(x, tuple | list) or not all(isinstance(n, int) and n >= 0 for n in x):
        raise ValueError(f"inputs: expected shapes like (1, 28, 28), or arrays, got {x!r}")
    like = next((p for p in model.parameters() if "float" in str(p.dtype)), None)
    with on_device(model.device if like is not None else None) as xp:
        return xp.zeros(tuple(x), dtype=xp.float32 if like is None else like.dtype)


def _shapes(y: Any) -> str:
    return ", ".join(str(tuple(x.shape)) for x in tree.leaves(y) if is_array(x) or hasattr(x, "shape"))


def _table(model: Module, shapes: list[str]) -> Summary:
    rows = [("layer", "output", "parameters")]
    counted: set[int] = set()
    names: list[str] = []
    for (name, module), shape in zip(model.named_modules(), shapes, strict=True):
        above = [other for other in names if not other or name.startswith(f"{other}.")] if name else []
        own = name[len(above[-1]) :].lstrip(".") if above else ""
        numbers = sum(math.prod(x.shape) for x in _own_arrays(module) if not _seen(x, counted))
        label = f"{'  ' * len(above)}{own} {type(module).__name__}" if name else type(module).__name__
        rows.append((label, shape, f"{numbers:,}" if numbers else ""))
        names.append(name)
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}".rstrip() for a, b, c in rows]
    rule = "-" * (sum(widths) + 4)
    nbytes = sum(getattr(x, "nbytes", 0) for x in {id(x): x for x in model.state_dict().values()}.values())
    total = f"{model.parameter_count:,} parameters; {_size(nbytes)} with buffers"
    return Summary("\n".join([lines[0], rule, *lines[1:], rule, total]))


def _own_arrays(module: Module) -> list[Any]:
    """The arrays of a module that are not those of a module below it."""
    below = {name for name, inner in module.named_modules() if inner is not module}
    return [x for name, x in tree.flatten(module) if is_array(x) and not _is_below(name, below)]


def _is_below(name: str, modules: set[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:i]) in modules for i in range(1, len(parts)))


def _seen(x: Any, counted: set[int]) -> bool:
    """Whether an array was counted in another place."""
    if id(x) in counted:
        return True
    counted.add(id(x))
    return False


def _size(nbytes: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if nbytes < 1024:
            return f"{nbytes:.0f} {unit}" if unit == "bytes" else f"{nbytes:.1f} {unit}"
        nbytes /= 1024
    return f"{nbytes:.1f} GiB"
