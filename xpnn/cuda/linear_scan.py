"""linear_scan for CuPy: one pass over memory each way, two where few columns are long; the host side of linear_scan.cu.

The plans depend on shapes and dtypes only, not on the GPU: the results have the same bits on all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from ..namespace.libraries import raw_namespace
from .arguments import Layout
from .arrays import VECTOR, contiguous, is_aligned
from .dtypes import C_TYPES, ITEM_SIZE, dtype_name, refuse_dtypes
from .launch import launch
from .plan import Dim, Plan

__all__ = ["backward", "chunk_length", "forward", "instantiations", "plans", "refusal"]

# As in the kernel file.
_FILE, _THREADS, _STEPS = "linear_scan.cu", 256, 4
# Threads that keep the largest GPUs busy: where there are fewer vectors of columns, more threads share the time of each.
_ENOUGH_THREADS, _MOST_PARTS = 1 << 17, 32
# Where a launch has fewer blocks than half of these, time is cut into chunks, none shorter than so many steps.
_ENOUGH_BLOCKS, _LEAST_LENGTH, _MOST_CHUNKS = 128, 512, 64


def refusal(a: Any, b: Any, h0: Any, *, reverse: bool = False) -> str | None:
    if a.ndim == 0 or b.shape != a.shape or (h0 is not None and h0.shape != a.shape[1:]):
        return "shapes"
    return refuse_dtypes(a, b, h0)


def forward(a: Any, b: Any, h0: Any, *, reverse: bool = False, need: tuple[bool, ...]) -> tuple[Any, Any]:
    a, b, h0 = contiguous(a), contiguous(b), None if h0 is None else contiguous(h0)
    h = raw_namespace(a).empty_like(a)
    if a.size:
        _launch(a, {"h": h}, {"a": a, "b": b, "h0": h0}, reverse, backward=False)
    return h, (a, h, h0, reverse) if True in need else None


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, Any, Any]:
    a, h, h0, reverse = residuals
    xp = raw_namespace(a)
    da, db = (xp.empty_like(a) if wanted else None for wanted in need[:2])
    if not a.size:
        return da, db, xp.zeros_like(h0) if need[2] else None
    dh0 = xp.empty_like(h0) if need[2] else None
    _launch(a, {"da": da, "db": db, "dh0": dh0}, {"g": contiguous(g), "a": a, "h": h, "h0": h0}, reverse, backward=True)
    return da, db, dh0


def _launch(a: Any, written: dict[str, Any], read: dict[str, Any], reverse: bool, *, backward: bool) -> None:
    times, columns = a.shape[0], prod(a.shape[1:])
    dtype, aligned = dtype_name(a.dtype), is_aligned(*written.values(), *read.values())
    own = plans(dtype, times, columns, backward=backward, aligned=aligned)
    length = chunk_length(dtype, times, columns)
    xp = raw_namespace(a)
    sums = xp.empty((-(-times // length) - 1, 2, columns), dtype=xp.float32) if len(own) > 1 else None
    numbers = {"times": times, "columns": columns, "length": length, "reverse": reverse}
    for plan in own:
        launch(plan, plan.layout(**written, sums=sums, **read, **numbers, maps=plan is not own[-1]))


@functools.lru_cache(1024)
def plans(dtype: str, times: int, columns: int, *, backward: bool, aligned: bool) -> tuple[Plan, ...]:
    """The launch that takes all steps, and where there are several chunks, before it the one that leaves their maps.

    aligned: all arrays begin at multiples of 16 bytes.
    """
    length = chunk_length(dtype, times, columns)
    chunks = -(-times // length)
    vector, block, tiles = _tiling(dtype, length, columns, aligned)
    item = ITEM_SIZE[dtype]
    # Of columns, backward: g, a, h, da and db, and h0 and dh0; forward: a, b and h, and h0.
    moved = (5 * times + 2 if backward else 3 * times + 1) * columns * item
    sums = 8 * (chunks - 1) * columns

    def plan(chunks: int, moved: int, flops: int) -> Plan:
        return Plan(
            file=_FILE,
            entry=f"linear_scan_{'backward' if backward else 'forward'}<{C_TYPES[dtype]}, {vector}>",
            layout=_layout(C_TYPES[dtype], backward),
            grid=(tiles, chunks, 1),
            block=block,
            bytes=moved + sums,
            flops=flops,
        )

    last = plan(chunks, moved, (6 if backward else 5) * times * columns)
    if chunks == 1:
        return (last,)
    short = (chunks - 1) * length * columns
    return plan(chunks - 1, 2 * short * item, 3 * short), last


@functools.lru_cache(1024)
def chunk_length(dtype: str, times: int, columns: int) -> int:
    """How many steps the chunks of blockIdx.y have. Not of the alignment: the same numbers have the same bits."""
    tiles = _tiling(dtype, times, columns, aligned=True)[2]
    chunks = max(min(_ENOUGH_BLOCKS // max(tiles, 1), times // _LEAST_LENGTH, _MOST_CHUNKS), 1)
    return max(-(-times // (chunks * _STEPS)), 1) * _STEPS


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that `plans` can ask for."""
    for dtype in C_TYPES:
        for backward in (False, True):
            for aligned in (True, False):
                yield plans(dtype, 1, 8, backward=backward, aligned=aligned)[0]


def _tiling(dtype: str, times: int, columns: int, aligned: bool) -> tuple[int, Dim, int]:
    """(columns that move at once, block (columns, parts of time), blocks beside one another) for a chunk of so many steps."""
    vector = VECTOR // ITEM_SIZE[dtype]
    if not aligned or columns % vector:
        vector = 1
    groups = -(-columns // vector)
    parts = min(_power(-(-_ENOUGH_THREADS // max(groups, 1))), _power(-(-times // _STEPS)), _MOST_PARTS)
    width = min(_power(groups), _THREADS // parts)
    return vector, (width, parts, 1), -(-groups // width)


def _power(n: int) -> int:
    """The least power of two that is not below n, 1 at least."""
    return 1 << max(n - 1, 0).bit_length()


@functools.cache
def _layout(t: str, backward: bool) -> Layout:
    written, read = (("da", "db", "dh0"), ("g", "a", "h", "h0")) if backward else (("h",), ("a", "b", "h0"))
    arrays = (
        *((name, f"{t}*") for name in written),
        ("sums", "float*"),
        *((name, f"const {t}*") for name in read),
    )
    numbers = (("times", "long long"), ("columns", "long long"), ("length", "long long"))
    name = "BackwardArguments" if backward else "ForwardArguments"
    return Layout(f"{name}<{t}>", (*arrays, *numbers, ("reverse", "int"), ("maps", "int")))
