"""conv for CuPy where each filter sees one channel and the channels come last; the host side of conv_depthwise_last.cu.

The plans depend on shapes and dtypes only, not on the GPU: all sums have the same bits on all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from ..cpu.windows import Pairs, output_sizes
from ..namespace.libraries import raw_namespace
from . import bias_activation, conv_depthwise
from .arguments import Layout
from .arrays import VECTOR, contiguous, is_aligned
from .conv_depthwise import sum_launch, sum_up
from .conv_depthwise_shape import AXIS_FIELDS, Geometry, Launch, Sizes, axis_numbers, geometry_of, hops, ints, strips_of
from .conv_shape import ACTIVATIONS
from .dtypes import C_TYPES, ITEM_SIZE, dtype_name
from .launch import launch
from .plan import Plan

__all__ = [
    "backward",
    "dx_launch",
    "forward",
    "forward_into",
    "forward_launch",
    "gradient_into",
    "instantiations",
    "refusal",
    "sums_into",
    "too_large",
    "weight_launches",
]  # fmt: skip

# As in the kernel file.
_FILE, _THREADS = "conv_depthwise_last.cu", 128
_TALL, _WIDE = 4, 3
# Taps along h whose weights a thread holds.
_FEW, _MANY = 3, 7
# Channels of a thread of depthwise_last_weight.
_WEIGHT_WIDTH = 4
# Bytes of weights of a block: it takes fewer channels rather than more of them; one vector of channels may take the second.
_ROOM, _MOST_ROOM = 24 << 10, 47 << 10
# Blocks that fill the largest GPUs; where there are more, threads take several items for the weights that they share.
_BLOCKS, _MOST_REPEAT = 4096, 8
_WEIGHT_BLOCKS, _LEAST_STRIPS = 1024, 8
_MOST = 2**30  # what is counted in int


def refusal(x: Any, weight: Any, *arrays: Any, data_format: str = "channels_first", **options: Any) -> str | None:
    if data_format != "channels_last":
        return f"data_format {data_format}"
    why = conv_depthwise.refusal(x, weight, *arrays, data_format=data_format, **options)
    moves = (options[name] for name in ("stride", "padding", "dilation"))
    return why or too_large(dtype_name(x.dtype), geometry_of(_first_shape(x.shape), weight.shape, *moves))


@functools.lru_cache(1024)
def too_large(dtype: str, geometry: Geometry) -> str | None:
    """What of a geometry these kernels do not take, of what conv_depthwise takes."""
    if geometry.batch * max(prod(geometry.size), prod(geometry.out)) >= _MOST:
        return "2^30 or more places"
    each = VECTOR if geometry.multiplier == 1 else geometry.multiplier * ITEM_SIZE[dtype]
    if (needed := prod(geometry.taps) * each) > _MOST_ROOM:
        return f"weights of {needed} bytes for a block"
    return None


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
    x, weight = contiguous(x), contiguous(weight)
    geometry = geometry_of(_first_shape(x.shape), weight.shape, stride, padding, dilation)
    out = output_sizes(x.shape[1:-1], weight.shape[2:], stride, padding, dilation)
    y = raw_namespace(x).empty((geometry.batch, *out, geometry.filters), dtype=x.dtype)
    if y.size:
        forward_into(y, x, weight, None if bias is None else contiguous(bias), geometry, activation)
    kept = None if activation is None else y
    return y, (x, weight, geometry, kept, activation) if True in need else None


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, ...]:
    x, weight, geometry, y, activation = residuals
    g = bias_activation.pulled(contiguous(g), y, activation)
    return conv_depthwise.gradients(gradient_into, sums_into, g, x, weight, geometry, need)


def forward_into(y: Any, x: Any, weight: Any, bias: Any, geometry: Geometry, activation: str | None) -> None:
    """y (N, *O, K) = act(conv(x) + bias), of x (N, *S, C) and weight (K, 1, *taps); contiguous, y not empty."""
    aligned = is_aligned(y, x, bias)
    _launch(forward_launch(dtype_name(x.dtype), geometry, bias is not None, aligned), y, x, weight, bias, activation)


def gradient_into(dx: Any, g: Any, weight: Any, bias: Any, geometry: Geometry, activation: str | None) -> None:
    """dx (N, *S, C) = act(the gradient of x for g + bias): for bias (C) and activation as a transposed convolution has them."""
    aligned = is_aligned(dx, g, bias)
    _launch(dx_launch(dtype_name(g.dtype), geometry, bias is not None, aligned), dx, g, weight, bias, activation)


def _launch(found: Launch, y: Any, x: Any, weight: Any, bias: Any, activation: str | None) -> None:
    numbers = {**found.numbers, "activation": ACTIVATIONS[activation]}
    launch(found.plan, found.plan.layout(y=y, x=x, weight=weight, bias=bias, **numbers))


def sums_into(dweight: Any, db: Any, g: Any, x: Any, geometry: Geometry) -> None:
    """The gradients of weight and bias, None where one is not wanted; x and g as x and y of forward_into."""
    wanted = dweight is not None, db is not None
    sum_up(weight_launches(dtype_name(g.dtype), geometry, *wanted, is_aligned(g, x)), dweight, db, g, x)


def _first_shape(shape: Sizes) -> Sizes:
    return shape[0], shape[-1], *shape[1:-1]


@functools.lru_cache(1024)
def forward_launch(dtype: str, geometry: Geometry, bias: bool, aligned: bool) -> Launch:
    """aligned: arrays begin at multiples of 16 bytes."""
    outputs = {"outputs": geometry.filters, "divide": geometry.multiplier, "times": 1}
    return _gather_launch(dtype, geometry, outputs, bias, aligned, backwards=False)


@functools.lru_cache(1024)
def dx_launch(dtype: str, geometry: Geometry, bias: bool, aligned: bool) -> Launch:
    """The launch of depthwise_last_gather if all strides are 1, else of depthwise_last_spread."""
    outputs = {"outputs": geometry.channels, "divide": 1, "times": geometry.multiplier}
    return _gather_launch(dtype, geometry, outputs, bias, aligned, backwards=True)


def _gather_launch(
    dtype: str, geometry: Geometry, outputs: dict[str, int], bias: bool, aligned: bool, *, backwards: bool
) -> Launch:
    axes = axis_numbers(geometry, backwards=backwards)
    width = _width(dtype, geometry, aligned, VECTOR // ITEM_SIZE[dtype])
    each = prod(geometry.taps) * outputs["times"] * width * ITEM_SIZE[dtype]
    beside = _beside(outputs["outputs"], width, each)
    spread = backwards and max(geometry.stride) > 1
    if spread:
        entry, strips, apart, sliding = f"spread<{C_TYPES[dtype]}, {width}>", axes["size_h"], 1, 0
    else:
        axes.update({} if not backwards else {"stride_d": 1, "stride_h": 1, "stride_w": 1})
        strips, apart, sliding = strips_of(axes["size_h"], axes["stride_h"], axes["dilation_h"])
        entry = f"gather<{C_TYPES[dtype]}, {_FEW if axes['taps_h'] <= _FEW and width > 1 else _MANY}, {width}>"
    items = axes["size_d"] * strips * axes["size_w"]
    tiles, high = -(-outputs["outputs"] // (beside * width)), _THREADS // beside
    blocks = -(-geometry.batch * items // high)
    repeat = min(max(blocks * tiles // _BLOCKS, 1), _MOST_REPEAT)
    plan = Plan(
        file=_FILE,
        entry=f"depthwise_last_{entry}",
        layout=_layout(C_TYPES[dtype]),
        grid=(-(-blocks // repeat) * tiles, 1, 1),
        block=(beside, high, 1),
        shared=each * beside,
        bytes=(sum(geometry.elements) + (outputs["outputs"] if bias else 0)) * ITEM_SIZE[dtype],
        flops=geometry.flops,
    )
    numbers = {"images": geometry.batch, **outputs, "items": items, "tiles": tiles, "repeat": repeat}
    numbers |= {"strips": strips, "apart": apart, "sliding": sliding, "reversed": int(backwards and not spread)}
    return Launch(plan, {**numbers, "activation": 0, **axes, **hops(geometry)})


@functools.lru_cache(1024)
def weight_launches(dtype: str, geometry: Geometry, dweight: bool, db: bool, aligned: bool) -> tuple[Launch, ...]:
    """The launch of depthwise_last_weight, and that of depthwise_sum if there are several slices."""
    filters, (x, weights, y) = geometry.filters, geometry.elements
    axes = axis_numbers(geometry)
    if not dweight:
        axes.update(taps_d=0, taps_h=0, taps_w=0)
        x = weights = 0
    columns = weights + (filters if db else 0)
    chunks_h, chunks_w = max(-(-axes["taps_h"] // _TALL), 1), max(-(-axes["taps_w"] // _WIDE), 1)
    chunks = max(axes["taps_d"], 1) * chunks_h * chunks_w
    width = _width(dtype, geometry, aligned, _WEIGHT_WIDTH)
    beside = _beside(filters, width, 1)
    tiles, high = -(-filters // (beside * width)), _THREADS // beside
    strips, apart, sliding = strips_of(axes["size_h"], axes["stride_h"], axes["dilation_h"])
    items = axes["size_d"] * strips * axes["size_w"]
    total = geometry.batch * items
    slices = max(min(-(-total // (high * _LEAST_STRIPS)), _WEIGHT_BLOCKS // (tiles * chunks)), 1)
    length = -(-total // slices)
    slices = -(-total // length)
    main = Plan(
        file=_FILE,
        entry=f"depthwise_last_weight<{C_TYPES[dtype]}, {width}>",
        layout=_weight_layout(C_TYPES[dtype]),
        grid=(slices * tiles * chunks, 1, 1),
        block=(beside, high, 1),
        bytes=(x + y) * ITEM_SIZE[dtype] + columns * (4 * slices if slices > 1 else ITEM_SIZE[dtype]),
        flops=(geometry.flops if dweight else 0) + (y if db else 0),
    )
    numbers = {
        "strips_in_all": total, "length": length, "filters": filters, "multiplier": geometry.multiplier,
        "columns": columns, "tiles": tiles, "chunks": chunks, "chunks_h": chunks_h, "chunks_w": chunks_w,
        "items": items, "strips": strips, "apart": apart, "sliding": sliding, **axes,
    }  # fmt: skip
    return (Launch(main, numbers), *([sum_launch(dtype, slices, columns, weights)] if slices > 1 else []))


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for."""
    for dtype in C_TYPES:
        for aligned, taps in (True, _FEW), (True, _MANY), (False, _MANY):
            geometry = geometry_of((1, 8, 20), (8, 1, taps), (1,), ((0, 0),), (1,))
            yield forward_launch(dtype, geometry, True, aligned).plan
        for aligned in (True, False):
            geometry = geometry_of((1, 8, 20), (8, 1, 2), (2,), ((0, 0),), (1,))
            yield dx_launch(dtype, geometry, False, aligned).plan
            yield weight_launches(dtype, geometry, True, True, aligned)[0].plan


def _width(dtype: str, geometry: Geometry, aligned: bool, most: int) -> int:
    """Channels that move at once."""
    return most if aligned and geometry.multiplier == 1 and geometry.channels % most == 0 else 1


def _beside(outputs: int, width: int, each: int) -> int:
    """Threads of a block beside one another, each with `width` outputs and weights of `each` bytes: a power of two up to 32."""
    beside = min(32, 1 << (-(-outputs // width) - 1).bit_length())
    while beside > 1 and beside * each > _ROOM:
        beside //= 2
    return beside


@functools.cache
def _layout(t: str) -> Layout:
    pointers = ("y", f"{t}*"), ("x", f"const {t}*"), ("weight", f"const {t}*"), ("bias", f"const {t}*")
    counts = ints("images", "outputs", "divide", "times", "items", "tiles", "repeat")
    strips = ints("strips", "apart", "sliding", "reversed", "activation")
    return Layout(f"LastArguments<{t}>", (*pointers, *counts, *strips, *AXIS_FIELDS, *ints("hop_d", "hop_h", "hop_w")))


@functools.cache
def _weight_layout(t: str) -> Layout:
    written = ("dweight", f"{t}*"), ("db", f"{t}*"), ("sums", "float*")
    read = ("g", f"const {t}*"), ("x", f"const {t}*"), *ints("strips_in_all", "length")
    counts = ints("filters", "multiplier", "columns", "tiles", "chunks", "chunks_h", "chunks_w")
    strips = ints("items", "strips", "apart", "sliding")
    return Layout(f"LastWeightArguments<{t}>", (*written, *read, *counts, *strips, *AXIS_FIELDS))
