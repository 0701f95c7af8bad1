"""row_norm: the host side of row_norm.cu, which layer_norm, rms_norm and group_norm share.

The plans depend on shapes and dtypes only, not on the GPU: sums have the same bits on all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from math import gcd
from typing import Any, NamedTuple

from ..namespace.libraries import raw_namespace
from .arguments import Layout
from .arrays import VECTOR, begin_alike
from .dtypes import C_TYPES, ITEM_SIZE, dtype_name
from .launch import launch
from .norm import KINDS, LEAST_PACKS, THREADS
from .plan import Dim, Plan

__all__ = [
    "MOST_COLUMNS",
    "Statistics",
    "backward",
    "backward_plans",
    "block_of",
    "forward",
    "forward_plan",
    "in_packs",
    "instantiations",
    "sum_plan",
    "sum_up",
    "up_to_power",
]

MOST_COLUMNS = 2**30  # the kernels count columns in int

_FILE = "row_norm.cu"
# As in norm.cuh and in the kernel file.
_ITEMS, _SUM_COLUMNS, _SUM_PARTS = 16, 32, 16
# Each chunk of the backward leaves a row of sums to add, so a thread should have some rows to walk.
_MOST_CHUNKS, _LEAST_ROWS = 256, 4


class Statistics(NamedTuple):
    """What the forward leaves of each row, in float32: the mean of x - x[0], and 1 / sqrt(var + eps)."""

    mean: Any
    scale: Any


def forward(
    x: Any, weight: Any, bias: Any, columns: int, eps: float, *, groups: int = 1, inner: int = 1, centre: bool = True,
    activation: str | None = None, keep: bool,
) -> tuple[Any, Statistics | None]:  # fmt: skip
    """y, and the statistics of the rows if they are to be kept; x (..., columns), all arrays C-contiguous, of one dtype.

    weight and bias (groups, columns / inner) or None: row r has those of group r % groups, each for `inner` columns.
    centre: whether the mean is subtracted.
    """
    xp = raw_namespace(x)
    rows = x.size // max(columns, 1)
    y = xp.empty_like(x)
    mean = xp.empty(rows, dtype=xp.float32) if keep and centre else None
    scale = xp.empty(rows, dtype=xp.float32) if keep else None
    if x.size:
        dtype, alike = dtype_name(x.dtype), begin_alike(x, y)
        plan = forward_plan(dtype, rows, columns, alike=alike)
        vectors = in_packs(dtype, columns, alike)
        arguments = plan.layout(
            y=y, mean=mean, scale=scale, x=x, weight=weight, bias=bias, rows=rows, columns=columns, groups=groups,
            inner=inner, vectors=vectors, centre=centre, activation=KINDS[activation], eps=eps,
        )  # fmt: skip
        launch(plan, arguments)
    return y, Statistics(mean, scale) if keep else None


def backward(
    dy: Any, y: Any, x: Any, weight: Any, statistics: Statistics, columns: int, *, activation: str | None = None,
    dx: bool, dweight: bool, dbias: bool,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """The gradients of x, weight and bias, None for what is not wanted.

    dy, y, x (..., columns), y only for an activation; weight (columns) or None; all C-contiguous, of one dtype.
    """
    xp = raw_namespace(x)
    rows = x.size // max(columns, 1)
    gradient = xp.empty_like(x) if dx else None
    new = xp.empty if x.size else xp.zeros
    own = [new(columns, dtype=x.dtype) if wanted else None for wanted in (dweight, dbias)]
    if x.size:
        dtype, alike = dtype_name(x.dtype), begin_alike(dy, y, x, gradient)
        main, *last = backward_plans(dtype, rows, columns, activation, dx=dx, sums=dweight + dbias, alike=alike)
        chunks = main.grid[0]
        parts = [xp.empty((chunks, columns), dtype=xp.float32) if last and w else None for w in (dweight, dbias)]
        direct = (None, None) if last else own
        arguments = main.layout(
            dx=gradient, dweight=direct[0], dbias=direct[1], dweights=parts[0], dbiases=parts[1], dy=dy, y=y, x=x,
            weight=weight, mean=statistics.mean, scale=statistics.scale, rows=rows, columns=columns,
            vectors=in_packs(dtype, columns, alike), apart=_period(dtype, columns, alike) > 1, activation=KINDS[activation],
        )  # fmt: skip
        launch(main, arguments)
        for plan in last:
            sum_up(plan, own, parts, chunks, columns)
    return gradient, own[0], own[1]


def sum_up(plan: Plan, gradients: Any, parts: Any, chunks: int, columns: int) -> None:
    """gradients (columns) = the sums of parts (chunks, columns), for weight and for bias, None for what is not wanted."""
    dweight, dbias = gradients
    arguments = plan.layout(
        dweight=dweight, dbias=dbias, dweights=parts[0], dbiases=parts[1], chunks=chunks, columns=columns
    )
    launch(plan, arguments)


@functools.lru_cache(1024)
def forward_plan(dtype: str, rows: int, columns: int, *, alike: bool) -> Plan:
    """The launch of the forward; alike: x and y begin at the same place within 16 bytes."""
    block = block_of(dtype, columns, in_packs(dtype, columns, alike))
    return Plan(
        file=_FILE,
        entry=f"row_norm_forward<{C_TYPES[dtype]}>",
        layout=_forward_layout(C_TYPES[dtype]),
        grid=(-(-rows // block[1]), 1, 1),
        block=block,
        bytes=2 * rows * columns * ITEM_SIZE[dtype],
        flops=8 * rows * columns,
    )


@functools.lru_cache(1024)
def backward_plans(
    dtype: str, rows: int, columns: int, activation: str | None, *, dx: bool, sums: int, alike: bool
) -> tuple[Plan, ...]:
    """The launch of the backward, and that of the sum of its chunks; sums: how many of dweight and dbias are wanted."""
    block = block_of(dtype, columns, in_packs(dtype, columns, alike))
    most = _MOST_CHUNKS if sums else 2**30
    chunks = min(-(-rows // (block[1] * (_LEAST_ROWS if sums else 1))), most)
    period = _period(dtype, columns, alike)
    chunks = -(-chunks // period) * period
    main = Plan(
        file=_FILE,
        entry=f"row_norm_backward<{C_TYPES[dtype]}>",
        layout=_backward_layout(C_TYPES[dtype]),
        grid=(chunks, 1, 1),
        block=block,
        bytes=(2 + dx + (activation is not None)) * rows * columns * ITEM_SIZE[dtype],
        flops=12 * rows * columns,
    )
    longest = columns + VECTOR // ITEM_SIZE[dtype] - 1  # from a multiple of 16 bytes on
    if not sums or (chunks == 1 and longest <= THREADS * _ITEMS):
        return (main,)
    return main, sum_plan(dtype, chunks, columns, sums)


@functools.lru_cache(1024)
def sum_plan(dtype: str, chunks: int, columns: int, sums: int) -> Plan:
    """The launch that adds up what the chunks left."""
    return Plan(
        file=_FILE,
        entry=f"row_norm_sum<{C_TYPES[dtype]}>",
        layout=_sum_layout(C_TYPES[dtype]),
        grid=(-(-columns // _SUM_COLUMNS), 2, 1),
        block=(_SUM_COLUMNS, _SUM_PARTS, 1),
        bytes=sums * columns * (4 * chunks + ITEM_SIZE[dtype]),
        flops=sums * columns * chunks,
    )


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for."""
    for dtype in C_TYPES:
        yield forward_plan(dtype, 1, 8, alike=True)
        yield from backward_plans(dtype, 10_000, 8, None, dx=True, sums=2, alike=True)


def in_packs(dtype: str, columns: int, alike: bool) -> bool:
    """Whether 16 bytes move at once: rows are whole packs, or so long that a few elements at both ends do not matter."""
    vector = VECTOR // ITEM_SIZE[dtype]
    return alike and (columns % vector == 0 or columns > LEAST_PACKS * vector)


def _period(dtype: str, columns: int, alike: bool) -> int:
    """How many rows further one begins at the same place within 16 bytes, where that matters: a thread keeps its columns."""
    vector = VECTOR // ITEM_SIZE[dtype]
    return vector // gcd(columns, vector) if in_packs(dtype, columns, alike) else 1


def block_of(dtype: str, columns: int, vectors: bool) -> Dim:
    """(threads of a row, rows) of a block: the row in registers if it can be, and whole lines of memory side by side."""
    vector = VECTOR // ITEM_SIZE[dtype] if vectors else 1
    longest = columns + (vector - 1 if columns % vector else 0)  # from a multiple of 16 bytes on
    packs = -(-longest // vector)
    width = max(up_to_power(-(-longest // _ITEMS)), min(up_to_power(packs), 8 if vectors else 32))
    width = min(width, THREADS)
    return (width, THREADS // width, 1)


def up_to_power(n: int) -> int:
    """The least power of two that is n or more."""
    return 1 << max(n - 1, 0).bit_length()


@functools.cache
def _forward_layout(t: str) -> Layout:
    arrays = ("y", f"{t}*"), ("mean", "float*"), ("scale", "float*"), ("x", f"const {t}*")
    parameters = ("weight", f"const {t}*"), ("bias", f"const {t}*")
    sizes = ("rows", "long long"), ("columns", "int"), ("groups", "int"), ("inner", "int")
    options = ("vectors", "int"), ("centre", "int"), ("activation", "int"), ("eps", "float")
    return Layout(f"ForwardArguments<{t}>", (*arrays, *parameters, *sizes, *options))


@functools.cache
def _backward_layout(t: str) -> Layout:
    written = ("dx", f"{t}*"), ("dweight", f"{t}*"), ("dbias", f"{t}*"), ("dweights", "float*"), ("dbiases", "float*")
    arrays = ("dy", f"const {t}*"), ("y", f"const {t}*"), ("x", f"const {t}*"), ("weight", f"const {t}*")
    statistics = ("mean", "const float*"), ("scale", "const float*")
    sizes = ("rows", "long long"), ("columns", "int")
    options = ("vectors", "int"), ("apart", "int"), ("activation", "int")
    return Layout(f"BackwardArguments<{t}>", (*written, *arrays, *statistics, *sizes, *options))


@functools.cache
def _sum_layout(t: str) -> Layout:
    arrays = ("dweight", f"{t}*"), ("dbias", f"{t}*"), ("dweights", "const float*"), ("dbiases", "const float*")
    return Layout(f"SumArguments<{t}>", (*arrays, ("chunks", "int"), ("columns", "int")))
