"""Calls on which rules are tested, and the arrays for them.

A call holds NumPy arrays (float64 or complex128 are differentiated, integers and booleans are not), numbers, lists of
arrays and options. Its values keep clear of kinks and of infinite slopes; KINKS lists those, with the gradient there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np

from xpnn import tree

Array = np.ndarray[Any, Any]
_random = np.random.default_rng(20251201)


@dataclass(frozen=True)
class Call:
    """One call of a function; ``before`` and ``after`` make it well-defined, e.g. symmetric or free of phases."""

    args: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)
    before: Callable[[Any, Any], Any] | None = None
    after: Callable[[Any, Any], Any] | None = None
    only: str = ""  # the one library that takes such a call

    def prepare(self, convert: Callable[[Array], Any]) -> tuple[list[Any], Callable[..., Any]]:
        """The floating-point arrays of the call, converted, and run(xp, name, *them), which fills in everything else."""
        arrays = [x for _, x in tree.flatten((self.args, self.options)) if isinstance(x, np.ndarray)]
        converted = {id(x): convert(x) for x in arrays}
        floats = [x for x in arrays if x.dtype.kind in "fc"]

        def run(xp: Any, name: str, *given: Any) -> Any:
            values = {**converted, **{id(x): y for x, y in zip(floats, given, strict=True)}}
            return self._run(xp, name, *tree.map(lambda x: values.get(id(x), x), (self.args, self.options)))

        return [converted[id(x)] for x in floats], run

    def _run(self, xp: Any, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        f = attrgetter(name)(xp)
        if self.before is not None:
            args = (self.before(xp, args[0]), *args[1:])
        if name in ("astype", "can_cast", "finfo", "iinfo", "isdtype", "result_type"):
            args = tuple(getattr(xp, x) if type(x) is str and hasattr(xp, x) else x for x in args)
        result = f(*args, **options)
        if "empty" in name:
            result = xp.zeros_like(result)
        return self.after(xp, result) if self.after is not None else result


def call(*args: Any, before: Any = None, after: Any = None, only: str = "", **options: Any) -> Call:
    return Call(args, options, before, after, only)


def r(*shape: int, low: float = -2.0, high: float = 2.0) -> Array:
    """Real numbers between low and high."""
    return np.asarray(_random.uniform(low, high, shape))


def p(*shape: int) -> Array:
    """Positive numbers, clear of 0."""
    return r(*shape, low=0.5, high=2.5)


def z(*shape: int) -> Array:
    """Complex numbers."""
    return np.asarray(r(*shape) + 1j * r(*shape))


def i(*values: Any) -> Array:
    return np.asarray(values if len(values) != 1 else values[0], dtype=np.int64)


def b(*values: bool) -> Array:
    return np.asarray(values, dtype=bool)


def well(*shape: int) -> Array:
    """Matrices far from singular, with singular values far apart."""
    n = min(shape[-2:])
    x = 0.3 * r(*shape)
    x[..., np.arange(n), np.arange(n)] += np.arange(1, n + 1)
    return x


def well_z(*shape: int) -> Array:
    return well(*shape) + 0.3j * r(*shape)


def one(*arrays: Array) -> list[Call]:
    return [call(x) for x in arrays]


_SHAPES: tuple[tuple[int, ...], ...] = ((3, 4), (), (2, 0))
_PAIRS: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((3, 4), (3, 4)),
    ((3, 1), (2, 1, 4)),
    ((), (3,)),
    ((0, 3), (3,)),
)


def unary(make: Callable[..., Array] = r, *more: Array, **bounds: float) -> list[Call]:
    return one(*(make(*shape, **bounds) for shape in _SHAPES), *more)


def binary(first: Callable[..., Array] = r, second: Callable[..., Array] = r, *more: Call) -> list[Call]:
    return [
        *(call(first(*a), second(*c)) for a, c in _PAIRS),
        call(first(3), 1.5),
        call(1.5, second(3)),
        *more,
    ]


def apart(*shape: int) -> Array:
    """Numbers no two of which are close, so that their order is clear."""
    size = int(np.prod(shape))
    return np.asarray(_random.permutation(np.arange(size, dtype=np.float64)).reshape(shape) - size / 2 + 0.25)


REDUCTIONS: list[dict[str, Any]] = [
    {}, {"axis": 0}, {"axis": -1, "keepdims": True}, {"axis": (0, 2)}, {"axis": (), "keepdims": False}, {"keepdims": True},
]  # fmt: skip


def reductions(make: Callable[..., Array], *more: Call, empty: bool = True) -> list[Call]:
    calls = [call(make(2, 3, 2), **options) for options in REDUCTIONS]
    return [*calls, call(make()), *([call(make(2, 0), axis=0)] if empty else []), *more]
