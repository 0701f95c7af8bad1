"""Operators and indexing of the box, recorded by the same rules as the functions of the namespace."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from .array import Array, is_traced, unbox
from .lift import is_inexact, lift
from .rule import Rule, Zero
from .rules import elementwise, linear_algebra
from .scatter import replaced, scatter_add, written

_ARITHMETIC = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "pow", "mod": "remainder", "matmul": "matmul",
}  # fmt: skip
_BITWISE = ("floordiv", "and_", "or_", "xor", "lshift", "rshift")
_COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")

_pick = lift(
    "getitem",
    operator.getitem,
    Rule("x, key, /", x=lambda xp, g, _out, _x, key: scatter_add(g, key, _x.shape)),
)
_replace = lift(
    "setitem",
    replaced,
    Rule(
        "x, key, value, /",
        x=lambda xp, g, _out, _x, key, _value: replace(g, key, 0),
        value=lambda xp, g, _out, _x, key, _value: written(g, key),
    ),
)


def replace(x: Any, key: Any, value: Any) -> Any:
    """A copy of x, raw or traced, with x[key] = value."""
    return _replace(x, key, value) if type(x) is Array or type(value) is Array else replaced(x, key, value)


def _getitem(self: Array, key: Any) -> Any:
    return _pick(self, unbox(key) if type(key) is tuple or type(key) is Array else key)


def _setitem(self: Array, key: Any, value: Any) -> None:
    if is_traced(value) and not is_inexact(self._value):
        raise TypeError(
            f"a traced array cannot be written into an array of dtype {self.dtype}: its gradient would be lost"
        )
    self._rebind(_replace(self, unbox(key), value))


def _reflected(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: f(other, self)


def _in_place(f: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Array, other: Any) -> Array:
        result = f(self, other)
        if result.shape != self.shape or result.dtype != self.dtype:
            raise TypeError(
                f"an in-place operation keeps shape and dtype: {self.shape} {self.dtype} "
                f"would become {result.shape} {result.dtype}"
            )
        self._rebind(result)
        return self

    return method


def _install() -> None:
    tables = {**elementwise.RULES, **linear_algebra.RULES}
    binary = {name: lift(name, getattr(operator, name), tables[rule]) for name, rule in _ARITHMETIC.items()}
    binary |= {name.rstrip("_"): lift(name, getattr(operator, name), Zero("x1, x2, /")) for name in _BITWISE}
    for name, f in binary.items():
        setattr(Array, f"__{name}__", f)
        setattr(Array, f"__r{name}__", _reflected(f))
        setattr(Array, f"__i{name}__", _in_place(f))
    for name in _COMPARISONS:
        setattr(Array, f"__{name}__", lift(name, getattr(operator, name), Zero("x1, x2, /")))
    for name, rule in {"neg": "negative", "pos": "positive", "abs": "abs"}.items():
        setattr(Array, f"__{name}__", lift(name, getattr(operator, name), tables[rule]))
    invert = lift("invert", operator.invert, Zero("x, /"))
    for name, method in {"invert": invert, "getitem": _getitem, "setitem": _setitem}.items():
        setattr(Array, f"__{name}__", method)


_install()
