"""Manipulation functions: the gradient of a rearrangement is the rearrangement back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..array import is_traced
from ..rule import Composite, Joint, Many, Rule
from .helpers import along, axes_of


def _back(xp: Any, g: Any, _out: Any, _x: Any, _how: Any) -> Any:
    return xp.reshape(g, _x.shape)


def _permute_dims(xp: Any, g: Any, _out: Any, _x: Any, axes: Any) -> Any:
    order = axes_of(_x.ndim, axes)
    return xp.permute_dims(g, tuple(order.index(i) for i in range(_x.ndim)))


def _roll(xp: Any, g: Any, _out: Any, _x: Any, shift: Any, axis: Any) -> Any:
    return xp.roll(g, -shift if isinstance(shift, int) else tuple(-s for s in shift), axis=axis)


def _concat(xp: Any, g: Any, shapes: list[tuple[int, ...]], need: Sequence[bool], axis: int | None) -> list[Any]:
    """Slices of g, one for each array; with axis=None the arrays were flattened first."""
    gradients: list[Any] = []
    start = 0
    for shape, wanted in zip(shapes, need, strict=True):
        stop = start + (math.prod(shape) if axis is None else shape[axis])
        piece = g[along(axis or 0, g.ndim, slice(start, stop))] if wanted else None
        gradients.append(xp.reshape(piece, shape) if wanted and axis is None else piece)
        start = stop
    return gradients


def _stack(xp: Any, g: Any, shapes: list[tuple[int, ...]], need: Sequence[bool], axis: int) -> list[Any]:
    return [g[along(axis, g.ndim, i)] if wanted else None for i, wanted in enumerate(need)]


def _unstack(xp: Any, gs: list[Any], _outs: Any, _x: Any, axis: int) -> Any:
    like = next(g for g in gs if g is not None)
    zeros = None if all(g is not None for g in gs) else xp.zeros_like(like)
    return xp.stack([zeros if g is None else g for g in gs], axis=axis)


def broadcast_shape(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape to which arrays of these shapes broadcast."""
    result: list[int] = []
    for i in range(max(map(len, shapes), default=0), 0, -1):
        sizes = {shape[-i] for shape in shapes if len(shape) >= i} - {1}
        if len(sizes) > 1:
            raise ValueError(f"shapes {', '.join(map(str, shapes))} do not broadcast")
        result.append(sizes.pop() if sizes else 1)
    return tuple(result)


def _broadcast_arrays(xp: Any, *arrays: Any) -> tuple[Any, ...]:
    shape = broadcast_shape([x.shape for x in arrays])
    return tuple(xp.broadcast_to(x, shape) for x in arrays)


def _meshgrid(xp: Any, *arrays: Any, indexing: str = "xy") -> tuple[Any, ...]:
    """Each array along an axis of its own; "xy" exchanges the first two axes."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"indexing: expected 'xy' or 'ij', got {indexing!r}")
    places = list(range(len(arrays)))
    if indexing == "xy" and len(arrays) > 1:
        places[:2] = [1, 0]
    sizes = [math.prod(x.shape) for x in arrays]
    shape = tuple(sizes[places.index(i)] for i in range(len(arrays)))
    rows = [
        tuple(size if i == place else 1 for i in range(len(arrays))) for size, place in zip(sizes, places, strict=True)
    ]
    return tuple(xp.broadcast_to(xp.reshape(x, row), shape) for x, row in zip(arrays, rows, strict=True))


def _repeat(xp: Any, x: Any, repeats: Any, axis: int | None) -> Any:
    if is_traced(repeats):
        raise TypeError("repeat: repeats must be integers, got a floating-point array")
    if axis is None:
        x, axis = xp.reshape(x, (-1,)), 0
    if not isinstance(repeats, int):
        places = xp.arange(x.shape[axis], dtype=repeats.dtype, device=repeats.device)
        return xp.take(x, xp.repeat(places, repeats), axis=axis)
    axis %= x.ndim
    before, size, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    copies = xp.broadcast_to(xp.expand_dims(x, axis=axis + 1), (*before, size, repeats, *after))
    return xp.reshape(copies, (*before, size * repeats, *after))


def _tile(xp: Any, x: Any, repetitions: tuple[int, ...]) -> Any:
    ndim = max(x.ndim, len(repetitions))
    shape = (1,) * (ndim - x.ndim) + x.shape
    times = (1,) * (ndim - len(repetitions)) + tuple(repetitions)
    copies = xp.reshape(x, tuple(n for size in shape for n in (1, size)))
    copies = xp.broadcast_to(copies, tuple(n for pair in zip(times, shape, strict=True) for n in pair))
    return xp.reshape(copies, tuple(n * size for n, size in zip(times, shape, strict=True)))


RULES: dict[str, Any] = {
    "broadcast_arrays": Composite("*arrays", _broadcast_arrays),
    # the sweep sums over broadcast axes
    "broadcast_to": Rule("x, /, shape", x=lambda xp, g, _out, _x, _shape: g),
    "concat": Many("arrays, /, *, axis=0", _concat),
    "expand_dims": Rule("x, /, axis", x=_back),
    "flip": Rule("x, /, *, axis=None", x=lambda xp, g, _out, _x, axis: xp.flip(g, axis=axis)),
    "meshgrid": Composite("*arrays, indexing='xy'", _meshgrid),
    "moveaxis": Rule("x, source, destination, /", x=lambda xp, g, _out, _x, here, there: xp.moveaxis(g, there, here)),
    "permute_dims": Rule("x, /, axes", x=_permute_dims),
    "repeat": Composite("x, repeats, /, *, axis=None", _repeat),
    "reshape": Rule("x, /, shape, *, copy=None", x=lambda xp, g, _out, _x, _shape, _copy: xp.reshape(g, _x.shape)),
    "roll": Rule("x, /, shift, *, axis=None", x=_roll),
    "squeeze": Rule("x, /, axis", x=_back),
    "stack": Many("arrays, /, *, axis=0", _stack),
    "tile": Composite("x, repetitions, /", _tile),
    "unstack": Joint("x, /, *, axis=0", _unstack),
}
