"""conv for CuPy where each filter sees one channel; the host side of conv_depthwise.cu. It refuses what is not depthwise.

The plans depend on shapes and dtypes only, not on the GPU: all sums have the same bits on all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from math import gcd, prod
from typing import Any, NamedTuple

from ..cpu.windows import Pairs, output_sizes
from ..namespace.libraries import raw_namespace
from . import bias_activation
from .arguments import Layout
from .arrays import contiguous, is_aligned
from .conv_depthwise_shape import Geometry, Sizes, geometry_of, problem
from .dtypes import C_TYPES, ITEM_SIZE, dtype_name, refuse_dtypes
from .launch import launch
from .plan import Plan

__all__ = [
    "Launch",
    "backward",
    "dx_launch",
    "forward",
    "forward_launch",
    "instantiations",
    "refusal",
    "sum_launch",
    "weight_launches",
]

# As in the kernel file.
_FILE, _THREADS, _ROWS = "conv_depthwise.cu", 256, 4
_TALL, _WIDE = 7, 3
_SUM_COLUMNS, _SUM_PARTS = 32, 16
# Taps along h whose weights a thread holds: kernels of at most 3 take the smaller one.
_FEW, _MANY = 3, 7
# Blocks of dweight that fill the largest GPUs, and strips that a thread should have before there is a further slice.
_WEIGHT_BLOCKS, _LEAST_STRIPS = 2048, 8


class Launch(NamedTuple):
    """A plan and the numbers among its arguments."""

    plan: Plan
    numbers: dict[str, int]


def refusal(
    x: Any,
    weight: Any,
    bias: Any,
    *,
    stride: Sizes,
    padding: Pairs,
    dilation: Sizes,
    groups: int = 1,
    data_format: str = "channels_first",
    activation: str | None = None,
) -> str | None:
    if data_format not in ("channels_first", "channels_last"):
        return f"data_format {data_format}"
    if activation not in bias_activation.ACTIVATIONS:
        return f"activation {activation}"
    if not 3 <= x.ndim == weight.ndim <= 5:
        return "shapes"
    shape = _first_shape(x.shape, data_format)
    if weight.shape[1] != 1 or groups != shape[1]:
        return f"not depthwise: {groups} groups of {shape[1]} channels"
    if weight.shape[0] % groups or 0 in weight.shape[2:]:
        return "shapes"
    if bias is not None and bias.shape != weight.shape[:1]:
        return "shape of bias"
    return problem(shape, weight.shape, stride, padding, dilation) or refuse_dtypes(x, weight, bias)


def forward(
    x: Any,
    weight: Any,
    bias: Any,
    *,
    stride: Sizes,
    padding: Pairs,
    dilation: Sizes,
    groups: int = 1,
    data_format: str = "channels_first",
    activation: str | None = None,
    need: tuple[bool, ...],
) -> tuple[Any, Any]:
    x, weight = _first(x, data_format), contiguous(weight)
    geometry = geometry_of(x.shape, weight.shape, stride, padding, dilation)
    out = output_sizes(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    y = raw_namespace(x).empty((geometry.batch, geometry.filters, *out), dtype=x.dtype)
    if y.size:
        bias = None if bias is None else contiguous(bias)
        _gather(forward_launch(dtype_name(x.dtype), geometry, bias is not None), y, x, weight, bias)
        if activation is not None:
            bias_activation.forward_into(rows := y.reshape(y.shape[0] * y.shape[1], -1), rows, None, activation)
    kept = None if activation is None else y
    residuals = (x, weight, geometry, data_format, kept, activation) if True in need else None
    return _back(y, data_format), residuals


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, Any, Any]:
    x, weight, geometry, data_format, y, activation = residuals
    g = bias_activation.pulled(_first(g, data_format), y, activation)
    xp, dtype = raw_namespace(x), dtype_name(x.dtype)
    new = xp.empty if g.size else xp.zeros
    dx = new(x.shape, dtype=x.dtype) if need[0] else None
    dweight = new(weight.shape, dtype=x.dtype) if need[1] else None
    db = new(geometry.filters, dtype=x.dtype) if need[2] else None
    if g.size and dx is not None and dx.size:
        found = dx_launch(dtype, geometry)
        if "hop_d" in found.numbers:
            launch(found.plan, found.plan.layout(dx=dx, g=g, weight=weight, **found.numbers))
        else:
            _gather(found, dx, g, weight, None)
    if g.size and (need[1] or need[2]):
        _weight(weight_launches(dtype, geometry, dweight is not None, db is not None), dweight, db, g, x)
    return None if dx is None else _back(dx, data_format), dweight, db


def _gather(found: Launch, y: Any, x: Any, weight: Any, bias: Any) -> None:
    """Launches depthwise_gather; whole strips are stored at once if y is where that is possible."""
    numbers = found.numbers
    if numbers["vector"] and not is_aligned(y):
        numbers = {**numbers, "vector": 0}
    launch(found.plan, found.plan.layout(y=y, x=x, weight=weight, bias=bias, **numbers))


def _weight(launches: tuple[Launch, ...], dweight: Any, db: Any, g: Any, x: Any) -> None:
    """Launches depthwise_weight, and depthwise_sum if there are several slices."""
    main, *last = launches
    if not last:
        launch(main.plan, main.plan.layout(dweight=dweight, db=db, sums=None, g=g, x=x, **main.numbers))
        return
    plan, numbers = last[0]
    xp = raw_namespace(g)
    sums = xp.empty((numbers["slices"], numbers["columns"]), dtype=xp.float32)
    launch(main.plan, main.plan.layout(dweight=None, db=None, sums=sums, g=g, x=x, **main.numbers))
    launch(plan, plan.layout(dweight=dweight, db=db, sums=sums, **numbers))


def _first_shape(shape: Sizes, data_format: str) -> Sizes:
    return shape if data_format == "channels_first" else (shape[0], shape[-1], *shape[1:-1])


def _first(x: Any, data_format: str) -> Any:
    """x as (N, C, *S), contiguous."""
    return contiguous(x if data_format == "channels_first" else raw_namespace(x).moveaxis(x, -1, 1))


def _back(y: Any, data_format: str) -> Any:
    """y (N, K, *O) as data_format has it."""
    return y if data_format == "channels_first" else raw_namespace(y).moveaxis(y, 1, -1)


@functools.lru_cache(1024)
def forward_launch(dtype: str, geometry: Geometry, bias: bool) -> Launch:
    filters, (x, weight, y) = geometry.filters, geometry.elements
    axes = _axes(geometry.out, geometry.size, geometry)
    planes = {"planes": geometry.batch * filters, "divide": geometry.multiplier, "times": 1, "outputs": filters}
    moved = (x + weight + y + (filters if bias else 0)) * ITEM_SIZE[dtype]
    return _gather_launch(dtype, axes, planes, 0, moved, geometry.flops)


@functools.lru_cache(1024)
def dx_launch(dtype: str, geometry: Geometry) -> Launch:
    """The launch of depthwise_gather if all strides are 1, else of depthwise_spread."""
    moved = sum(geometry.elements) * ITEM_SIZE[dtype]
    channels, times = geometry.channels, geometry.multiplier
    planes = geometry.batch * channels
    axes = _axes(geometry.size, geometry.out, geometry)
    if max(geometry.stride) == 1:
        for axis, taps, before, step in zip("dhw", geometry.taps, geometry.pad, geometry.dilation, strict=True):
            axes[f"pad_{axis}"] = step * (taps - 1) - before
        seen = {"planes": planes, "divide": 1, "times": times, "outputs": channels}
        return _gather_launch(dtype, axes, seen, 1, moved, geometry.flops)
    items = prod(geometry.size)
    tiles, stack, blocks = _tiling(planes, items)
    moves = zip("dhw", geometry.stride, geometry.dilation, strict=True)
    hops = {f"hop_{axis}": move // gcd(move, step) for axis, move, step in moves}
    counts = {"planes": planes, "times": times, "outputs": channels, "items": items, "tiles": tiles, "stack": stack}
    plan = Plan(
        file=_FILE,
        entry=f"depthwise_spread<{C_TYPES[dtype]}>",
        layout=_spread_layout(C_TYPES[dtype]),
        grid=(blocks, 1, 1),
        block=(_THREADS, 1, 1),
        bytes=moved,
        flops=geometry.flops,
    )
    return Launch(plan, {**counts, **axes, **hops})


@functools.lru_cache(1024)
def weight_launches(dtype: str, geometry: Geometry, dweight: bool, db: bool) -> tuple[Launch, ...]:
    """The launch of depthwise_weight, and that of depthwise_sum if there are several slices."""
    filters, (x, weights, y) = geometry.filters, geometry.elements
    axes = _axes(geometry.out, geometry.size, geometry)
    if not dweight:
        axes.update(taps_d=0, taps_h=0, taps_w=0)
        x = weights = 0
    columns = weights + (filters if db else 0)
    chunks_h, chunks_w = max(-(-axes["taps_h"] // _TALL), 1), max(-(-axes["taps_w"] // _WIDE), 1)
    chunks = max(axes["taps_d"], 1) * chunks_h * chunks_w
    strips, apart, sliding = _strips(geometry.out[1], geometry.stride[1], geometry.dilation[1])
    items = geometry.out[0] * strips * geometry.out[2]
    total = geometry.batch * items
    slices = max(min(-(-total // (_THREADS * _LEAST_STRIPS)), _WEIGHT_BLOCKS // (filters * chunks)), 1)
    length = -(-total // slices)
    slices = -(-total // length)
    main = Plan(
        file=_FILE,
        entry=f"depthwise_weight<{C_TYPES[dtype]}>",
        layout=_weight_layout(C_TYPES[dtype]),
        grid=(slices * filters * chunks, 1, 1),
        block=(_THREADS, 1, 1),
        bytes=(x + y) * ITEM_SIZE[dtype] + columns * (4 * slices if slices > 1 else ITEM_SIZE[dtype]),
        flops=(geometry.flops if dweight else 0) + (y if db else 0),
    )
    numbers = {
        "strips_in_all": total, "length": length, "filters": filters, "multiplier": geometry.multiplier, "columns": columns,
        "chunks": chunks, "chunks_h": chunks_h, "chunks_w": chunks_w,
        "items": items, "strips": strips, "apart": apart, "sliding": sliding, **axes,
    }  # fmt: skip
    if slices == 1:
        return (Launch(main, numbers),)
    return Launch(main, numbers), sum_launch(dtype, slices, columns, weights)


@functools.lru_cache(1024)
def sum_launch(dtype: str, slices: int, columns: int, weights: int) -> Launch:
    """The launch of depthwise_sum: sums (slices, columns), of which the first are those of the weights, the others of the bias."""
    plan = Plan(
        file=_FILE,
        entry=f"depthwise_sum<{C_TYPES[dtype]}>",
        layout=_sum_layout(C_TYPES[dtype]),
        grid=(-(-columns // _SUM_COLUMNS), 1, 1),
        block=(_SUM_COLUMNS, _SUM_PARTS, 1),
        bytes=columns * (4 * slices + ITEM_SIZE[dtype]),
        flops=columns * slices,
    )
    return Launch(plan, {"slices": slices, "columns": columns, "weights": weights})


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for."""
    for dtype in C_TYPES:
        for taps, stride in (_FEW, 1), (_MANY, 2):
            geometry = geometry_of((1, 1, 99_999), (1, 1, taps), (stride,), ((0, 0),), (1,))
            yield forward_launch(dtype, geometry, True).plan
        yield dx_launch(dtype, geometry).plan
        yield from (found.plan for found in weight_launches(dtype, geometry, True, True))


def _gather_launch(
    dtype: str, axes: dict[str, int], planes: dict[str, int], backwards: int, moved: int, flops: int
) -> Launch:
    """The launch of depthwise_gather for these axes: of the output or, backwards, of dx."""
    if backwards:
        axes.update(stride_d=1, stride_h=1, stride_w=1)
    strips, apart, sliding = _strips(axes["size_h"], axes["stride_h"], axes["dilation_h"])
    items = axes["size_d"] * strips * axes["size_w"]
    tiles, stack, blocks = _tiling(planes["planes"], items)
    plan = Plan(
        file=_FILE,
        entry=f"depthwise_gather<{C_TYPES[dtype]}, {_FEW if axes['taps_h'] <= _FEW else _MANY}>",
        layout=_gather_layout(C_TYPES[dtype]),
        grid=(blocks, 1, 1),
        block=(_THREADS, 1, 1),
        bytes=moved,
        flops=flops,
    )
    vector = int(axes["size_w"] == 1 and apart == 1 and axes["size_h"] % _ROWS == 0)
    counts = {"items": items, "tiles": tiles, "stack": stack, "strips": strips, "apart": apart, "sliding": sliding}
    return Launch(plan, {**planes, **counts, "reversed": backwards, "vector": vector, **axes})


def _strips(size: int, stride: int, dilation: int) -> tuple[int, int, int]:
    """(strips of an axis of outputs, how far apart their outputs are, whether windows slide by one tap within them)."""
    if dilation % stride == 0:
        apart = dilation // stride
        if apart == 1 or size >= _ROWS * apart:
            return -(-size // (_ROWS * apart)) * apart, apart, 1
    return -(-size // _ROWS), 1, 0


def _tiling(planes: int, items: int) -> tuple[int, int, int]:
    """(blocks of a plane, planes of a block, blocks): one of the first two is 1."""
    stack = max(_THREADS // items, 1)
    tiles = -(-items // _THREADS)
    return tiles, stack, tiles * -(-planes // stack)


_AXES = ("size", "seen", "taps", "stride", "pad", "dilation")


def _axes(size: Sizes, seen: Sizes, geometry: Geometry) -> dict[str, int]:
    """The fields of the axes: size of what is written, or summed over, seen of what is read."""
    values = (size, seen, geometry.taps, geometry.stride, geometry.pad, geometry.dilation)
    return {
        f"{name}_{axis}": n for name, v in zip(_AXES, values, strict=True) for axis, n in zip("dhw", v, strict=True)
    }


def _ints(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, "int") for name in names)


_AXIS_FIELDS = _ints(*(f"{name}_{axis}" for name in _AXES for axis in "dhw"))


@functools.cache
def _gather_layout(t: str) -> Layout:
    pointers = ("y", f"{t}*"), ("x", f"const {t}*"), ("weight", f"const {t}*"), ("bias", f"const {t}*")
    planes = _ints("planes", "divide", "times", "outputs", "items", "tiles", "stack")
    strips = _ints("strips", "apart", "sliding", "reversed", "vector")
    return Layout(f"GatherArguments<{t}>", (*pointers, *planes, *strips, *_AXIS_FIELDS))


@functools.cache
def _spread_layout(t: str) -> Layout:
    pointers = ("dx", f"{t}*"), ("g", f"const {t}*"), ("weight", f"const {t}*")
    planes = _ints("planes", "times", "outputs", "items", "tiles", "stack")
    return Layout(f"SpreadArguments<{t}>", (*pointers, *planes, *_AXIS_FIELDS, *_ints("hop_d", "hop_h", "hop_w")))


@functools.cache
def _weight_layout(t: str) -> Layout:
    written = ("dweight", f"{t}*"), ("db", f"{t}*"), ("sums", "float*")
    read = ("g", f"const {t}*"), ("x", f"const {t}*"), ("strips_in_all", "long long"), ("length", "long long")
    counts = _ints("filters", "multiplier", "columns", "chunks", "chunks_h", "chunks_w")
    strips = _ints("items", "strips", "apart", "sliding")
    return Layout(f"WeightArguments<{t}>", (*written, *read, *counts, *strips, *_AXIS_FIELDS))


@functools.cache
def _sum_layout(t: str) -> Layout:
    pointers = ("dweight", f"{t}*"), ("db", f"{t}*"), ("sums", "const float*")
    return Layout(f"SumArguments<{t}>", (*pointers, *_ints("slices", "columns", "weights")))
