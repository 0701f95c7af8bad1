"""Gradients of functions: value_and_grad, grad, vjp, checkpoint, stop_gradient, custom_vjp.

A function that is differentiated sees traced arrays (boxes) in place of its arguments; what comes back is raw again,
unless an enclosing trace depends on it: then it stays traced, and second derivatives come out of the same rules.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

from . import random, tree
from .namespace.array import Array, is_traced
from .namespace.lean import lean
from .namespace.libraries import diff_of, is_array, library_name, raw_namespace
from .namespace.lift import floating_kind, is_inexact
from .namespace.rule import boxed, part
from .tape import Node, Parts, leaf, nodes_between, sweep

__all__ = ["checkpoint", "custom_vjp", "grad", "replaying", "stop_gradient", "value_and_grad", "vjp"]

_replaying: ContextVar[bool] = ContextVar("xpnn_replaying", default=False)


def value_and_grad(
    f: Callable[..., Any], argnums: int | tuple[int, ...] = 0, *, has_aux: bool = False
) -> Callable[..., Any]:
    """A function with the arguments of f that returns (f(...), gradient), or ((value, aux), gradient) with has_aux.

    f: returns a real scalar (0-d) array; with has_aux a pair (scalar, anything).
    argnums: which positional arguments to differentiate: modules, arrays, or trees (dict, list, tuple) of arrays. The
    gradient has the shape of the argument: a module whose arrays are gradients, a tree, an array; None stands in the
    place of integer arrays. With a tuple of argnums, the gradients are a tuple. Of a complex array z = a + bi it is
    dL/da + i dL/db, as in torch.
    Raises ValueError for a result that is no scalar, TypeError for an argument without floating-point arrays.
    """
    positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    if len(set(positions)) != len(positions) or any(i < 0 for i in positions):
        raise ValueError(f"argnums: expected different positions from 0 on, got {argnums}")

    @functools.wraps(f)
    def run(*args: Any, **options: Any) -> Any:
        trace = _Trace()
        y = f(*trace.arguments(args, positions), **options)
        y, aux = y if has_aux else (y, None)
        _check_scalar(f, y)
        pull = trace.pull([y])
        gradients = trace.gradients(pull([_seed(y)]), [args[i] for i in positions])
        value = (trace.result(y), tree.map(trace.result, aux)) if has_aux else trace.result(y)
        return value, gradients[0] if isinstance(argnums, int) else tuple(gradients)

    return run


def grad(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """A function with the arguments of f that returns the gradient of f, as value_and_grad does, without the value."""
    both = value_and_grad(f, argnums)

    @functools.wraps(f)
    def run(*args: Any, **options: Any) -> Any:
        return both(*args, **options)[1]

    return run


def vjp(f: Callable[..., Any], *xs: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """(f(*xs), pullback): pullback(g) is the tuple of the gradients of <g, f(*xs)>, one for each of xs.

    <g, y> is the sum of g * y; of complex arrays the real part of the sum of conj(g) * y, so that pullbacks compose.

    f returns an array or a tree of arrays of any shapes, and g has the same form. pullback may be called several times.
    """
    trace = _Trace()
    y = f(*trace.arguments(xs, tuple(range(len(xs)))))
    outputs = list(tree.leaves(y))
    pull = trace.pull(outputs, consume=False)

    def pullback(g: Any) -> tuple[Any, ...]:
        gs = list(tree.leaves(g))
        _check_cotangents(outputs, gs)
        return tuple(trace.gradients(pull([_conjugate(g) for g in gs]), list(xs)))

    return tree.map(trace.result, y), pullback


def stop_gradient(x: Any) -> Any:
    """x as a constant of every trace; x is an array, a module or a tree of arrays."""
    return tree.map(lambda leaf: Array(leaf._value) if type(leaf) is Array else leaf, x)


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """f, with the arrays inside it computed again in the backward pass instead of kept: less memory for more time.

    All traced arrays that f uses must be among its arguments (a module may be one): TypeError otherwise. Random
    numbers that f draws from the global stream are drawn again the same; buffers (running statistics) are updated once.
    """

    @functools.wraps(f)
    def run(*args: Any) -> Any:
        traced = [x for x in tree.leaves(args) if is_traced(x)]
        if not traced:
            return f(*args)
        state = random.get_state()

        def again(*leaves: Any) -> list[Any]:
            given = iter(leaves)
            token = _replaying.set(True)
            try:
                with random.replay(state):
                    y = f(*tree.map(lambda x: next(given) if is_traced(x) else x, args))
            finally:
                _replaying.reset(token)
            return list(tree.leaves(y))

        y = f(*tree.map(_raw, args))
        outputs = list(tree.leaves(y))
        if any(map(is_traced, outputs)):
            raise TypeError(
                f"checkpoint: {_name(f)} uses a traced array that is not among its arguments; pass it as one"
            )
        node = Node(_Replay(again), tuple(x._node for x in traced), tuple(map(_raw, traced)), None)
        boxes = iter([Array(x, part(node, i) if is_inexact(x) else None) for i, x in enumerate(outputs)])
        return tree.map(lambda _: next(boxes), y)

    return run


def replaying() -> bool:
    """Whether this is the second time that checkpoint runs a function, whose effects have been had the first time."""
    return _replaying.get()


class _Replay:
    """The rule of checkpoint: runs the function again, traced, and pulls through it."""

    step = None

    def __init__(self, f: Callable[..., list[Any]]) -> None:
        self.f = f

    def pull(self, xp: Any, g: Parts, node: Node, need: Sequence[bool], box: Any) -> list[Any]:
        xs = node.args if box is None else boxed(node.args, node.parents, box)
        return pull_through(self.f, xs, g)


def custom_vjp(
    forward: Callable[..., tuple[Any, Any]], backward: Callable[[Any, Any], Sequence[Any]]
) -> Callable[..., Any]:
    """A function of arrays with a gradient written by hand.

    forward(*xs) -> (y, residuals); backward(residuals, g) -> the gradients of xs, None for an argument without one. y is
    an array. Both are written with functions of the standard: under a second trace they are traced themselves, so second
    derivatives follow.
    """

    @functools.wraps(forward)
    def run(*xs: Any) -> Any:
        if not any(map(is_traced, xs)):
            return forward(*xs)[0]
        raw = [_raw(x) for x in xs]
        y, residuals = forward(*raw)
        parents = tuple(x._node if type(x) is Array else None for x in xs)
        return Array(y, Node(_Custom(forward, backward), parents, tuple(raw), residuals))

    return run


class _Trace:
    """The leaves of one differentiated call, and the way back to them."""

    def __init__(self) -> None:
        self.leaves: list[Node] = []
        self.first = 0
        self.nested = False
        # By argument, and by id in it: an array in two places of one argument is one leaf, as tied weights are, but in
        # two arguments it is two. Node and value are not read off the boxes, which f may assign to.
        self._known: list[dict[int, tuple[Array, Node, Any]]] = []
        self._sample: Any = None

    def arguments(self, args: Sequence[Any], positions: tuple[int, ...]) -> list[Any]:
        """args with boxes for arrays: leaves in the differentiated ones, constants in the others."""
        boxed = [tree.map(_constant, x) if i not in positions else x for i, x in enumerate(args)]
        for i in positions:
            if i >= len(args):
                raise TypeError(
                    f"argnums: the function is differentiated by positional argument {i}, but got {len(args)}"
                )
            self._known.append({})
            boxed[i] = tree.map(self._leaf, args[i])
            if not self._known[-1]:
                raise TypeError(
                    f"argument {i}: expected an array, module or tree with floating-point arrays, got {_kind(args[i])}"
                )
        return boxed

    def _leaf(self, x: Any) -> Any:
        known = self._known[-1].get(id(x))
        if known is not None:
            return known[0]
        outer = None
        value = x
        if type(x) is Array:
            outer, value = x._node, x._value
        elif not is_array(x):
            return x
        if not is_inexact(value):
            return Array(value)
        node = leaf(value, outer)
        self.first = self.first or node.id
        self.leaves.append(node)
        self._sample = value
        box = Array(value, node)
        self._known[-1][id(x)] = box, node, value
        return box

    def pull(self, outputs: Sequence[Any], consume: bool = True) -> Callable[[Sequence[Any]], list[Any]]:
        """A function from the gradients of ``outputs`` to those of the leaves."""
        roots = [x._node if type(x) is Array else None for x in outputs]
        order, self.nested = nodes_between([node for node in roots if node is not None], self.first)

        def run(gs: Sequence[Any]) -> list[Any]:
            create = self.nested or any(map(is_traced, gs))
            seeds: dict[Node, Any] = {}
            for root, g in zip(roots, gs, strict=True):
                if root is not None:
                    g = (g if type(g) is Array else Array(g)) if create else _raw(g)
                    seeds[root] = seeds[root] + g if root in seeds else g
            xp = diff_of(self._sample) if create else lean(raw_namespace(self._sample))
            # what was kept is traced again only for an enclosing trace; for one that came later it is a constant
            box = (Array if self.nested else _constant_box) if create else None
            return sweep(order, seeds, self.leaves, xp, box=box, consume=consume and not create)

        return run

    def gradients(self, found: list[Any], args: list[Any]) -> list[Any]:
        """The gradients of the leaves in trees of the shape of ``args``; zeros where nothing arrived."""
        used: set[int] = set()
        by_leaf = {id(node): g for node, g in zip(self.leaves, found, strict=True)}

        def gradient(x: Any, known: dict[int, tuple[Array, Node, Any]]) -> Any:
            if id(x) not in known:
                return None
            _, node, value = known[id(x)]
            return _owned(by_leaf[id(node)], value, used)

        pairs = zip(args, self._known, strict=True)
        return [tree.map(functools.partial(gradient, known=known), arg) for arg, known in pairs]

    def result(self, x: Any) -> Any:
        """What the caller gets for an output: raw, unless an enclosing trace depends on it."""
        return x._value if type(x) is Array and not self.nested else x


class _Custom:
    """The rule of custom_vjp."""

    step = None

    def __init__(self, forward: Callable[..., Any], backward: Callable[[Any, Any], Sequence[Any]]) -> None:
        self.forward = forward
        self.backward = backward

    def pull(self, xp: Any, g: Any, node: Node, need: Sequence[bool], box: Any) -> Sequence[Any]:
        residuals = node.out
        if box is not None:  # under a second trace the residuals depend on the arguments
            _, residuals = self.forward(*boxed(node.args, node.parents, box))
        gs = self.backward(residuals, _conjugate(g))
        if len(gs) != len(node.parents):
            raise ValueError(
                f"custom_vjp: the backward of {_name(self.forward)} gave {len(gs)} gradients for {len(node.parents)} arguments"
            )
        return [_conjugate(g) for g in gs]


def pull_through(f: Callable[..., list[Any]], xs: Sequence[Any], g: Parts) -> list[Any]:
    """The gradients of xs through the list of arrays f(*xs), given those of some of its outputs."""
    trace = _Trace()
    ys = f(*trace.arguments(xs, tuple(range(len(xs)))))
    pull = trace.pull(ys)
    gs = [g[i] if i in g else diff_of(_raw(y)).zeros_like(_raw(y)) for i, y in enumerate(ys)]
    return [_conjugate(x) for x in trace.gradients(pull(gs), list(xs))]


def _conjugate(g: Any) -> Any:
    """Between a gradient as the tape keeps it and as it is handed out: of a real array the same."""
    if g is None or floating_kind(_raw(g)) != "complex":
        return g
    return (diff_of(g._value) if type(g) is Array else raw_namespace(g)).conj(g)


def _raw(x: Any) -> Any:
    return x._value if type(x) is Array else x


def _constant_box(value: Any, node: Node | None) -> Array:
    return Array(value)


def _constant(x: Any) -> Any:
    return Array(x) if type(x) is not Array and is_array(x) else x


def _name(f: Any) -> str:
    return getattr(f, "__qualname__", None) or type(f).__qualname__


def _kind(x: Any) -> str:
    return f"{type(x).__name__} of dtype {x.dtype}" if hasattr(x, "dtype") else type(x).__name__


def _check_scalar(f: Any, y: Any) -> None:
    if type(y) is not Array and not is_array(y):
        raise TypeError(
            f"{_name(f)} returned {type(y).__name__}; expected a 0-d array (float() of a loss loses its gradient)"
        )
    if y.shape != ():
        raise ValueError(
            f"{_name(f)} returned shape {y.shape}; expected a scalar, shape (): take a mean or sum, or use xpnn.vjp"
        )
    if floating_kind(_raw(y)) != "real":
        raise ValueError(f"{_name(f)} returned dtype {y.dtype}; expected a real floating-point scalar")


def _check_cotangents(outputs: Sequence[Any], gs: Sequence[Any]) -> None:
    if len(gs) != len(outputs):
        raise ValueError(f"pullback: got {len(gs)} arrays for {len(outputs)} outputs")
    for i, (y, g) in enumerate(zip(outputs, gs, strict=True)):
        if getattr(g, "shape", None) != y.shape:
            raise ValueError(f"pullback: gradient {i} has shape {getattr(g, 'shape', None)}, its output has {y.shape}")


def _seed(y: Any) -> Any:
    value = _raw(y)
    return lean(raw_namespace(value)).ones_like(value)


def _owned(g: Any, like: Any, used: set[int]) -> Any:
    """A gradient as an array that shares its memory with nothing, so that its owner may write into it."""
    xp = raw_namespace(like)
    if g is None:
        return xp.zeros_like(like)
    if type(g) is Array:
        return _conjugate(g)
    g = _conjugate(g)
    if id(g) in used or library_name(g) not in ("numpy", "cupy") or getattr(g, "base", None) is not None:
        g = xp.asarray(g, copy=True)
    elif not isinstance(g, type(like)):
        g = xp.asarray(g)  # NumPy scalars, which reductions give
    used.add(id(g))
    return g
