"""The tape: nodes recorded by traced operations, and the backward sweep over them.

A node knows the rule that differentiates it, the nodes of its arguments (its parents, ``None`` for an argument that
is not traced), what the rule reads of the arguments, and the output if the rule reads it. Nodes are numbered as they
are made, so a sweep is: collect the nodes between the result and the leaves, visit them latest first.

Cotangents are kept as plain transposes, without complex conjugation (the pairing is Re sum(g * dx)): a rule that is
right for real arrays is then right for holomorphic functions of complex ones, at no cost. Conjugation happens once, at
the leaves (see gradients.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import count
from operator import attrgetter, itemgetter
from typing import Any, Protocol

__all__ = ["Meta", "Node", "Parts", "fit", "leaf", "nodes_between", "sum_to", "sweep"]

_next_id = count(1).__next__


class Meta(tuple[Any, Any]):
    """Shape and dtype of an argument whose value no rule reads, so that the value need not be kept alive."""

    __slots__ = ()

    shape = property(itemgetter(0))  # NOTE: read at every node of a sweep, and twice as fast as a function of our own
    dtype = property(itemgetter(1))

    @property
    def ndim(self) -> int:
        return len(self[0])


class Pullable(Protocol):
    """What a node needs of its rule: the gradient of every parent, from the gradient of the output.

    ``step``: the same for a first-order sweep, adding what it finds to the gradients by node; None for rules that are always
    asked by ``pull``.
    """

    step: Callable[[Any, Any, Node, dict[Node, Any]], None] | None

    def pull(self, xp: Any, g: Any, node: Node, need: Sequence[bool], box: Callable[..., Any] | None) -> Iterable[Any]:
        """Gradients in the order of node.parents; entries that are not needed may be None.

        ``box`` is None in a first-order sweep. Otherwise the sweep is itself traced: ``xp`` is the differentiable
        namespace, and ``box(value, parent)`` turns a kept argument back into the traced array that it was.
        """


class Node:
    """One recorded operation."""

    __slots__ = ("args", "id", "out", "parents", "rule")

    def __init__(self, rule: Any, parents: tuple[Node | None, ...], args: Any, out: Any) -> None:
        self.id = _next_id()
        self.rule = rule
        self.parents = parents
        self.args = args
        self.out = out


class Parts(dict[int, Any]):
    """The gradient of an operation with several outputs: output number -> gradient; absent means zero."""

    def __add__(self, other: Parts) -> Parts:
        for i, g in other.items():
            self[i] = self[i] + g if i in self else g
        return self


class _Identity:
    """The rule of a leaf: what reaches it goes on to the outer traced array that it was made from."""

    step = None

    def pull(self, xp: Any, g: Any, node: Node, need: Sequence[bool], box: Any) -> tuple[Any]:
        return (g,)


_ESCAPED = (
    "a traced array was used after its gradients had been taken; return it from the function, or use stop_gradient"
)


class _Consumed:
    """The rule of a node that was swept and released."""

    step = None

    def pull(self, xp: Any, g: Any, node: Node, need: Sequence[bool], box: Any) -> tuple[Any]:
        raise RuntimeError(_ESCAPED)


_IDENTITY = _Identity()
_CONSUMED = _Consumed()


def leaf(value: Any, outer: Node | None) -> Node:
    """A node for an argument that is differentiated; ``outer`` is its node in an enclosing trace."""
    return Node(_IDENTITY, (outer,), (Meta((value.shape, value.dtype)),), None)


def nodes_between(roots: Iterable[Node], first: int) -> tuple[list[Node], bool]:
    """Nodes numbered ``first`` or later from which the roots were made, latest first.

    The second result tells whether a root or a parent of theirs is older than that, that is, whether the roots also depend
    on an enclosing trace.
    """
    seen: set[Node] = set()
    stack: list[Node] = []
    nested = False
    parents: Iterable[Node | None] = roots
    while True:
        for parent in parents:
            if parent is None or parent in seen:
                continue
            if parent.id < first:
                nested = True
                if parent.rule is _CONSUMED:
                    raise RuntimeError(_ESCAPED)
            else:
                seen.add(parent)
                stack.append(parent)
        if not stack:
            break
        parents = stack.pop().parents
    return sorted(seen, key=_by_id, reverse=True), nested


_by_id = attrgetter("id")


def sweep(
    order: list[Node],
    seeds: dict[Node, Any],
    leaves: Sequence[Node],
    xp: Any,
    *,
    box: Callable[..., Any] | None = None,
    consume: bool = False,
) -> list[Any]:
    """Carries gradients from ``seeds`` back to ``leaves``; entries that nothing reached are None.

    order: the nodes between them, latest first. consume: what a node kept is released as soon as it was visited, so that
    memory falls while the sweep goes on; the graph can then not be swept again.
    """
    gradients = seeds
    stop = set(leaves)
    active = None if box is None else _depending_on(leaves, order)
    for node in [node for node in order if node not in stop]:
        g = gradients.pop(node, None)
        if g is None:
            continue
        step = node.rule.step
        if step is not None and active is None:
            step(xp, g, node, gradients)
        else:
            need = [p is not None and (active is None or p in active) for p in node.parents]
            for i, gp in enumerate(node.rule.pull(xp, g, node, need, box)):
                parent = node.parents[i]
                if parent is not None and need[i] and gp is not None:
                    gp = gp if type(gp) is Parts else fit(xp, gp, node.args[i])
                    gradients[parent] = gradients[parent] + gp if parent in gradients else gp
        if consume:
            node.rule, node.args, node.out = _CONSUMED, (), None
    return [gradients.get(node) for node in leaves]


def _depending_on(leaves: Sequence[Node], order: list[Node]) -> set[Node | None]:
    """Nodes of ``order`` that the leaves have an influence on (in a nested trace not all of them)."""
    active: set[Node | None] = set(leaves)
    for node in reversed(order):
        if any(p in active for p in node.parents if p is not None):
            active.add(node)
    return active


def fit(xp: Any, g: Any, arg: Any) -> Any:
    """Brings a gradient to its argument: sums over broadcast axes, drops an imaginary part, casts."""
    if g.shape != arg.shape:
        g = sum_to(xp, g, arg.shape)
    if g.dtype != arg.dtype:
        if xp.isdtype(g.dtype, "complex floating") and not xp.isdtype(arg.dtype, "complex floating"):
            g = xp.real(g)
        g = xp.astype(g, arg.dtype)
    return g


def sum_to(xp: Any, g: Any, shape: tuple[int, ...]) -> Any:
    """Sums g over the axes along which an array of ``shape`` was broadcast."""
    if not shape:
        return xp.sum(g)
    extra, stretched = _broadcast_axes(tuple(g.shape), tuple(shape))
    if extra:
        g = xp.sum(g, axis=extra)
    return xp.sum(g, axis=stretched, keepdims=True) if stretched else g


@lru_cache(maxsize=4096)
def _broadcast_axes(big: tuple[int, ...], small: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The leading axes that broadcasting added, and of the others (counted without those) the ones it stretched."""
    extra = len(big) - len(small)
    return tuple(range(extra)), tuple(i for i, size in enumerate(small) if size == 1 and big[i + extra] != 1)
