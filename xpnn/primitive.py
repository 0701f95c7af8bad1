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
from dataclasses import dataclass
from typing import Any, Protocol

from numpy import ndarray

from .errors import DeviceMismatchError
from .fallback import note_fallback
from .gradients import pull_through
from .namespace.array import Array, box
from .namespace.libraries import library_name
from .namespace.rule import boxed, part
from .tape import Node, Parts

__all__ = ["Implementation", "Primitive", "explain", "use_reference"]


@dataclass(frozen=True)
class _Mode:
    """What explain() and use_reference() want of the calls inside."""

    reference_only: bool
    lines: list[str]


_mode: ContextVar[_Mode | None] = ContextVar("xpnn_primitive_mode", default=None)


class Implementation(Protocol):
    """What Primitive.add takes: usually a module of cpu/ or cuda/. Arrays are raw arrays of its library.

    It may have a function way(*arrays, **static) -> str: what it chooses for a call, and why, for explain().
    """

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
        self._of_numpy: list[Any] = []
        self.implementations: dict[str, list[Any]] = {"numpy": self._of_numpy}
        functools.update_wrapper(self, reference)
        self.__name__ = self.__qualname__ = name
        self.__signature__ = inspect.signature(reference)
        parameters = self.__signature__.parameters.values()
        self._count = sum(p.kind is not p.KEYWORD_ONLY for p in parameters)
        self._arrays = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        self._signature_of_arrays = inspect.Signature([p for p in parameters if p.kind is not p.KEYWORD_ONLY])
        self._inference = (False,) * self._count

    def __repr__(self) -> str:
        libraries = ", ".join(name for name, found in self.implementations.items() if found) or "reference only"
        return f"<primitive {self.name}: {libraries}>"

    def add(self, library: str, implementation: Any) -> None:
        """Adds an implementation for arrays of a library ("numpy", "cupy", …); the first that accepts a call runs it."""
        self.implementations.setdefault(library, []).append(implementation)

    def __call__(self, *arrays: Any, **static: Any) -> Any:
        if len(arrays) != self._count:
            arrays = self._positional(arrays, static)
        if self._of_numpy and arrays[0] is not None and _mode.get() is None:
            for a in arrays:
                if type(a) is not ndarray and a is not None:
                    break
            else:  # NOTE: the way of small arrays on a CPU; without it a layer takes a microsecond longer
                for implementation in self._of_numpy:
                    if implementation.refusal(*arrays, **static) is None:
                        return implementation.forward(*arrays, need=self._inference, **static)[0]
        for a in arrays:
            if type(a) is Array:
                return self._on_boxes(arrays, static)
        implementation = self._choose(arrays, static)
        if implementation is None:
            return self.reference(*arrays, **static)
        return implementation.forward(*arrays, need=self._inference, **static)[0]

    def _on_boxes(self, arrays: tuple[Any, ...], static: dict[str, Any]) -> Any:
        raw = [a._value if type(a) is Array else a for a in arrays]
        implementation = self._choose(raw, static)
        if implementation is None:
            return self.reference(*arrays, **static)
        parents = tuple([a._node if type(a) is Array else None for a in arrays])
        need = tuple([p is not None for p in parents])
        out, residuals = implementation.forward(*raw, need=need, **static)
        if True not in need:
            return box(out)
        return self._record(implementation, raw, static, parents, out, residuals)

    def _positional(self, arrays: tuple[Any, ...], static: dict[str, Any]) -> tuple[Any, ...]:
        """The array arguments in order, those given by name taken out of ``static``; defaults filled in."""
        bound = self._signature_of_arrays.bind(*arrays, **{k: static.pop(k) for k in self._arrays if k in static})
        bound.apply_defaults()
        return tuple(bound.arguments[name] for name in self._arrays)

    def _choose(self, raw: Sequence[Any], static: dict[str, Any]) -> Any:
        """The implementation that takes the call, None for the reference."""
        kind = type(raw[0])
        for a in raw:
            if type(a) is not kind and a is not None:
                self._check_libraries(raw)
                break
        if raw[0] is None:
            self._check_arrays(raw)
        library = library_name(raw[0])
        mode = _mode.get()
        if mode is not None:
            return self._explained(library, raw, static, mode)
        why = None
        for implementation in self.implementations.get(library, ()):
            why = implementation.refusal(*raw, **static)
            if why is None:
                return implementation
        self._check_arrays(raw)
        if library == "cupy":
            note_fallback(self.name, why or "no kernel yet")
        return None

    def _explained(self, library: str, raw: Sequence[Any], static: dict[str, Any], mode: _Mode) -> Any:
        """What _choose does, inside explain() or use_reference()."""
        chosen, why, reason = None, None, f"no implementation for {library} arrays"
        if mode.reference_only:
            reason = "use_reference() is in force"
        else:
            for implementation in self.implementations.get(library, ()):
                why = implementation.refusal(*raw, **static)
                if why is None:
                    chosen = implementation
                    break
                reason = f"{_short(implementation)} refused: {why}"
            if chosen is None and library == "cupy":
                note_fallback(self.name, why or "no kernel yet")
        mode.lines.append(
            f"{self.name}: {_told(chosen, raw, static)}" if chosen else f"{self.name}: reference ({reason})"
        )
        return chosen

    def _check_arrays(self, raw: Sequence[Any]) -> None:
        """Raises unless the first is an array, and all others are arrays or absent."""
        for i, (name, a) in enumerate(zip(self._arrays, raw, strict=False)):
            if library_name(a) == "builtins" and (a is not None or i == 0):
                raise TypeError(f"{name}: expected an array, got {type(a).__name__}")

    def _check_libraries(self, raw: Sequence[Any]) -> None:
        """Raises unless all arrays are arrays, and of one library."""
        self._check_arrays(raw)
        given = [(name, library_name(a)) for name, a in zip(self._arrays, raw, strict=True) if a is not None]
        for name, library in given:
            if library != given[0][1]:
                raise DeviceMismatchError(
                    f"{self.name}: {name} is an array of {library}, {given[0][0]} of {given[0][1]}; bring them to one "
                    'device: xpnn.asarray(x, device="cpu" or "gpu"), model.to(...)'
                )

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


def _told(implementation: Any, raw: Sequence[Any], static: dict[str, Any]) -> str:
    """Its name, and in brackets what it says of its own choice for a call, if it has a function ``way`` for that."""
    way = getattr(implementation, "way", None)
    return _short(implementation) + ("" if way is None else f" ({way(*raw, **static)})")


class _Fused:
    """The rule of a fused node: the implementation's backward, or under a second trace the reference's gradient."""

    step = None

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
    outer = _mode.get()
    with _in_mode(_Mode(reference_only=True, lines=[] if outer is None else outer.lines)):
        yield


def explain(f: Callable[..., Any], *args: Any, **options: Any) -> list[str]:
    """Runs f(*args) and returns a line for each fused primitive that it called: which implementation ran, and why.

    ``["conv: cpu.conv", "lstm: reference (cpu.lstm refused: dtype complex64)"]``
    """
    outer = _mode.get()
    mode = _Mode(reference_only=outer is not None and outer.reference_only, lines=[])
    with _in_mode(mode):
        f(*args, **options)
    return mode.lines


@contextmanager
def _in_mode(mode: _Mode) -> Iterator[None]:
    token = _mode.set(mode)
    try:
        yield
    finally:
        _mode.reset(token)
