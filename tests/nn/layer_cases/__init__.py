"""What layers and losses are compared with torch in, in tables by group; every file here with a list CASES is part of the tests.

A case is a layer made here and in torch by the same arguments, and what it is called with. docs/layers.md is written from
these tables by ``python -m tests.nn.coverage``.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["ROUNDED_BY_TORCH", "Case", "Part", "all_cases", "case"]

# Layers whose float64 torch itself computes with less: how far off it may be, and why.
ROUNDED_BY_TORCH = {"Hardsigmoid": (1e-7, "torch takes the slope 1/6 from float32")}


@dataclass(frozen=True)
class Part:
    """A layer that is an argument of another one: Part("Linear", 6, 3)."""

    kind: str
    args: tuple[Any, ...]
    options: dict[str, Any]

    def __init__(self, kind: str, *args: Any, **options: Any) -> None:
        for name, value in (("kind", kind), ("args", args), ("options", options)):
            object.__setattr__(self, name, value)

    def __str__(self) -> str:
        return "-".join([self.kind, *map(_word, self.args), *(f"{k}={_word(v)}" for k, v in self.options.items())])


@dataclass(frozen=True)
class Case:
    """A layer here and in torch, by the same arguments, and the inputs and options of the call.

    inputs: a shape is drawn from a normal distribution, an array is taken as it is, a tuple of them is a tuple.
    integers: the first input is of so many integers. lengths: of the sequences, which torch is given packed. same: one
    input in the place of three. fixed: inputs that torch has no gradient for.
    """

    kind: str
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[Any, ...] = ((4, 6),)
    call: dict[str, Any] = field(default_factory=dict)
    integers: int = 0
    lengths: tuple[int, ...] | None = None
    same: bool = False
    fixed: tuple[int, ...] = ()
    training: bool = True

    def __str__(self) -> str:
        words = [str(Part(self.kind, *self.args, **self.options)), *(f"{k}={_word(v)}" for k, v in self.call.items())]
        words += [f"lengths{self.lengths}"] if self.lengths else []
        return "-".join(words if self.training else [*words, "eval"])


def case(kind: str, *args: Any, shape: tuple[int, ...] | None = None, **options: Any) -> Case:
    """A case; shape: of the only input. What Case knows by name is taken out of the options."""
    special = {name: options.pop(name) for name in Case.__dataclass_fields__ if name in options}
    if shape is not None:
        special["inputs"] = (shape,)
    return Case(kind, args, options, **special)


def all_cases() -> list[Case]:
    """The cases of all files of this folder."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return [case for name in names for case in importlib.import_module(f"{__name__}.{name}").CASES]


def _word(value: Any) -> str:
    return f"array{value.shape}" if isinstance(value, np.ndarray) else getattr(value, "__name__", str(value))
