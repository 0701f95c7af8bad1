"""Writing into arrays: the operations behind indexing and taking that the standard has no function for.

Elements that are named several times add up, always in the same order: the same input gives the same bits.
"""

from __future__ import annotations

import math
from typing import Any

from .array import Array
from .libraries import array_device, library_name, raw_namespace
from .lift import lift
from .rule import Rule

__all__ = ["add_taken", "add_taken_along", "replaced", "scatter_add", "written"]


def replaced(x: Any, key: Any, value: Any) -> Any:
    """A copy of the raw array x with x[key] = value."""
    if library_name(x) in ("jax", "jaxlib"):
        return x.at[key].set(value)
    out = raw_namespace(x).asarray(x, copy=True)
    out[key] = value
    return out


def written(g: Any, key: Any) -> Any:
    """The gradient of a value that was written to x[key]: g[key], but 0 for what was written over at once. g raw or traced"""
    taken = g[key]
    raw = g._value if type(g) is Array else g
    xp = raw_namespace(raw)
    if not any(_may_repeat(xp, part) for part in (key if type(key) is tuple else (key,))):
        return taken
    numbers = xp.reshape(xp.arange(1, taken.size + 1, dtype=xp.int64, device=array_device(raw)), taken.shape)
    last = replaced(xp.zeros(raw.shape, dtype=xp.int64, device=array_device(raw)), key, numbers)[key]
    kept = xp.astype(last == numbers, g.dtype)
    return taken * (Array(kept) if type(g) is Array else kept)


def scatter_add(g: Any, key: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of ``shape`` with g added at ``key``: the transpose of x[key]. g is raw or traced."""
    return (_traced if type(g) is Array else _scatter_add)(g, key, shape)


def add_taken(g: Any, indices: Any, shape: tuple[int, ...], axis: int) -> Any:
    """The transpose of xp.take(x, indices, axis=axis), for x of ``shape``. g is raw or traced."""
    return (_traced_taken if type(g) is Array else _add_taken)(g, indices, shape, axis)


def add_taken_along(g: Any, indices: Any, size: int, axis: int) -> Any:
    """The transpose of xp.take_along_axis(x, indices, axis=axis), for x with ``size`` elements along the axis."""
    return (_traced_taken_along if type(g) is Array else _add_taken_along)(g, indices, size, axis)


def _scatter_add(g: Any, key: Any, shape: tuple[int, ...]) -> Any:
    xp, library = raw_namespace(g), library_name(g)
    parts = key if type(key) is tuple else (key,)
    if not any(_may_repeat(xp, part) for part in parts):
        zeros = xp.zeros(shape, dtype=g.dtype, device=array_device(g))
        if library in ("jax", "jaxlib"):
            return zeros.at[key].set(g)
        if library != "numpy":
            key, g = _assignable(xp, zeros, parts, g)
        zeros[key] = g
        return zeros
    if len(parts) == 1 and hasattr(key, "dtype"):
        return _add_taken(g, key, shape, 0)
    if library == "numpy":
        zeros = xp.zeros(shape, dtype=g.dtype)
        xp.add.at(zeros, key, g)
        return zeros
    count = math.prod(shape)
    places = xp.reshape(xp.arange(count, dtype=xp.int64, device=array_device(g)), shape)[key]
    return xp.reshape(_sums(xp, xp.reshape(g, (-1, 1)), xp.reshape(places, (-1,)), count), shape)


def _assignable(xp: Any, zeros: Any, parts: tuple[Any, ...], g: Any) -> Any:
    """A key and a value for assignment, where the standard has no new axes and no index arrays, not even 0-d ones."""
    fetched = library_name(zeros) != "cupy"  # which takes 0-d arrays, and would have to wait for their values
    key = tuple(
        int(part) if fetched and hasattr(part, "dtype") and not part.ndim else part
        for part in parts
        if part is not None
    )
    g = g if len(key) == len(parts) else xp.reshape(g, zeros[key].shape)
    return (key[0] if len(key) == 1 else key), g


def _may_repeat(xp: Any, part: Any) -> bool:
    """Whether a part of a key may name an element twice: integer arrays and lists do."""
    if part is None or part is Ellipsis or isinstance(part, slice | int):
        return False
    return not (hasattr(part, "dtype") and (not part.ndim or xp.isdtype(part.dtype, "bool")))


def _add_taken(g: Any, indices: Any, shape: tuple[int, ...], axis: int) -> Any:
    xp = raw_namespace(g)
    before, size, after = shape[:axis], shape[axis], shape[axis + 1 :]
    rows, columns = math.prod(before), math.prod(after)
    g = xp.reshape(g, (rows, -1, columns) if g.size else (rows, math.prod(indices.shape), columns))
    g = xp.reshape(xp.permute_dims(g, (1, 0, 2)), (g.shape[1], rows * columns))
    sums = xp.reshape(_sums(xp, g, xp.reshape(indices, (-1,)), size), (size, rows, columns))
    return xp.reshape(xp.permute_dims(sums, (1, 0, 2)), shape)


def _add_taken_along(g: Any, indices: Any, size: int, axis: int) -> Any:
    xp = raw_namespace(g)
    axis %= g.ndim
    shape = (*g.shape[:axis], size, *g.shape[axis + 1 :])
    places = xp.astype(indices, xp.int64)
    stride = math.prod(shape[axis + 1 :])
    places = xp.where(places < 0, places + size, places) * stride
    for i in range(g.ndim):
        if i != axis:
            steps = xp.arange(g.shape[i], dtype=xp.int64, device=array_device(g)) * math.prod(shape[i + 1 :])
            places = places + xp.reshape(steps, (-1,) + (1,) * (g.ndim - i - 1))
    places = xp.reshape(places, (-1,))
    if library_name(g) == "cupy" and g.shape[axis] == 1:  # no place comes twice
        zeros = xp.zeros(math.prod(shape), dtype=g.dtype, device=array_device(g))
        zeros[places] = xp.reshape(g, (-1,))
        return xp.reshape(zeros, shape)
    return xp.reshape(_sums(xp, xp.reshape(g, (places.shape[0], 1)), places, math.prod(shape)), shape)


def _sums(xp: Any, g: Any, places: Any, count: int) -> Any:
    """The sums of the rows of g that have the same place. g (N, K), places (N,) -> (count, K)"""
    library = library_name(g)
    if library == "numpy":
        return _sums_numpy(xp, g, places, count)
    zeros = xp.zeros((count, g.shape[1]), dtype=g.dtype, device=array_device(g))
    places = xp.where(places < 0, places + count, places)
    if library == "torch":
        return zeros.index_add(0, places, g)
    if library in ("jax", "jaxlib"):
        return zeros.at[places].add(g)
    return _sums_sorted(xp, g, places, count) if g.shape[0] else zeros


def _sums_numpy(xp: Any, g: Any, places: Any, count: int) -> Any:
    """NOTE: np.add.at is four to six times as fast on one flat axis as on rows."""
    columns = g.shape[1]
    zeros = xp.zeros(count * columns, dtype=g.dtype)
    if columns != 1:
        places = xp.where(places < 0, places + count, places)
        places = (places[:, None] * columns + xp.arange(columns)).reshape(-1)
    xp.add.at(zeros, places, g.reshape(-1))
    return zeros.reshape(count, columns)


def _sums_sorted(xp: Any, g: Any, places: Any, count: int) -> Any:
    """By functions of the standard, without atomics: sorted by place, runs of equal places are summed by doubling reach."""
    order = xp.argsort(places)
    places, sums = xp.take(places, order, axis=0), xp.take(g, order, axis=0)
    all_places = xp.arange(count, dtype=places.dtype, device=array_device(g))
    first, end = (xp.searchsorted(places, all_places, side=side) for side in ("left", "right"))
    # The longest run tells when to stop. On a GPU the host would have to wait for it: a few rounds in vain are cheaper.
    longest, reach = g.shape[0] if library_name(g) == "cupy" else int(xp.max(end - first)), 1
    while reach < longest:
        same = xp.expand_dims(places[reach:] == places[:-reach], axis=-1)
        earlier = xp.where(same, sums[:-reach, :], xp.zeros_like(sums[:-reach, :]))
        sums = xp.concat([sums[:reach, :], sums[reach:, :] + earlier], axis=0)
        reach *= 2
    totals = xp.take(sums, xp.where(end > first, end - 1, xp.zeros_like(end)), axis=0)
    return xp.where(xp.expand_dims(end > first, axis=-1), totals, xp.zeros_like(totals))


_traced = lift("scatter_add", _scatter_add, Rule("g, key, shape, /", g=lambda xp, gg, _out, _g, key, _shape: gg[key]))
_traced_taken = lift(
    "add_taken",
    _add_taken,
    Rule(
        "g, indices, shape, axis, /", g=lambda xp, gg, _out, _g, indices, _shape, axis: xp.take(gg, indices, axis=axis)
    ),
)
_traced_taken_along = lift(
    "add_taken_along",
    _add_taken_along,
    Rule(
        "g, indices, size, axis, /",
        g=lambda xp, gg, _out, _g, indices, _size, axis: xp.take_along_axis(gg, indices, axis=axis),
    ),
)
