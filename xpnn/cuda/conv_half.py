"""Convolution in float16 and bfloat16 on tensor cores, summed in float32; the host side of conv_half.cu.

The kernels read images whose channels come last, each group padded to a multiple of PACKED; what does not lie like that is packed
first, all arrays of a direction in one launch. The plans depend on shapes and dtypes only, not on the GPU.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

from ..namespace.libraries import raw_namespace
from . import conv_combine
from .arguments import Layout
from .arrays import is_aligned
from .conv_shape import (
    AXIS_FIELDS,
    PACKED,
    Convolution,
    Strides,
    axis_values,
    gather_layout,
    gather_values,
    padded,
    strides,
)
from .dtypes import C_TYPES, ITEM_SIZE, dtype_name
from .launch import launch
from .plan import Plan

__all__ = ["Job", "forward", "gather_plan", "gradients", "instantiations", "pack_plan", "transposed", "weight_plan"]

_FILE = "conv_half.cu"
# As in the kernel files.
_THREADS, _BK, _STAGES, _TAPS_BYTES, _JOBS, _PACK_THREADS = 128, 32, 4, 384 * 20, 3, 256
_WEIGHT_TILE = 64
# Blocks that fill the largest GPUs (132 to 160 SMs) twice.
_ENOUGH_BLOCKS = 264


class _Tile(NamedTuple):
    """Rows and columns of a block, and of a warp."""

    bm: int
    bn: int
    wm: int
    wn: int


_LARGE, _SMALL, _NARROW = _Tile(128, 64, 32, 64), _Tile(64, 64, 32, 32), _Tile(128, 16, 32, 16)


class Job(NamedTuple):
    """What is to be packed: to (a, b, groups, padded channels); a stride each."""

    a: int
    b: int
    a_stride: int
    b_stride: int
    group_stride: int
    channel_stride: int
    groups: int
    channels: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.a, self.b, self.groups, padded(self.channels)


_NO_JOB = Job(0, 1, 0, 0, 0, 0, 1, 1)


def forward(x: Any, weight: Any, bias: Any, conv: Convolution, activation: str | None) -> Any:
    """y = act(conv(x) + bias); all arrays C-contiguous, of one dtype of 16 bits."""
    y = raw_namespace(x).empty(conv.y_shape, dtype=x.dtype)
    x, weight = _packed((x, _image_job(conv, y=False)), (weight, _weight_job(conv, gradient=False)))
    _gather(y, x, weight, bias, conv, activation, gradient=False)
    return y


def transposed(x: Any, weight: Any, bias: Any, conv: Convolution, activation: str | None) -> Any:
    """act(the transpose of conv (x) + bias): x has the shape of what conv makes; C-contiguous, of one dtype of 16 bits."""
    y = raw_namespace(x).empty(conv.x_shape, dtype=x.dtype)
    x, weight = _packed((x, _image_job(conv, y=True)), (weight, _weight_job(conv, gradient=True)))
    _gather(y, x, weight, bias, conv, activation, gradient=True)
    return y


def gradients(
    g: Any, x: Any, weight: Any, conv: Convolution, shape: tuple[int, ...], *, dx: bool, dw: bool, db: bool
) -> tuple[Any, Any, Any]:
    """The gradients of x, of that shape, of the weight and of the bias for the gradient g of y; None for what is not wanted.

    db only along with dw.
    """
    if not dx and not dw:
        return None, None, None
    wanted = (g, _image_job(conv, y=True)), (x, _image_job(conv, y=False)), (weight, _weight_job(conv, gradient=True))
    packed = iter(_packed(*(job for job, need in zip(wanted, (True, dw, dx), strict=True) if need)))
    own_g, own_x = next(packed), next(packed) if dw else None
    own = None
    if dx:
        own = raw_namespace(g).empty(shape, dtype=g.dtype)
        _gather(own, own_g, next(packed), None, conv, None, gradient=True)
    return own, *(_weight_gradient(own_g, own_x, conv, weight.shape, bias=db) if dw else (None, None))


def _weight_gradient(g: Any, x: Any, conv: Convolution, shape: tuple[int, ...], *, bias: bool) -> tuple[Any, Any]:
    """g, x packed."""
    xp = raw_namespace(g)
    plan, values = weight_plan(dtype_name(g.dtype), conv)
    parts = xp.empty((plan.grid[2], shape[0], padded(conv.channels) * conv.taps + 1), dtype=xp.float32)
    launch(plan, plan.layout(parts=parts, x=x, dy=g, **values))
    dw = xp.empty(shape, dtype=g.dtype)
    db = xp.empty(shape[0], dtype=g.dtype) if bias else None
    conv_combine.combine(dw, db, parts, column_channel=1, column_tap=padded(conv.channels))
    return dw, db


def _gather(
    out: Any, source: Any, weight: Any, bias: Any, conv: Convolution, activation: str | None, *, gradient: bool
) -> None:
    plan, values = gather_plan(dtype_name(out.dtype), conv, activation, gradient=gradient, aligned=is_aligned(out))
    launch(plan, plan.layout(out=out, **{"in": source}, weight=weight, bias=bias, **values))


def _packed(*wanted: tuple[Any, Job]) -> list[Any]:
    """The arrays, packed where they do not lie as the kernels read them."""
    found = [x if _lies_packed(job) and is_aligned(x) else None for x, job in wanted]
    todo = [(x, job) for (x, job), done in zip(wanted, found, strict=True) if done is None]
    if not todo:
        return found
    xp = raw_namespace(todo[0][0])
    made = [xp.empty(job.shape, dtype=x.dtype) for x, job in todo]
    plan, values = pack_plan(dtype_name(made[0].dtype), tuple(job for _, job in todo))
    missing = (None,) * (_JOBS - len(todo))
    to, source = (*made, *missing), (*(x for x, _ in todo), *missing)
    pointers = {f"to{i}": x for i, x in enumerate(to)} | {f"from{i}": x for i, x in enumerate(source)}
    launch(plan, plan.layout(**pointers, **values))
    fresh = iter(made)
    return [next(fresh) if done is None else done for done in found]


def _lies_packed(job: Job) -> bool:
    whole = job.channels % PACKED == 0
    return whole and (job.channel_stride, job.group_stride, job.b_stride, job.a_stride) == (
        1,
        job.channels,
        job.groups * job.channels,
        job.b * job.groups * job.channels,
    )


@functools.lru_cache(1024)
def _image_job(conv: Convolution, *, y: bool) -> Job:
    channels, sizes = (conv.filters, conv.out) if y else (conv.channels, conv.sizes)
    own = strides(conv.groups * channels, sizes, conv.last)
    place = conv.groups * channels if conv.last else 1
    return Job(conv.batch, prod(sizes), own.image, place, channels * own.channel, own.channel, conv.groups, channels)


@functools.lru_cache(1024)
def _weight_job(conv: Convolution, *, gradient: bool) -> Job:
    """Forward (groups * filters, taps, channels); gradient (channels, taps, groups, filters)."""
    row = conv.channels * conv.taps
    if gradient:
        return Job(conv.channels, conv.taps, conv.taps, 1, conv.filters * row, row, conv.groups, conv.filters)
    return Job(conv.groups * conv.filters, conv.taps, row, 1, row, conv.taps, 1, conv.channels)


@functools.lru_cache(1024)
def pack_plan(dtype: str, jobs: tuple[Job, ...]) -> tuple[Plan, dict[str, Any]]:
    """The launch that packs one to three arrays, and the numbers of its struct."""
    sizes = [prod(job.shape) for job in jobs]
    every = (*jobs, *(_NO_JOB,) * (_JOBS - len(jobs)))
    plan = Plan(
        file=_FILE,
        entry=f"conv_pack<{C_TYPES[dtype]}>",
        layout=_pack_layout(C_TYPES[dtype]),
        grid=(-(-max(sizes) // (PACKED * _PACK_THREADS)), len(jobs), 1),
        block=(_PACK_THREADS, 1, 1),
        bytes=ITEM_SIZE[dtype] * sum(size + size * job.channels // job.shape[-1] for size, job in zip(sizes, jobs, strict=True)),
    )  # fmt: skip
    return plan, {name: tuple(getattr(job, name) for job in every) for name in Job._fields}


@functools.lru_cache(1024)
def gather_plan(
    dtype: str, conv: Convolution, activation: str | None, *, gradient: bool, aligned: bool
) -> tuple[Plan, dict[str, Any]]:
    """The launch of the forward or of the input gradient, and the numbers of its struct; aligned: `out` is."""
    channels, outputs = (conv.filters, conv.channels) if gradient else (conv.channels, conv.filters)
    own = padded(channels)
    rows_of_weight = (own, conv.taps * conv.groups * own, PACKED, conv.groups * own)
    values, rows, phases = gather_values(
        conv,
        activation,
        gradient=gradient,
        channels=own // PACKED,
        source=_packed_strides(conv, channels, conv.out if gradient else conv.sizes),
        weight=rows_of_weight if gradient else (conv.filters * conv.taps * own, conv.taps * own, PACKED, own),
        vector=PACKED if aligned else 1,
    )
    tile = _gather_tile(rows, outputs, conv.groups * phases)
    plan = Plan(
        file=_FILE,
        entry=f"conv_gather_half<{C_TYPES[dtype]}, {tile.bm}, {tile.bn}, {tile.wm}, {tile.wn}>",
        layout=gather_layout(C_TYPES[dtype]),
        grid=(-(-rows // tile.bm) * -(-outputs // tile.bn), conv.groups, phases),
        block=(_THREADS, 1, 1),
        shared=_shared(tile),
        bytes=ITEM_SIZE[dtype] * sum(conv.elements),
        flops=conv.flops,
    )
    return plan, values


@functools.lru_cache(1024)
def weight_plan(dtype: str, conv: Convolution) -> tuple[Plan, dict[str, Any]]:
    """The launch of the weight gradient, whose third axis shares the sum over all positions, and the numbers of its struct."""
    channels, filters = padded(conv.channels), padded(conv.filters)
    source = _packed_strides(conv, conv.channels, conv.sizes)
    target = _packed_strides(conv, conv.filters, conv.out)
    columns = channels * conv.taps
    tiles = -(-conv.filters // _WEIGHT_TILE) * -(-columns // _WEIGHT_TILE)
    chunk, splits = conv_combine.shares(conv.positions, tiles * conv.groups, _BK)
    values = {
        "batch": conv.batch, "in_image": source.image, "out_image": target.image, "chunk": chunk,
        "groups": conv.groups, "channels": channels, "outputs": conv.filters, "dy_group": filters,
        **axis_values(conv.axes(gradient=False), source, target),
    }  # fmt: skip
    plan = Plan(
        file=_FILE,
        entry=f"conv_weight_half<{C_TYPES[dtype]}>",
        layout=_weight_layout(C_TYPES[dtype]),
        grid=(tiles, conv.groups, splits),
        block=(_THREADS, 1, 1),
        bytes=ITEM_SIZE[dtype] * (conv.elements[0] + conv.elements[2])
        + 4 * splits * conv.groups * conv.filters * (columns + 1),
        flops=conv.flops,
    )
    return plan, values


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for."""
    for dtype in C_TYPES:
        if ITEM_SIZE[dtype] != 2:
            continue
        yield pack_plan(dtype, (_NO_JOB,))[0]
        for batch, filters in [(1, 16), (1, 17), (300, 17)]:
            conv = Convolution(batch, 1, 1, filters, (32, 32), (1, 1), (1, 1), ((0, 0),) * 2, (1, 1), last=False)
            yield gather_plan(dtype, conv, None, gradient=False, aligned=True)[0]
        yield weight_plan(dtype, conv)[0]


def _packed_strides(conv: Convolution, channels: int, sizes: tuple[int, ...]) -> Strides:
    """Of a packed image, by chunks of PACKED channels."""
    own = strides(conv.groups * padded(channels), sizes, last=True)
    return Strides(own.image, PACKED, own.axes)


def _gather_tile(rows: int, outputs: int, times: int) -> _Tile:
    if outputs <= _NARROW.bn:
        return _NARROW
    blocks = -(-rows // _LARGE.bm) * -(-outputs // _LARGE.bn) * times
    return _LARGE if blocks >= _ENOUGH_BLOCKS else _SMALL


def _shared(tile: _Tile) -> int:
    """Bytes: the stages or the tile on its way out, the taps, and where the rows go."""
    stages = 2 * _STAGES * _BK * (tile.bm + tile.bn)
    return max(stages, 4 * tile.bn * (tile.bm + 4)) + _TAPS_BYTES + 8 * tile.bm


@functools.cache
def _pack_layout(t: str) -> Layout:
    pointers = (*((f"to{i}", f"{t}*") for i in range(_JOBS)), *((f"from{i}", f"const {t}*") for i in range(_JOBS)))
    longs = tuple((name, f"long long[{_JOBS}]") for name in Job._fields[:6])
    return Layout(f"PackArguments<{t}>", (*pointers, *longs, *((name, f"int[{_JOBS}]") for name in Job._fields[6:])))


@functools.cache
def _weight_layout(t: str) -> Layout:
    pointers = ("parts", "float*"), ("x", f"const {t}*"), ("dy", f"const {t}*")
    longs = tuple((name, "long long") for name in ("batch", "in_image", "out_image", "chunk"))
    ints = tuple((name, "int") for name in ("groups", "channels", "outputs", "dy_group"))
    return Layout(f"HalfWeightArguments<{t}>", (*pointers, *longs, *ints, *AXIS_FIELDS))
