"""bias_activation: y = act(x + bias) and its gradients in one pass over memory; the host side of bias_activation.cu.

The plans depend on shapes and dtypes only, not on the GPU: the sums of the bias gradient have the same bits on all of them.
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
from .plan import Dim, Plan

__all__ = ["ACTIVATIONS", "backward", "backward_plans", "forward_into", "forward_plan", "instantiations", "pulled"]

ACTIVATIONS = {None: "Identity", "relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}

_FILE = "bias_activation.cu"
# As in the kernel file.
_THREADS, _SUM_COLUMNS, _SUM_PARTS = 256, 32, 16
# Blocks that fill the largest GPUs (132 to 160 SMs); the backward has fewer, since each of its chunks is a row of sums to add.
_FORWARD_BLOCKS, _BACKWARD_BLOCKS = 2048, 512
_MOST_LINE = 2**30  # the kernels count the elements of a line in int


def forward_into(y: Any, x: Any, bias: Any, activation: str | None) -> None:
    """y = act(x + bias).

    y, x (..., columns) C-contiguous, y may be x; bias (columns) or None; all of one dtype of C_TYPES.
    """
    rows, columns = _matrix(x)
    dtype, alike = dtype_name(x.dtype), begin_alike(x, y)
    plan = forward_plan(dtype, rows, columns, activation, alike=alike)
    joined = _tiling(dtype, rows, columns, alike, backward=False).joined
    launch(plan, plan.layout(y=y, x=x, bias=bias, rows=rows, columns=columns, joined=joined))


def backward(g: Any, y: Any, activation: str | None, *, dx: bool, db: bool) -> tuple[Any, Any]:
    """(the gradient of x, the gradient of bias) of y = act(x + bias), None for what is not wanted.

    g, y (..., columns) C-contiguous, y only for an activation.
    """
    xp = raw_namespace(g)
    rows, columns = _matrix(g)
    dz = xp.empty_like(g) if dx else None
    if not rows or not columns:
        return dz, xp.zeros(columns, dtype=g.dtype) if db else None
    y = None if activation is None else y
    shape = dtype_name(g.dtype), rows, columns
    alike = begin_alike(g, y, dz)
    main, *last = backward_plans(*shape, activation, db=db, alike=alike)
    gradient = xp.empty(columns, dtype=g.dtype) if db else None
    tiling = _tiling(*shape, alike, backward=True)
    chunks = tiling.chunks * tiling.joined
    sums = xp.empty((chunks, columns), dtype=xp.float32) if last else None
    direct = None if last else gradient
    launch(main, main.layout(dx=dz, db=direct, sums=sums, g=g, y=y, rows=rows, columns=columns, joined=tiling.joined))
    for plan in last:
        launch(plan, plan.layout(db=gradient, sums=sums, chunks=chunks, columns=columns))
    return dz, gradient


def pulled(g: Any, y: Any, activation: str | None) -> Any:
    """The gradient before the activation, of that behind it, whose value is y; without one g itself.

    g, y of one shape with two axes or more, C-contiguous.
    """
    if activation is None or not g.size:
        return g
    rows = (g.shape[0] * g.shape[1], -1)  # longer ones than the last axis alone has
    return backward(g.reshape(rows), y.reshape(rows), activation, dx=True, db=False)[0].reshape(g.shape)


@functools.lru_cache(1024)
def forward_plan(dtype: str, rows: int, columns: int, activation: str | None, *, alike: bool) -> Plan:
    """The launch of the forward; alike: x and y begin at the same place within 16 bytes."""
    tiling = _tiling(dtype, rows, columns, alike, backward=False)
    return Plan(
        file=_FILE,
        entry=f"bias_activation_forward<{C_TYPES[dtype]}, {tiling.vector}, {ACTIVATIONS[activation]}>",
        layout=_forward_layout(C_TYPES[dtype]),
        grid=(tiling.tiles * tiling.chunks, 1, 1),
        block=tiling.block,
        bytes=(2 * rows + 1) * columns * ITEM_SIZE[dtype],
        flops=2 * rows * columns,
    )


@functools.lru_cache(1024)
def backward_plans(
    dtype: str, rows: int, columns: int, activation: str | None, *, db: bool, alike: bool
) -> tuple[Plan, ...]:
    """The launch of the backward, and that of bias_sum if db is wanted and has several parts: of chunks, of joined rows."""
    tiling = _tiling(dtype, rows, columns, alike, backward=True)
    parts = tiling.chunks * tiling.joined
    arrays = 2 if activation is None else 3
    main = Plan(
        file=_FILE,
        entry=f"bias_activation_backward<{C_TYPES[dtype]}, {tiling.vector}, {ACTIVATIONS[activation]}>",
        layout=_backward_layout(C_TYPES[dtype]),
        grid=(tiling.tiles * tiling.chunks, 1, 1),
        block=tiling.block,
        bytes=arrays * rows * columns * ITEM_SIZE[dtype],
        flops=3 * rows * columns,
    )
    if not db or parts <= 1:
        return (main,)
    last = Plan(
        file=_FILE,
        entry=f"bias_sum<{C_TYPES[dtype]}>",
        layout=_sum_layout(C_TYPES[dtype]),
        grid=(-(-columns // _SUM_COLUMNS), 1, 1),
        block=(_SUM_COLUMNS, _SUM_PARTS, 1),
        bytes=columns * (4 * parts + ITEM_SIZE[dtype]),
        flops=columns * parts,
    )
    return main, last


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for."""
    for dtype in C_TYPES:
        for activation in ACTIVATIONS:
            for alike in (True, False):
                yield forward_plan(dtype, 1, 8, activation, alike=alike)
                yield backward_plans(dtype, 1, 8, activation, db=True, alike=alike)[0]
        yield backward_plans(dtype, 10_000, 8, None, db=True, alike=True)[1]


class _Tiling(NamedTuple):
    """How blocks share a matrix: tiles of places times chunks of lines, of joined rows each; vector elements move at once."""

    tiles: int
    chunks: int
    block: Dim
    vector: int
    joined: int


@functools.lru_cache(1024)
def _tiling(dtype: str, rows: int, columns: int, alike: bool, *, backward: bool) -> _Tiling:
    vector = VECTOR // ITEM_SIZE[dtype]
    joined = vector // gcd(columns, vector)
    # Joined rows of the backward need the sum of a second launch: none of the few that one chunk of single elements holds.
    least = 4 * _THREADS // _width(columns) + 1 if backward and joined > 1 else joined
    if not alike or rows < least or joined * columns > _MOST_LINE:
        vector = joined = 1
    groups, lines = -(-columns * joined // vector), -(-rows // joined)
    width = _width(groups)
    height = _THREADS // width
    tiles = -(-groups // width)
    most = _BACKWARD_BLOCKS if backward else _FORWARD_BLOCKS
    chunks = min(-(-lines // (height * (4 if vector == 1 else 2))), max(most // max(tiles, 1), 1))
    return _Tiling(tiles, chunks, (width, height, 1), vector, joined)


def _width(groups: int) -> int:
    """Threads side by side: a warp is enough for whole lines of memory; narrower matrices give each warp several rows."""
    return min(32, 1 << max(groups - 1, 0).bit_length())


def _matrix(x: Any) -> tuple[int, int]:
    """The rows and columns of x (..., columns)."""
    columns = x.shape[-1]
    return (x.size // columns if columns else 0), columns


_SIZES = ("rows", "long long"), ("columns", "int"), ("joined", "int")


@functools.cache
def _forward_layout(t: str) -> Layout:
    return Layout(f"ForwardArguments<{t}>", (("y", f"{t}*"), ("x", f"const {t}*"), ("bias", f"const {t}*"), *_SIZES))


@functools.cache
def _backward_layout(t: str) -> Layout:
    written = ("dx", f"{t}*"), ("db", f"{t}*"), ("sums", "float*")
    return Layout(f"BackwardArguments<{t}>", (*written, ("g", f"const {t}*"), ("y", f"const {t}*"), *_SIZES))


@functools.cache
def _sum_layout(t: str) -> Layout:
    fields = ("db", f"{t}*"), ("sums", "const float*"), ("chunks", "int"), ("columns", "int")
    return Layout(f"SumArguments<{t}>", fields)
