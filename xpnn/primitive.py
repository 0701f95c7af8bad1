"""Fused primitives: a reference written in standard code, and faster implementations for some array libraries.

The reference is the definition: documentation, fallback, second derivatives and the oracle of every hand-written
backward. An implementation is chosen by the library of the arrays and by its own word (``refusal``); a call costs one
node on the tape. ``explain(f, *args)`` tells which implementation ran, and why.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from .errors import DeviceMismatchError
from .gradients import pull_through
from .namespace.array import Array, box
from .namespace.libraries import library_name
from .namespace.rule import boxed, part
from .tape import Node, Parts

__all__ = ["Implementation", "Primitive", "explain", "use_reference"]

_log: ContextVar[list[str] | None] = ContextVar("xpnn_explain", default=None)
_reference_only: ContextVar[bool] = ContextVar("xpnn_reference_only", default=False)


class Implementation(Protocol):
    """What Primitive.add takes: usually a module of cpu/ or cuda/. Arrays are raw arrays of its library."""

    def refusal(self, *arrays: Any, **static: Any) -> str | None:
        """Why this call is not for this implementation, in words; None to accept it."""

    def forward(self, *arrays: Any, need: tuple[bool, ...], **static: Any) -> tuple[Any, Any]:
        """(output or tuple of outputs, what backward needs). need: which arguments want a gradient; none: inference."""

    def backward(self, residuals: Any, g: Any, need: Sequence[bool]) -> Sequence[Any]:
        """The gradients of the arrays, as fresh arrays; g is the output's, or a tuple of them with None for zero."""


class Primitive:
    """A differentiable function of arrays (positional, None allowed) and static options (keyword-only).

    Calling it runs the first implementation that accepts the arrays, recorded as one node, or else the reference.
    """

    def __init__(self, reference: Callable[..., Any], *, name: str) -> None:
        self.reference = reference
        self.name = name
        self.implementations: dict[str, list[Any]] = {}
        functools.update_wrapper(self, reference)
        self.__name__ = self.__qualname__ = name
        self.__signature__ = inspect.signature(reference)
        parameters = self.__signature__.parameters.values()
        self._count = sum(p.kind is not p.KEYWORD_ONLY for p in parameters)
        self._arrays = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]

    def __repr__(self) -> str:
        libraries = ", ".join(self.implementations) or "reference only"
        return f"<primitive {self.name}: {libraries}>"

    def add(self, library: str, implementation: Any) -> None:
        """Adds an implementation for arrays of a library ("numpy", "cupy", …); the first that accepts a call runs it."""
        self.implementations.setdefault(library, []).append(implementation)

    def __call__(self, *arrays: Any, **static: Any) -> Any:
        if len(arrays) < self._count or any(name in static for name in self._arrays):
            arrays = self._positional(arrays, static)
        raw = [a._value if type(a) is Array else a for a in arrays]
        implementation = self._choose(raw, static)
        if implementation is None:
            return self.reference(*arrays, **static)
        parents = tuple([a._node if type(a) is Array else None for a in arrays])
        need = tuple([p is not None for p in parents])
        out, residuals = implementation.forward(*raw, need=need, **static)
        if True not in need:
            return box(out) if any(type(a) is Array for a in arrays) else out
        return self._record(implementation, raw, static, parents, out, residuals)

    def _positional(self, arrays: tuple[Any, ...], static: dict[str, Any]) -> tuple[Any, ...]:
        """The array arguments in order, those given by name taken out of ``static``; defaults filled in."""
        bound = self.__signature__.bind(*arrays, **{k: static.pop(k) for k in self._arrays if k in static})
        bound.apply_defaults()
        return tuple(bound.arguments[name] for name in self._arrays)

    def _choose(self, raw: list[Any], static: dict[str, Any]) -> Any:
        library = self._library(raw)
        log = _log.get()
        chosen, reason = None, f"no implementation for {library} arrays" if log is not None else ""
        if _reference_only.get():
            reason = "use_reference() is in force"
        else:
            for implementation in self.implementations.get(library, ()):
                why = implementation.refusal(*raw, **static)
                if why is None:
                    chosen = implementation
                    break
                reason = f"{_short(implementation)} refused: {why}"
        if log is not None:
            log.append(f"{self.name}: {_short(chosen)}" if chosen else f"{self.name}: reference ({reason})")
        return chosen

    def _library(self, raw: list[Any]) -> str:
        """The one library of all arrays."""
        kind = library = name = None
        for own, a in zip(self._arrays, raw, strict=True):
            if a is None or type(a) is kind:
                continue
            found = library_name(a)
            if library is None:
                kind, library, name = type(a), found, own
            elif found != library:
                raise DeviceMismatchError(
                    f"{self.name}: {own} is an array of {found}, {name} of {library}; bring them to one device: "
                    'xpnn.asarray(x, device="cpu" or "gpu"), model.to(...)'
                )
        if library is None:
            raise TypeError(f"{self.name}: {self._arrays[0]} is None, expected an array")
        return library

    def _record(
        self,
        implementation: Any,
        raw: list[Any],
        static: dict[str, Any],
        parents: tuple[Any, ...],
        out: Any,
        residuals: Any,
    ) -> Any:
        several = type(out) is tuple
        rule = _Fused(self, implementation, static, len(out) if several else 0)
        node = Node(rule, parents, tuple(raw), residuals)
        if not several:
            return Array(out, node)
        return tuple([Array(x, part(node, i)) for i, x in enumerate(out)])


def _short(implementation: Any) -> str:
    """ "cpu.conv" of the module xpnn.cpu.conv."""
    return str(implementation.__name__).rpartition("xpnn.")[2]


class _Fused:
    """The rule of a fused node: the implementation's backward, or under a second trace the reference's gradient."""

    gradients = None

    def __init__(self, primitive: Primitive, implementation: Any, static: dict[str, Any], outputs: int) -> None:
        self.primitive = primitive
        self.implementation = implementation
        self.static = static
        self.outputs = outputs

    def pull(self, xp: Any, g: Any, node: Node, need: Sequence[bool], box: Any) -> Any:
        if box is not None:
            return self._retrace(g, node, need, box)
        gs = g if not self.outputs else tuple([g.get(i) for i in range(self.outputs)])
        return self.implementation.backward(node.out, gs, need)

    def _retrace(self, g: Any, node: Node, need: Sequence[bool], box: Any) -> list[Any]:
        args = boxed(node.args, node.parents, box)
        wanted = [i for i, wants in enumerate(need) if wants]

        def call(*xs: Any) -> list[Any]:
            own = list(args)
            for i, x in zip(wanted, xs, strict=True):
                own[i] = x
            out = self.primitive.reference(*own, **self.static)
            return list(out) if self.outputs else [out]

        found = iter(pull_through(call, [args[i] for i in wanted], g if self.outputs else Parts({0: g})))
        return [next(found) if wants else None for wants in need]


@contextmanager
def use_reference() -> Iterator[None]:
    """Inside, every primitive runs its reference: for tests, and to see what an implementation changes."""
    token = _reference_only.set(True)
    try:
        yield
    finally:
        _reference_only.reset(token)


def explain(f: Callable[..., Any], *args: Any, **options: Any) -> list[str]:
    """Runs f(*args) and returns a line for each fused primitive that it called: which implementation ran, and why.

    ``["conv: cpu.conv", "lstm: reference (cpu.lstm refused: dtype complex64)"]``
    """
    log: list[str] = []
    token = _log.set(log)
    try:
        f(*args, **options)
    finally:
        _log.reset(token)
    return log
