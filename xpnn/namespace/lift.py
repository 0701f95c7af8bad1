"""Turns a raw function and its rule into the traced function, with the signature of the standard.

The traced functions are generated source, as dataclasses are: the one way to get the exact signature (parameter kinds and
defaults) and the least work per call. ``source(name, rule)`` shows what was generated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..tape import Meta, Node
from .array import Array, TracedArrayError, box, is_traced, unbox
from .lean import lean
from .libraries import raw_namespace
from .rule import Composite, Joint, Many, Rule, Zero, parameter_names, parameter_words, part

__all__ = ["floating_kind", "is_inexact", "lift", "source"]

# Parameters that never hold an array or a box.
_STATIC = frozenset(
    "axis axes axis1 axis2 axisa axisb keepdims dtype shape copy device k n m s d norm shift offset correction n_rows n_cols"
    " include_initial descending stable side invert indexing upper full_matrices mode num endpoint repetitions source"
    " destination".split()
)


# NOTE: An array of no more elements, which is no view of a larger one, is kept where its shape would do: making a Meta takes
# 0.2 µs, the question 0.08.
_SMALL = 64


def lift(name: str, raw: Callable[..., Any], rule: Any, namespace: Any = None) -> Callable[..., Any]:
    """The traced form of ``raw``. ``namespace``: the differentiable module, which the definition of a Composite computes in."""
    scope: dict[str, Any] = {
        "Array": Array, "Node": Node, "Meta": Meta, "ndarray": np.ndarray, "raw": raw, "rule": rule, "box": box, "unbox": unbox,
        "is_traced": is_traced, "outputs": _outputs, "xp": namespace, "inf": math.inf, "is_inexact": is_inexact,
        "without_gradient": _without_gradient, "separate": _separate,
    }  # fmt: skip
    exec(compile(source(name, rule), f"<traced {name}>", "exec"), scope)
    function: Callable[..., Any] = scope[name]
    function.__module__ = getattr(namespace, "__name__", __name__)
    function.__doc__ = raw.__doc__
    return function


def source(name: str, rule: Any) -> str:
    """The generated source of a traced function."""
    return f"def {name}({rule.signature}):\n" + "".join(f"    {line}\n" for line in _BODIES[type(rule)](rule))


def _call(signature: str, value: Callable[[str], str] = str) -> str:
    """The arguments of a call that passes every parameter on, each as the signature takes it."""
    words = parameter_words(signature)
    star = next((i for i, word in enumerate(words) if word.startswith("*")), len(words))
    passed = (value(w) if i <= star else f"{w}={value(w)}" for i, w in enumerate(words) if w not in ("/", "*"))
    return ", ".join(passed)


def _raw_value(name: str) -> str:
    """The expression for a parameter with raw arrays in place of boxes, inside lists and tuples too."""
    if name.startswith("*"):
        return f"*unbox({name[1:]})"
    return name if name in _STATIC else f"unbox({name})"


def _unboxed(names: list[str], rule: Any) -> list[str]:
    """Statements that replace boxes by raw arrays, for the parameters without a gradient that may hold some."""
    lines = []
    for name in names:
        if name not in _STATIC:
            raw = f"{name}._value" if name in rule.constant else f"without_gradient({name}, {name!r})"
            lines.append(f"if type({name}) is Array: {name} = {raw}")
    return lines


def _without_gradient(x: Array, name: str) -> Any:
    """The raw value of an argument that no rule differentiates."""
    if x._node is not None:
        raise TracedArrayError(f"argument {name!r} has no gradient; use xpnn.stop_gradient({name}) if that is meant")
    return x._value


def _recorded(rule: Rule) -> list[str]:
    names = parameter_names(rule.signature)
    traced = names[: len(rule.gradients)]
    differentiable = [name for name in traced if name in rule.reads]
    lines = []
    for name in differentiable:
        lines += [
            f"if type({name}) is Array: n_{name} = {name}._node; {name} = {name}._value",
            f"else: n_{name} = None",
        ]
    lines += _unboxed([name for name in names if name not in rule.reads], rule)
    lines.append(f"out = raw({_call(rule.signature)})")
    untraced = " and ".join(f"n_{name} is None" for name in differentiable)
    if "dtype" in names:
        untraced = f"({untraced}) or not is_inexact(out)"
    lines.append(f"if {untraced}: return Array(out)")
    parents = _tuple(f"n_{name}" if name in rule.reads else "None" for name in traced)
    kept = _tuple(_kept(name, rule, differentiable) for name in names)
    out = _when_read("out", "out", "None", rule, differentiable)
    lines.append(f"return Array(out, Node(rule, {parents}, {kept}, {out}))")
    return lines


def _kept(name: str, rule: Rule, differentiable: list[str]) -> str:
    if name in _STATIC:
        return name
    small = f"type({name}) is ndarray and {name}.size <= {_SMALL} and {name}.base is None"
    meta = f"({name} if {small} else Meta(({name}.shape, {name}.dtype)))"
    if name in differentiable:  # only a traced argument is sure to have a shape: others may be Python scalars
        meta = f"({meta} if n_{name} is not None else None)" if len(differentiable) > 1 else meta
    else:
        meta = "None"
    return _when_read(name, name, meta, rule, differentiable)


def _when_read(name: str, value: str, otherwise: str, rule: Rule, differentiable: list[str]) -> str:
    """``value`` if a gradient that will be wanted reads ``name``, decided when the function is called."""
    readers = [other for other in differentiable if name in rule.reads[other]]
    if len(readers) == len(differentiable):
        return value
    if not readers:
        return otherwise
    wanted = " or ".join(f"n_{other} is not None" for other in readers)
    return f"({value} if {wanted} else {otherwise})"


def _joint(rule: Joint) -> list[str]:
    names = parameter_names(rule.signature)
    first = names[0]
    kept = _tuple(
        name if name in rule.reads or name != first else f"Meta(({name}.shape, {name}.dtype))" for name in names
    )
    outs = "tuple(outs)" if "out" in rule.reads else "tuple([Meta((out.shape, out.dtype)) for out in outs])"
    return [
        f"if type({first}) is Array: node = {first}._node; {first} = {first}._value",
        "else: node = None",
        f"outs = raw({_call(rule.signature)})",
        "if node is None: return box(outs)",
        f"return outputs(outs, Node(rule, (node,), {kept}, {outs}))",
    ]


def _outputs(outs: Any, node: Node) -> Any:
    """Traced arrays for the outputs of a Joint; integer outputs are constants."""
    traced = [Array(out, part(node, i) if is_inexact(out) else None) for i, out in enumerate(outs)]
    return type(outs)(*traced) if hasattr(outs, "_fields") else type(outs)(traced)


def _many(rule: Many) -> list[str]:
    names = parameter_names(rule.signature)
    first = names[0]
    return [
        f"{first}, nodes = separate({first})",
        f"out = raw({_call(rule.signature)})",
        "if nodes is None: return Array(out)",
        f"kept = tuple([Meta((x.shape, x.dtype)) for x in {first}])",
        f"return Array(out, Node(rule, nodes, (*kept, {', '.join(names[1:])}), None))",
    ]


def _separate(arrays: Any) -> tuple[list[Any], tuple[Node | None, ...] | None]:
    """The raw arrays in a sequence, or along the first axis of an array, and their nodes; None if none has one."""
    items = list(arrays)
    nodes = tuple([x._node if type(x) is Array else None for x in items])
    return [x._value if type(x) is Array else x for x in items], nodes if any(nodes) else None


def _composed(rule: Composite) -> list[str]:
    names = parameter_names(rule.signature)
    arrays = [name.lstrip("*") for name in names if name not in _STATIC]
    traced = " or ".join(f"is_traced({name})" for name in arrays)
    return [
        f"if {traced}: return rule.definition(xp, {_call(rule.signature) if names[0].startswith('*') else ', '.join(names)})",
        f"return box(raw({_call(rule.signature, _raw_value)}))",
    ]


def _constant(rule: Zero) -> list[str]:
    return [f"return box(raw({_call(rule.signature, _raw_value)}))"]


_BODIES: dict[type, Callable[..., list[str]]] = {
    Rule: _recorded,
    Joint: _joint,
    Many: _many,
    Composite: _composed,
    Zero: _constant,
}


def _tuple(items: Any) -> str:
    return "(" + "".join(f"{item}, " for item in items) + ")"


_floating: dict[tuple[type, Any], str] = {}


def floating_kind(x: Any) -> str:
    """ "real" or "complex" for a raw array of a floating-point dtype, else ""."""
    key = type(x), x.dtype  # by type too: dtypes of different libraries do not like to be compared
    try:
        return _floating[key]
    except KeyError:
        isdtype = lean(raw_namespace(x)).isdtype
        kind = next((word for word in ("real", "complex") if isdtype(x.dtype, f"{word} floating")), "")
        return _floating.setdefault(key, kind)


def is_inexact(x: Any) -> bool:
    """Whether a raw array has a floating-point dtype, real or complex: only then has it a gradient."""
    return floating_kind(x) != ""
