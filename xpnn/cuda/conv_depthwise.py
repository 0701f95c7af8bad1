"""conv for CuPy where each filter sees one channel; the host side of conv_depthwise.cu. It refuses what is not depthwise.

The plans depend on shapes and dtypes only, not on the GPU: all sums have the same bits on all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

from ..cpu.windows import Pairs, output_sizes
from ..namespace.libraries import raw_namespace
from . import bias_activation
from .arguments import Layout
from .arrays import contiguous, is_aligned
from .conv_depthwise_shape import (
    AXIS_FIELDS,
    ROWS,
    Geometry,
    Launch,
    Sizes,
    axis_numbers,
    geometry_of,
    hops,
    ints,
    problem,
    strips_of,
)
from .conv_shape import ACTIVATIONS
from .dtypes import C_TYPES, ITEM_SIZE, dtype_name, refuse_dtypes
from .launch import launch
from .plan import Plan

__all__ = [
    "backward",
    "dx_launch",
    "forward",
    "forward_into",
    "forward_launch",
    "gradient_into",
    "gradients",
    "instantiations",
    "refusal",
    "sum_launch",
    "sum_up",
    "sums_into",
    "weight_launches",
]

# As in the kernel file.
_FILE, _THREADS = "conv_depthwise.cu", 256
_TALL, _WIDE = 7, 3
_SUM_COLUMNS, _SUM_PARTS = 32, 16
# Taps along h whose weights a thread holds: kernels of at most 3 take the smaller one.
_FEW, _MANY = 3, 7
# Blocks of dweight that fill the largest GPUs, and strips that a thread should have before there is a further slice.
_WEIGHT_BLOCKS, _LEAST_STRIPS = 2048, 8


def refusal(
    x: Any,
    weight: Any,
    bias: Any,
    scale: Any = None,
    residual: Any = None,
    *,
    stride: Sizes,
    padding: Pairs,
    dilation: Sizes,
    groups: int = 1,
    data_format: str = "channels_first",
    activation: str | None = None,
) -> str | None:
    if scale is not None or residual is not None:
        return "scale or residual"
    if data_format not in ("channels_first", "channels_last"):
        return f"data_format {data_format}"
    if activation not in ACTIVATIONS:
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
    scale: Any = None,
    residual: Any = None,
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
        forward_into(y, x, weight, None if bias is None else contiguous(bias), geometry, activation)
    kept = None if activation is None else y
    residuals = (x, weight, geometry, data_format, kept, activation) if True in need else None
    return _back(y, data_format), residuals


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, ...]:
    x, weight, geometry, data_format, y, activation = residuals
    g = bias_activation.pulled(_first(g, data_format), y, activation)
    dx, *others = gradients(gradient_into, sums_into, g, x, weight, geometry, need)
    return None if dx is None else _back(dx, data_format), *others


def gradients(
    gradient: Callable[..., None],
    sums: Callable[..., None],
    g: Any,
    x: Any,
    weight: Any,
    geometry: Geometry,
    need: Sequence[bool],
) -> tuple[Any, ...]:
    """Those of x, weight, bias and whatever follows it, by a gradient_into and a sums_into; zeros where g is empty."""
    new = raw_namespace(x).empty if g.size else raw_namespace(x).zeros
    dx = new(x.shape, dtype=x.dtype) if need[0] else None
    dweight = new(weight.shape, dtype=x.dtype) if need[1] else None
    db = new(geometry.filters, dtype=x.dtype) if need[2] else None
    if g.size and dx is not None and dx.size:
        gradient(dx, g, weight, None, geometry, None)
    if g.size and (need[1] or need[2]):
        sums(dweight, db, g, x, geometry)
    return dx, dweight, db, *(None,) * (len(need) - 3)


def forward_into(y: Any, x: Any, weight: Any, bias: Any, geometry: Geometry, activation: str | None) -> None:
    """y (N, K, *O) = act(conv(x) + bias), of x (N, C, *S) and weight (K, 1, *taps); contiguous, y not empty."""
    _gather(forward_launch(dtype_name(x.dtype), geometry, bias is not None), y, x, weight, bias, activation)


def gradient_into(dx: Any, g: Any, weight: Any, bias: Any, geometry: Geometry, activation: str | None) -> None:
    """dx (N, C, *S) = act(the gradient of x for g + bias): for bias (C) and activation as a transposed convolution has them."""
    found = dx_launch(dtype_name(g.dtype), geometry, bias is not None)
    if "hop_d" not in found.numbers:
        return _gather(found, dx, g, weight, bias, activation)
    numbers = {**found.numbers, "activation": ACTIVATIONS[activation]}
    launch(found.plan, found.plan.layout(dx=dx, g=g, weight=weight, bias=bias, **numbers))


def _gather(found: Launch, y: Any, x: Any, weight: Any, bias: Any, activation: str | None) -> None:
    """Launches depthwise_gather; whole strips are stored at once if y is where that is possible."""
    numbers = {**found.numbers, "activation": ACTIVATIONS[activation]}
    if not is_aligned(y):
        numbers["vector"] = 0
    launch(found.plan, found.plan.layout(y=y, x=x, weight=weight, bias=bias, **numbers))


def sums_into(dweight: Any, db: Any, g: Any, x: Any, geometry: Geometry) -> None:
    """The gradients of weight and bias, None where one is not wanted; x and g as x and y of forward_into."""
    launches = weight_launches(dtype_name(g.dtype), geometry, dweight is not None, db is not None)
    sum_up(launches, dweight, db, g, x)


def sum_up(launches: tuple[Launch, ...], dweight: Any, db: Any, g: Any, x: Any) -> None:
    """Launches the kernel of the sums, and depthwise_sum if there are several slices."""
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
    axes = axis_numbers(geometry)
    planes = {"planes": geometry.batch * filters, "divide": geometry.multiplier, "times": 1, "outputs": filters}
    moved = (x + weight + y + (filters if bias else 0)) * ITEM_SIZE[dtype]
    return _gather_launch(dtype, axes, planes, 0, moved, geometry.flops)


@functools.lru_cache(1024)
def dx_launch(dtype: str, geometry: Geometry, bias: bool = False) -> Launch:
    """The launch of depthwise_gather if all strides are 1, else of depthwise_spread."""
    channels, times = geometry.channels, geometry.multiplier
    moved = (sum(geometry.elements) + (channels if bias else 0)) * ITEM_SIZE[dtype]
    planes = geometry.batch * channels
    axes = axis_numbers(geometry, backwards=True)
    if max(geometry.stride) == 1:
        seen = {"planes": planes, "divide": 1, "times": times, "outputs": channels}
        return _gather_launch(dtype, axes, seen, 1, moved, geometry.flops)
    items = prod(geometry.size)
    tiles, stack, blocks = _tiling(planes, items)
    counts = {"planes": planes, "times": times, "outputs": channels, "items": items, "tiles": tiles, "stack": stack}
    counts["activation"] = 0
    plan = Plan(
        file=_FILE,
        entry=f"depthwise_spread<{C_TYPES[dtype]}>",
        layout=_spread_layout(C_TYPES[dtype]),
        grid=(blocks, 1, 1),
        block=(_THREADS, 1, 1),
        bytes=moved,
        flops=geometry.flops,
    )
    return Launch(plan, {**counts, **axes, **hops(geometry)})


@functools.lru_cache(1024)
def weight_launches(dtype: str, geometry: Geometry, dweight: bool, db: bool) -> tuple[Launch, ...]:
    """The launch of depthwise_weight, and that of depthwise_sum if there are several slices."""
    filters, (x, weights, y) = geometry.filters, geometry.elements
    axes = axis_numbers(geometry)
    if not dweight:
        axes.update(taps_d=0, taps_h=0, taps_w=0)
        x = weights = 0
    columns = weights + (filters if db else 0)
    chunks_h, chunks_w = max(-(-axes["taps_h"] // _TALL), 1), max(-(-axes["taps_w"] // _WIDE), 1)
    chunks = max(axes["taps_d"], 1) * chunks_h * chunks_w
    strips, apart, sliding = strips_of(geometry.out[1], geometry.stride[1], geometry.dilation[1])
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
    strips, apart, sliding = strips_of(axes["size_h"], axes["stride_h"], axes["dilation_h"])
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
    vector = int(axes["size_w"] == 1 and apart == 1 and axes["size_h"] % ROWS == 0)
    counts = {"items": items, "tiles": tiles, "stack": stack, "strips": strips, "apart": apart, "sliding": sliding}
    return Launch(plan, {**planes, **counts, "reversed": backwards, "vector": vector, "activation": 0, **axes})


def _tiling(planes: int, items: int) -> tuple[int, int, int]:
    """(blocks of a plane, planes of a block, blocks): one of the first two is 1."""
    stack = max(_THREADS // items, 1)
    tiles = -(-items // _THREADS)
    return tiles, stack, tiles * -(-planes // stack)


@functools.cache
def _gather_layout(t: str) -> Layout:
    pointers = ("y", f"{t}*"), ("x", f"const {t}*"), ("weight", f"const {t}*"), ("bias", f"const {t}*")
    planes = ints("planes", "divide", "times", "outputs", "items", "tiles", "stack")
    strips = ints("strips", "apart", "sliding", "reversed", "vector", "activation")
    return Layout(f"GatherArguments<{t}>", (*pointers, *planes, *strips, *AXIS_FIELDS))


@functools.cache
def _spread_layout(t: str) -> Layout:
    pointers = ("dx", f"{t}*"), ("g", f"const {t}*"), ("weight", f"const {t}*"), ("bias", f"const {t}*")
    planes = ints("planes", "times", "outputs", "items", "tiles", "stack", "activation")
    return Layout(f"SpreadArguments<{t}>", (*pointers, *planes, *AXIS_FIELDS, *ints("hop_d", "hop_h", "hop_w")))


@functools.cache
def _weight_layout(t: str) -> Layout:
    written = ("dweight", f"{t}*"), ("db", f"{t}*"), ("sums", "float*")
    read = ("g", f"const {t}*"), ("x", f"const {t}*"), ("strips_in_all", "long long"), ("length", "long long")
    counts = ints("filters", "multiplier", "columns", "chunks", "chunks_h", "chunks_w")
    strips = ints("items", "strips", "apart", "sliding")
    return Layout(f"WeightArguments<{t}>", (*written, *read, *counts, *strips, *AXIS_FIELDS))


@functools.cache
def _sum_layout(t: str) -> Layout:
    pointers = ("dweight", f"{t}*"), ("db", f"{t}*"), ("sums", "const float*")
    return Layout(f"SumArguments<{t}>", (*pointers, *ints("slices", "columns", "weights")))
