"""Gradients scaled to a norm in two launches for all arrays of a dtype; the host side of clipping.cu."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..backend import device_of
from ..namespace.libraries import raw_namespace
from .arguments import Layout
from .arrays import contiguous
from .chunks import ARRAYS, THREADS, Chunks, chunks
from .dtypes import C_TYPES, ITEM_SIZE, dtype_name, refuse_dtypes
from .launch import launch
from .plan import Plan

__all__ = ["clip", "instantiations", "plans", "refusal"]

_FILE = "clipping.cu"
# Each block of the scaling adds up what each block of the sums left; enough of both fill the largest GPUs.
_SUM_BLOCKS, _SCALE_BLOCKS = 1024, 2048


def refusal(arrays: Sequence[Any]) -> str | None:
    for x in arrays:
        if type(x) is not type(arrays[0]):
            return f"arrays of types {type(arrays[0]).__name__} and {type(x).__name__}"
        if problem := refuse_dtypes(x):
            return problem
    return None


def clip(arrays: Sequence[Any], max_norm: float) -> tuple[list[Any], Any]:
    """(the arrays scaled so that the norm of all together is at most max_norm, that norm before as a 0-d float32 array)."""
    xp = raw_namespace(arrays[0])
    out: list[Any] = [xp.empty(x.shape, dtype=x.dtype) if not x.size else None for x in arrays]
    parts = list(_parts(arrays))
    if not parts:
        return out, xp.zeros((), dtype=xp.float32)
    norm = xp.empty((), dtype=xp.float32)
    sums = xp.empty(sum(part.plans[0].grid[0] for part in parts), dtype=xp.float32)
    start = 0
    for part in parts:
        stop = start + part.plans[0].grid[0]
        _launch(part, 0, sums=sums[start:stop], chunks=part.chunks.number)
        start = stop
    for i, part in enumerate(parts):
        flat = xp.empty(part.chunks.flat, dtype=part.arrays[0].dtype)
        _launch(
            part, 1, out=flat, norm=None if i else norm, sums=sums, count=start, chunks=part.chunks.number,
            max_norm=max_norm,
        )  # fmt: skip
        for number, x, place in zip(part.numbers, part.arrays, part.chunks.places, strict=True):
            out[number] = flat[place : place + x.size].reshape(x.shape)
    return out, norm


@functools.lru_cache(1024)
def plans(dtype: str, elements: int, chunks: int) -> tuple[Plan, Plan]:
    """The launch of the sums and that of the scaling, for arrays of so many elements and chunks in all."""
    t, size = C_TYPES[dtype], ITEM_SIZE[dtype]
    sums = Plan(
        file=_FILE,
        entry=f"square_sums<{t}>",
        layout=_sums_layout(t),
        grid=(min(chunks, _SUM_BLOCKS), 1, 1),
        block=(THREADS, 1, 1),
        bytes=elements * size + 4 * min(chunks, _SUM_BLOCKS),
        flops=2 * elements,
    )
    scale = Plan(
        file=_FILE,
        entry=f"clip_scale<{t}>",
        layout=_scale_layout(t),
        grid=(min(chunks, _SCALE_BLOCKS), 1, 1),
        block=(THREADS, 1, 1),
        bytes=2 * elements * size,
        flops=elements,
    )
    return sums, scale


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that `plans` can ask for."""
    for dtype in C_TYPES:
        yield from plans(dtype, 1, 1)


class _Part(NamedTuple):
    """At most ARRAYS arrays of one dtype, none of them empty, and their numbers among all."""

    numbers: list[int]
    arrays: list[Any]
    chunks: Chunks
    plans: tuple[Plan, Plan]


def _parts(arrays: Sequence[Any]) -> Iterator[_Part]:
    numbers: dict[str, list[int]] = {}
    for i, x in enumerate(arrays):
        if x.size:
            numbers.setdefault(dtype_name(x.dtype), []).append(i)
    for dtype, all_of_it in numbers.items():
        for start in range(0, len(all_of_it), ARRAYS):
            own = all_of_it[start : start + ARRAYS]
            held = [contiguous(arrays[i]) for i in own]
            found = chunks(tuple([x.size for x in held]), device_of(held[0]))
            yield _Part(own, held, found, plans(dtype, found.elements, found.number))


def _launch(part: _Part, number: int, *, chunks: int, **values: Any) -> None:
    """The sums (0) or the scaling (1) of a part; values: the fields of the struct that are the launch's own."""
    plan, tables = part.plans[number], {"rows": part.chunks.rows, "owner": part.chunks.owner}
    given = {"g": part.arrays, **tables, "chunks": chunks, **values}
    launch(plan, plan.layout(**{name: given[name] for name, _ in plan.layout.fields}))


@functools.cache
def _sums_layout(t: str) -> Layout:
    fields = ("sums", "float*"), ("chunks", "int")
    return Layout(f"SquareSumsArguments<{t}>", (*_shared_fields(t), *fields))


@functools.cache
def _scale_layout(t: str) -> Layout:
    written = ("out", f"{t}*"), ("norm", "float*")
    fields = ("sums", "const float*"), ("count", "int"), ("chunks", "int"), ("max_norm", "float")
    return Layout(f"ClipScaleArguments<{t}>", (*_shared_fields(t), *written, *fields))


def _shared_fields(t: str) -> tuple[tuple[str, str], ...]:
    return ("g", f"const {t}*[{ARRAYS}]"), ("rows", "const long long*"), ("owner", "const int*")
