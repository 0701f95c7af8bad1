"""Makes the differentiable namespace over any array API namespace, from the tables in rules/."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import libraries, operators, special  # noqa: F401  (operators: installs them on the box)
from .array import Array
from .lean import lean
from .lift import lift
from .rules import TABLES
from .rules.creation import asarray, from_dlpack

__all__ = ["diff"]

PLAIN = (
    "e inf nan newaxis pi bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128"
    " __array_api_version__ __array_namespace_info__"
).split()

# Functions that some libraries let distinguish an option that is None from one that is not given.
_NONE_IS_NOT_THE_DEFAULT = ("astype", "diff")

_made: dict[int, ModuleType] = {}


def diff(xp: Any) -> ModuleType:
    """The differentiable form of an array API namespace: the same functions, recorded where an argument is traced.

    xp: NumPy's, CuPy's, array_api_strict's or any conforming namespace, wrapped by array-api-compat or not.
    A function without a gradient rule is not there: asking for it raises AttributeError that says so.
    """
    if id(xp) not in _made:
        _made[id(xp)] = _make(xp)
    return _made[id(xp)]


libraries.make_diff = diff


def _make(xp: Any) -> ModuleType:
    name = xp.__name__.replace("array_api_compat.", "")
    module = ModuleType(f"xpnn.diff.{name}", f"Differentiable {name}: the array API standard with gradients.")
    raw = lean(xp)
    for plain in PLAIN:
        if hasattr(xp, plain):
            setattr(module, plain, getattr(xp, plain))
    module.asarray = asarray(xp, module)  # type: ignore[attr-defined]
    module.from_dlpack = from_dlpack(xp)  # type: ignore[attr-defined]
    for table in TABLES.values():
        _fill(module, raw, table)
    module.Array = Array  # type: ignore[attr-defined]
    module.__getattr__ = _missing(module.__name__)  # type: ignore[method-assign]
    return module


def _fill(module: ModuleType, raw: Any, table: dict[str, Any]) -> None:
    """Adds the functions of one table; "linalg.inv" goes into the submodule linalg."""
    for name, rule in table.items():
        prefix, _, function = name.rpartition(".")
        source = special if prefix == "special" else getattr(raw, prefix, None) if prefix else raw
        f = getattr(source, function, None)
        if f is not None:
            f = _omitting_none(f) if name in _NONE_IS_NOT_THE_DEFAULT else f
            setattr(_submodule(module, prefix) if prefix else module, function, lift(function, f, rule, module))


def _submodule(module: ModuleType, name: str) -> ModuleType:
    if name not in module.__dict__:
        inner = ModuleType(f"{module.__name__}.{name}")
        inner.__getattr__ = _missing(inner.__name__)  # type: ignore[method-assign]
        setattr(module, name, inner)
    return module.__dict__[name]  # type: ignore[no-any-return]


def _omitting_none(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **options: f(*args, **{name: value for name, value in options.items() if value is not None})


def _missing(where: str) -> Callable[[str], Any]:
    def __getattr__(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {where!r} has no attribute {name!r}")
        raise AttributeError(f"no gradient rule for {name!r} (add it to xpnn/namespace/rules)")

    return __getattr__
