"""Rules: how one function of the standard is differentiated. The tables in rules/ are made of these.

A gradient function has the parameters ``(xp, g, out, *arguments)``: the namespace to compute in, the gradient of the
output, the output, and the arguments of the function in the order of its signature, keyword-only ones included, each by
position. It returns the gradient of one argument; summing over broadcast axes and casting to the argument's dtype is done
by the sweep.

A parameter named with a leading underscore is not read: of such an argument only shape and dtype are kept (``_x.shape``,
``_x.dtype``, ``_x.ndim``), and of such an output nothing. What a rule does not read is thus never held in memory.

A gradient that is one expression may be given as its text, in xp, g, out, math and the arguments by their names in the
signature, ``"g * x2"``: what it reads is what it names, and a sweep computes it without a call.

Gradients are plain transposes, without complex conjugation (see tape.py).
"""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from ..tape import Meta, Node, Parts, fit

__all__ = ["Composite", "Joint", "Many", "Rule", "Zero"]


class Rule:
    """A function with one output and a gradient for some of its arguments, given by name.

    ``Rule("x1, x2, /", x1="g * x2", x2="g * x1")``, ``Rule("x, /", x=lambda xp, g, _out, _x: xp.reshape(g, _x.shape))``
    ``constant`` names the array arguments on which the result does not depend, or only in steps; a traced array in the
    place of any other argument without a gradient is a TypeError.
    """

    def __init__(self, signature: str, *, constant: str = "", **given: Callable[..., Any] | str) -> None:
        self.signature = signature
        self.constant = frozenset(constant.split())
        names = parameter_names(signature)
        gradients = {name: _compiled(f, names) if isinstance(f, str) else f for name, f in given.items()}
        last = max(names.index(name) for name in gradients)
        self.gradients = tuple(gradients.get(name) for name in names[: last + 1])
        self.reads = {name: reads(f, names) for name, f in gradients.items()}
        self._names = names
        self._texts = [given.get(name) for name in names]

    @functools.cached_property
    def step(self) -> Callable[..., None]:
        return _step(self.gradients, self._names, self._texts)

    def pull(self, xp: Any, g: Any, node: Node, need: Sequence[bool], box: Any) -> list[Any]:
        args, out = node.args, node.out
        if box is not None:
            args, out = boxed(args, node.parents, box), box(out, node)
        return [f(xp, g, out, *args) if wanted else None for f, wanted in zip(self.gradients, need, strict=True)]  # type: ignore[misc]


class Joint:
    """A function with several outputs: ``vjp(xp, gs, outs, *arguments)`` gives the gradient of its first argument.

    gs: one gradient per output, None where none arrived. An underscore before ``outs`` or an argument keeps its values
    out of memory, as in a Rule.
    """

    step = None

    def __init__(self, signature: str, vjp: Callable[..., Any]) -> None:
        self.signature = signature
        self.vjp = vjp
        self.reads = reads(vjp, parameter_names(signature))

    def pull(self, xp: Any, g: Parts, node: Node, need: Sequence[bool], box: Any) -> list[Any]:
        args, outs = node.args, node.out
        if box is not None:
            args = boxed(args, node.parents, box)
            outs = tuple(out if type(out) is Meta else box(out, part(node, i)) for i, out in enumerate(outs))
        return [self.vjp(xp, [g.get(i) for i in range(len(outs))], outs, *args)]


class Many:
    """A function of a sequence of arrays, its first parameter: ``vjp(xp, g, shapes, need, *others)`` -> their gradients.

    shapes: the shape of every array in the sequence. need: which of them want a gradient; None may stand for the rest.
    """

    step = None

    def __init__(self, signature: str, vjp: Callable[..., Any]) -> None:
        self.signature = signature
        self.vjp = vjp

    def pull(self, xp: Any, g: Any, node: Node, need: Sequence[bool], box: Any) -> Any:
        count = len(node.parents)
        return self.vjp(xp, g, [arg.shape for arg in node.args[:count]], need, *node.args[count:])


class Composite:
    """A function whose traced form is ``definition(xp, *arguments)``, written with other functions of the namespace."""

    def __init__(self, signature: str, definition: Callable[..., Any]) -> None:
        self.signature = signature
        self.definition = definition


class Zero:
    """A function whose gradient is zero wherever it is defined, or that takes no floating-point array at all."""

    def __init__(self, signature: str) -> None:
        self.signature = signature


class _Select:
    """The rule of one output of a Joint: hands its gradient to the common node."""

    step = None

    def __init__(self, index: int) -> None:
        self.index = index

    def pull(self, xp: Any, g: Any, node: Node, need: Sequence[bool], box: Any) -> tuple[Parts]:
        return (Parts({self.index: g}),)


_selects = [_Select(i) for i in range(8)]


def _compiled(expression: str, names: Sequence[str]) -> Callable[..., Any]:
    """The gradient function of an expression; the parameters that it does not name get their underscore."""
    used = {node.id for node in ast.walk(ast.parse(expression)) if isinstance(node, ast.Name)}
    parameters = [name if name in used else f"_{name}" for name in ("out", *names)]
    f: Callable[..., Any] = eval(f"lambda xp, g, {', '.join(parameters)}: {expression}", {"math": math})
    return f


def _step(
    gradients: Sequence[Callable[..., Any] | None], names: Sequence[str], texts: Sequence[Any]
) -> Callable[..., None]:
    """The part of a first-order sweep at the nodes of a rule, as generated source.

    NOTE: without loops over the arguments and calls of short expressions; with them a sweep over small arrays takes a
    third longer.
    """
    names = [f"{name}_" if name in ("xp", "g", "out", "node", "gradients") else name for name in names]
    arguments = "".join(f"{name}, " for name in names)
    lines = [
        "def step(xp, g, node, gradients):",
        f"    {''.join(f'p{i}_, ' for i in range(len(gradients)))} = node.parents",
        f"    {arguments} = node.args",
        "    out = node.out",
    ]
    for i, f in enumerate(gradients):
        if f is not None:
            value = texts[i] if isinstance(texts[i], str) else f"f{i}_(xp, g, out, {arguments})"
            lines += [
                f"    if p{i}_ is not None:",
                f"        d_ = {value}",
                f"        if d_.shape != {names[i]}.shape or d_.dtype is not {names[i]}.dtype: d_ = fit(xp, d_, {names[i]})",
                f"        gradients[p{i}_] = gradients[p{i}_] + d_ if p{i}_ in gradients else d_",
            ]
    scope: dict[str, Any] = {"fit": fit, "math": math, **{f"f{i}_": f for i, f in enumerate(gradients)}}
    exec(compile("\n".join(lines), "<step of a sweep>", "exec"), scope)
    step: Callable[..., None] = scope["step"]
    return step


def part(node: Node, index: int) -> Node:
    """The node of output number ``index`` of a Joint's node."""
    while index >= len(_selects):
        _selects.append(_Select(len(_selects)))
    return Node(_selects[index], (node,), (None,), None)


def boxed(args: tuple[Any, ...], parents: tuple[Node | None, ...], box: Callable[..., Any]) -> tuple[Any, ...]:
    """args with their arrays boxed again: those that have a parent are traced, the others constants.

    Constants too, because not every library's operators step back for a box on their right.
    """
    head = (
        box(a, p) if type(a) is not Meta and hasattr(a, "dtype") else a for a, p in zip(args, parents, strict=False)
    )
    return (*head, *args[len(parents) :])


def parameter_words(signature: str) -> list[str]:
    """["x", "/", "*", "axis"] of "x, /, *, axis=None"."""
    return [word.split("=")[0].strip() for word in signature.split(",") if word]


def parameter_names(signature: str) -> list[str]:
    """["x", "axis"] of "x, /, *, axis=None", ["*arrays", "indexing"] of "*arrays, indexing='xy'"."""
    return [word for word in parameter_words(signature) if word not in ("/", "*")]


def reads(f: Callable[..., Any], names: Sequence[str]) -> frozenset[str]:
    """Which of "out" and the arguments a gradient function reads: those whose parameter has no leading underscore."""
    own = f.__code__.co_varnames[2 : f.__code__.co_argcount]
    if len(own) != len(names) + 1:
        raise TypeError(f"a gradient of ({', '.join(names)}) takes (xp, g, out, {', '.join(names)}), got {own}")
    return frozenset(name for name, mine in zip(("out", *names), own, strict=True) if not mine.startswith("_"))
