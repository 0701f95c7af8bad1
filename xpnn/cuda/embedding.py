"""embedding for CuPy: rows gathered in one pass; the table's gradient by sorting and sums of runs; embedding.cu's host side.

The plans depend on shapes and dtypes only, not on the GPU: the sums of the gradient have the same bits on all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

from ..namespace.libraries import raw_namespace
from .arguments import Layout
from .arrays import VECTOR, contiguous, is_aligned
from .dtypes import C_TYPES, ITEM_SIZE, dtype_name, refuse_dtypes
from .launch import launch
from .plan import Dim, Plan

__all__ = ["backward", "backward_plans", "chunk_length", "forward", "forward_plan", "instantiations", "refusal"]

# As in the kernel file.
_FILE, _THREADS, _BATCH = "embedding.cu", 256, 4
_COMBINE_COLUMNS, _COMBINE_PARTS, _COMBINE_VECTOR = 32, 8, 4
_MOST_BLOCKS = 1 << 15
_MOST_COLUMNS = 2**30  # the kernels count columns in int
# Threads that fill the largest GPUs with a chunk each; and positions of a chunk, below which its two sums cost too much.
_BACKWARD_THREADS, _LEAST_LENGTH = 1 << 18, 16


def refusal(indices: Any, weight: Any, *, padding_idx: int | None = None) -> str | None:
    if weight.ndim != 2:
        return "shape of weight"
    if indices.dtype.kind not in "iu":
        return f"indices of {indices.dtype}"
    if padding_idx is not None and not -weight.shape[0] <= padding_idx < weight.shape[0]:
        return f"padding_idx {padding_idx}"
    if weight.shape[1] > _MOST_COLUMNS:
        return f"{weight.shape[1]} columns"
    return refuse_dtypes(weight)


def forward(indices: Any, weight: Any, *, padding_idx: int | None = None, need: tuple[bool, ...]) -> tuple[Any, Any]:
    index, table = _signed(indices), contiguous(weight)
    rows, columns = table.shape
    y = raw_namespace(weight).empty((*indices.shape, columns), dtype=weight.dtype)
    if y.size:
        shape = index.size, rows, columns
        plan = forward_plan(dtype_name(y.dtype), index.itemsize, *shape, aligned=is_aligned(table, y))
        arrays = {"y": y, "weight": table, **_by_width(index)}
        launch(plan, plan.layout(**arrays, count=index.size, rows=rows, columns=columns))
    if not need[1]:
        return y, None
    return y, (index, weight.shape, -1 if padding_idx is None else padding_idx % rows)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[None, Any]:
    index, (rows, columns), padding = residuals
    xp = raw_namespace(g)
    dweight = xp.zeros((rows, columns), dtype=g.dtype)
    if not g.size or not rows:
        return None, dweight
    g = contiguous(g)
    shape = dtype_name(g.dtype), index.itemsize, index.size, rows, columns
    plans = backward_plans(*shape, aligned=is_aligned(g, dweight))
    order = xp.argsort(index.reshape(-1), stable=True)
    length = chunk_length(*shape[::2])
    sums = xp.empty((-(-index.size // length), 2, columns), dtype=xp.float32) if len(plans) > 1 else None
    arrays = {"dweight": dweight, "sums": sums, "g": g, "order": order, **_by_width(index)}
    numbers = {"count": index.size, "rows": rows, "padding": padding, "length": length, "columns": columns}
    arguments = plans[0].layout(**arrays, **numbers)
    for plan in plans:
        launch(plan, arguments)
    return None, dweight


def _signed(indices: Any) -> Any:
    """The indices, contiguous, in a dtype that the kernels read."""
    kept = dtype_name(indices.dtype) in ("int32", "int64")
    return contiguous(indices if kept else indices.astype("int64"))


def _by_width(index: Any) -> dict[str, Any]:
    return {"narrow": index, "wide": None} if index.itemsize == 4 else {"narrow": None, "wide": index}


@functools.lru_cache(1024)
def forward_plan(dtype: str, index_size: int, count: int, rows: int, columns: int, *, aligned: bool) -> Plan:
    """The launch of the forward; index_size: bytes of an index; aligned: weight and y begin at multiples of 16 bytes."""
    vector, block, tiles = _tiling(dtype, columns, aligned)
    chunks = min(-(-count // (block[1] * _BATCH)), max(_MOST_BLOCKS // tiles, 1))
    return Plan(
        file=_FILE,
        entry=f"embedding_forward<{C_TYPES[dtype]}, {vector}>",
        layout=_gather_layout(C_TYPES[dtype]),
        grid=(tiles * chunks, 1, 1),
        block=block,
        bytes=count * index_size + (count + min(count, rows)) * columns * ITEM_SIZE[dtype],
    )


@functools.lru_cache(1024)
def backward_plans(
    dtype: str, index_size: int, count: int, rows: int, columns: int, *, aligned: bool
) -> tuple[Plan, ...]:
    """The launch that adds up chunks, and where there are several that of embedding_combine."""
    vector, block, tiles = _tiling(dtype, columns, aligned)
    chunks = -(-count // chunk_length(dtype, count, columns))
    main = Plan(
        file=_FILE,
        entry=f"embedding_backward<{C_TYPES[dtype]}, {vector}>",
        layout=_scatter_layout(C_TYPES[dtype]),
        grid=(tiles * -(-chunks // block[1]), 1, 1),
        block=block,
        bytes=count * (8 + index_size) + (count + min(count, rows)) * columns * ITEM_SIZE[dtype],
        flops=count * columns,
    )
    if chunks == 1:
        return (main,)
    combined = _COMBINE_VECTOR if aligned and columns % _COMBINE_VECTOR == 0 else 1
    last = Plan(
        file=_FILE,
        entry=f"embedding_combine<{C_TYPES[dtype]}, {combined}>",
        layout=_scatter_layout(C_TYPES[dtype]),
        grid=(-(-columns // (_COMBINE_COLUMNS * combined)) * (chunks - 1), 1, 1),
        block=(_COMBINE_COLUMNS, _COMBINE_PARTS, 1),
        bytes=2 * chunks * columns * 4,
        flops=2 * chunks * columns,
    )
    return main, last


def chunk_length(dtype: str, count: int, columns: int) -> int:
    """How many sorted positions a thread adds up. Not of the alignment: the same numbers have the same sums."""
    _, block, tiles = _tiling(dtype, columns, aligned=True)
    return max(-(-count // max(_BACKWARD_THREADS // (block[0] * tiles), 1)), _LEAST_LENGTH)


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for."""
    for dtype in C_TYPES:
        for aligned in (True, False):
            yield forward_plan(dtype, 8, 1, 1, 8, aligned=aligned)
            yield from backward_plans(dtype, 8, 1000, 1, 8, aligned=aligned)


def _tiling(dtype: str, columns: int, aligned: bool) -> tuple[int, Dim, int]:
    """(elements that move at once, block, tiles of columns): a block is as wide as a row, at most a warp."""
    vector = VECTOR // ITEM_SIZE[dtype]
    if not aligned or columns % vector:
        vector = 1
    groups = -(-columns // vector)
    width = min(32, 1 << max(groups - 1, 0).bit_length())
    return vector, (width, _THREADS // width, 1), -(-groups // width)


@functools.cache
def _gather_layout(t: str) -> Layout:
    read = ("weight", f"const {t}*"), ("narrow", "const int*"), ("wide", "const long long*")
    numbers = ("count", "long long"), ("rows", "long long"), ("columns", "int")
    return Layout(f"GatherArguments<{t}>", (("y", f"{t}*"), *read, *numbers))


@functools.cache
def _scatter_layout(t: str) -> Layout:
    written = ("dweight", f"{t}*"), ("sums", "float*")
    read = ("g", f"const {t}*"), ("order", "const long long*"), ("narrow", "const int*"), ("wide", "const long long*")
    numbers = tuple((name, "long long") for name in ("count", "rows", "padding", "length"))
    return Layout(f"ScatterArguments<{t}>", (*written, *read, *numbers, ("columns", "int")))
