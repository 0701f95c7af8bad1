"""One step of an optimiser for all arrays of a model in one launch; the host side of optimizer.cu.

What stays the same from step to step (addresses of parameters and state, their sizes) lies in tables on the device, made once;
the gradients, which come at new addresses each time, and all numbers travel in the arguments. Nothing waits for the GPU.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from ..backend import device_of
from ..namespace.libraries import raw_namespace
from .arguments import Layout, Pointers
from .arrays import contiguous
from .chunks import ARRAYS, THREADS, Chunks, chunks
from .dtypes import C_TYPES, ITEM_SIZE, dtype_name, refuse_dtypes
from .launch import launch
from .plan import Plan

__all__ = ["Item", "Step", "instantiations", "plan", "step"]

_FILE = "optimizer.cu"


class Item(NamedTuple):
    """An array, its gradient, and its state by name."""

    p: Any
    g: Any
    state: dict[str, Any]


class Step(NamedTuple):
    """An update as the kernel is told it: a rule of optimizer.cu for each launch, what it calls its state, and its numbers."""

    rules: tuple[str, ...]
    states: tuple[str | None, ...]  # first, second, third; None: not kept
    lr: float
    shrink: float = 1.0
    decay: float = 0.0
    keep1: float = 0.0
    take1: float = 0.0
    keep2: float = 0.0
    take2: float = 0.0
    eps: float = 0.0
    root: float = 1.0
    unbias: float = 1.0
    nesterov: int = 0


class _Cost(NamedTuple):
    """Of an element: how often p or g moves, how often each state does, sums of a chunk, operations."""

    moves: int
    state: int
    sums: int
    flops: int


_COSTS = {
    "Sgd": _Cost(3, 2, 0, 8),
    "Adam": _Cost(3, 2, 0, 16),
    "RmsProp": _Cost(3, 2, 0, 18),
    "Lion": _Cost(3, 2, 0, 10),
    "LambMoments": _Cost(2, 2, 2, 19),
    "LambStep": _Cost(2, 1, 2, 9),
}
_NUMBERS = Step._fields[2:]


def step(optimizer: Any, items: Sequence[Item]) -> tuple[str, list[Item]]:
    """Steps the arrays that the kernel takes; (why it does not take the last of the rest, the rest).

    optimizer: has `fused(fresh)`, and is what the tables are kept for. A state that is missing is made, of zeros.
    """
    steps = {fresh: optimizer.fused(fresh) for fresh in (False, True)}
    names = [name for name in steps[False].states if name is not None]
    why, rest = "", []
    groups: dict[tuple[str, bool], list[Item]] = {}
    for item in items:
        if problem := _refusal(item, names):
            why = problem
            rest.append(item)
            continue
        fresh = _start(item, names)
        if item.p.size:
            groups.setdefault((dtype_name(item.p.dtype), fresh), []).append(item)
    for (dtype, fresh), group in groups.items():
        for i in range(0, len(group), ARRAYS):
            _step(optimizer, (dtype, i), steps[fresh], group[i : i + ARRAYS])
    return why, rest


@functools.lru_cache(1024)
def plan(dtype: str, rule: str, states: int, elements: int, chunks: int) -> Plan:
    """The launch of a rule that keeps so many states, over arrays of so many elements and chunks in all."""
    cost = _COSTS[rule]
    return Plan(
        file=_FILE,
        entry=f"optimizer_step<{C_TYPES[dtype]}, {rule}>",
        layout=_layout(C_TYPES[dtype]),
        grid=(chunks, 1, 1),
        block=(THREADS, 1, 1),
        bytes=elements * (cost.moves * ITEM_SIZE[dtype] + cost.state * states * 4) + 4 * cost.sums * chunks,
        flops=elements * cost.flops,
    )


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that `plan` can ask for."""
    for dtype in C_TYPES:
        for rule in _COSTS:
            yield plan(dtype, rule, 1, 1, 1)


def _refusal(item: Item, names: Sequence[str]) -> str | None:
    p, g, state = item
    if type(g) is not type(p):
        return f"gradient of type {type(g).__name__}"
    if problem := refuse_dtypes(p, g):
        return problem
    if not p.flags.c_contiguous:
        return "an array that is not C-contiguous"
    for name in names:
        x = state.get(name)
        if x is not None and (dtype_name(x.dtype) != "float32" or not x.flags.c_contiguous or x.shape != p.shape):
            return f"state {name} of {x.dtype} with shape {x.shape} and strides {x.strides}"
    return None


def _start(item: Item, names: Sequence[str]) -> bool:
    """Makes the state that is missing, and tells whether there was any."""
    missing = [name for name in names if name not in item.state]
    xp = raw_namespace(item.p)
    for name in missing:
        item.state[name] = xp.zeros(item.p.shape, dtype=xp.float32)
    return bool(missing)


class _Table(NamedTuple):
    """What a launch needs of arrays that stay where they are; kept are the arrays themselves, so that no address is used again."""

    arrays: list[Any]
    p: Pointers
    states: list[Pointers | None]  # first, second, third
    chunks: Chunks


# Not an attribute of the optimiser: a copy of it has other arrays.
_tables: WeakKeyDictionary[Any, dict[tuple[str, int], _Table]] = WeakKeyDictionary()


def _table(optimizer: Any, key: tuple[str, int], names: Sequence[str | None], items: Sequence[Item]) -> _Table:
    columns = [[item.p for item in items], *([item.state[name] for item in items] for name in names if name)]
    arrays = [x for column in columns for x in column]
    known = _tables.setdefault(optimizer, {})
    found = known.get(key)
    if found is None or len(found.arrays) != len(arrays) or not all(map(operator.is_, found.arrays, arrays)):
        pointers = map(Pointers.of, columns)
        p = next(pointers)
        states = [next(pointers) if name else None for name in (*names, None, None, None)[:3]]
        sizes = tuple([x.size for x in columns[0]])
        found = known[key] = _Table(arrays, p, states, chunks(sizes, device_of(columns[0][0])))
    return found


def _step(optimizer: Any, key: tuple[str, int], how: Step, items: Sequence[Item]) -> None:
    """The launches for at most ARRAYS arrays of one dtype."""
    dtype, xp = key[0], raw_namespace(items[0].p)
    table = _table(optimizer, key, how.states, items)
    first, second, third = table.states
    count = table.chunks.number
    arguments = _layout(C_TYPES[dtype])(
        g=[contiguous(item.g) for item in items], p=table.p, first=first, second=second, third=third,
        rows=table.chunks.rows, owner=table.chunks.owner,
        sums=xp.empty((count, 2), dtype=xp.float32) if len(how.rules) > 1 else None,
        **dict(zip(_NUMBERS, how[2:], strict=True)),
    )  # fmt: skip
    kept = sum(state is not None for state in table.states)
    for rule in how.rules:
        launch(plan(dtype, rule, kept, table.chunks.elements, count), arguments)


@functools.cache
def _layout(t: str) -> Layout:
    state = [(name, "float* const*") for name in ("first", "second", "third")]
    tables = ("rows", "const long long*"), ("owner", "const int*"), ("sums", "float*")
    numbers = [(name, "int" if name == "nesterov" else "float") for name in _NUMBERS]
    return Layout(
        f"StepArguments<{t}>", (("g", f"const {t}*[{ARRAYS}]"), ("p", f"{t}* const*"), *state, *tables, *numbers)
    )
