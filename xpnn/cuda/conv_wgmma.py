"""Convolution in float16 and bfloat16 by products of whole warpgroups; the host side of conv_wgmma.cu.

For GPUs of compute capability 9.0. It has not yet run on one: only XPNN_CONV=wgmma asks for it. What it does not take, each pass
for itself, goes the way of conv_half.py, and so does the weight gradient.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

import numpy as np

from . import conv_half
from .arguments import Layout
from .arrays import is_aligned
from .conv_gather import ends_of
from .conv_shape import ACTIVATIONS, PACKED, Convolution, padded, strides
from .conv_taps import AXES
from .dtypes import C_TYPES, ITEM_SIZE
from .launch import launch
from .plan import Plan
from .tensor_map import MapShape, TensorMap, missing_driver

__all__ = ["KINDS", "instantiations", "plan_of", "refusal", "unfit"]

# As in the kernel file.
_WARPGROUP, _CONSUMERS, _BM, _BK, _SLICE = 128, 2, 128, 64, 64
_STAGES = {128: 5, 64: 6}  # by the columns of a block
_ALIGNMENT = 1024
_PROCESSORS = 132  # of an H100: blocks that are there at once, each with one tile after the other
# Fields of a map of pixels, by its axes, and the instruction's offsets.
_CORNERS = {2: 128, 3: 16}
_LARGEST_OFFSET = {2: 254, 3: 30}
_LARGEST_STEP = 8
# Drivers up to 13.1 are said to encode maps of smaller tensors wrongly; such images are no work for this kernel anyway.
_SMALLEST_IMAGES = 128 * 1024  # bytes
_LARGEST_BATCH = 2**31 - 1
_CAPABILITY = 90


class _AxisOfMap(NamedTuple):
    """Target i of an axis starts at lower + i step; tap j reads offset + j offset_step from there."""

    source: int
    target: int
    kernel: int
    step: int
    lower: int
    offset: int
    offset_step: int

    @property
    def upper(self) -> int:
        """The map's corner: the last target is the last place below source + upper."""
        return self.lower + self.step * (self.target - 1) + 1 - self.source

    @property
    def largest_offset(self) -> int:
        return self.offset + max(self.offset_step, 0) * (self.kernel - 1)


class _Launch(NamedTuple):
    """A plan, the maps of its arrays, and the numbers of its struct."""

    plan: Plan
    image: MapShape
    weight: MapShape
    values: dict[str, Any]


class Wgmma(conv_half.Half):
    """The kinds of conv_half.py, which goes on where this one stops."""

    __slots__ = ()

    def _gather(
        self, conv: Convolution, out: Any, activation: str | None, *, gradient: bool, moments: Any = None, **arrays: Any
    ) -> None:
        if refusal(conv, gradient=gradient) is not None or moments is not None:
            return super()._gather(conv, out, activation, gradient=gradient, moments=moments, **arrays)
        aligned = is_aligned(out, arrays.get("residual"))
        plan, image, shape, values = plan_of(self.dtype, conv, activation, gradient=gradient, aligned=aligned)
        maps = {"image": TensorMap(arrays["source"], image), "weight": TensorMap(arrays["weight"], shape)}
        return launch(plan, plan.layout(**maps, out=out, **ends_of(arrays), **values))


KINDS = {dtype: Wgmma(*kind) for dtype, kind in conv_half.KINDS.items()}


def unfit(x: Any) -> str | None:
    """Why the device of x cannot run the kernel, in words, or None."""
    if isinstance(x, np.ndarray):
        return None
    capability = int(x.device.compute_capability)
    if capability != _CAPABILITY:
        return f"compute capability {capability / 10}, not {_CAPABILITY / 10}"
    return missing_driver()


@functools.lru_cache(1024)
def refusal(conv: Convolution, *, gradient: bool) -> str | None:
    """Why the forward or the input gradient is not for the kernel, in words, or None."""
    channels, sizes = (conv.filters, conv.out) if gradient else (conv.channels, conv.sizes)
    if gradient and max(conv.stride) > 1:
        return f"an input gradient of stride {conv.stride}"
    if max(conv.stride) > _LARGEST_STEP:
        return f"stride {conv.stride}, above {_LARGEST_STEP}"
    if conv.groups > 1 and channels % _BK:
        return f"groups of {channels} channels, no multiple of {_BK}"
    if conv.batch > _LARGEST_BATCH:
        return f"{conv.batch} images"
    size = 2 * conv.batch * prod(sizes) * conv.groups * padded(channels)
    if size < _SMALLEST_IMAGES:
        return f"images of {size} bytes in all, below {_SMALLEST_IMAGES}"
    axes = _axes(conv, gradient)
    for axis in axes:
        if not all(-_CORNERS[len(axes)] <= corner < _CORNERS[len(axes)] for corner in (axis.lower, axis.upper)):
            return f"corners {axis.lower} and {axis.upper} of a tensor map over {len(axes)} axes"
        if axis.largest_offset > _LARGEST_OFFSET[len(axes)]:
            return f"a kernel that reaches {axis.largest_offset} places, above {_LARGEST_OFFSET[len(axes)]}"
    return None


@functools.lru_cache(1024)
def plan_of(dtype: str, conv: Convolution, activation: str | None, *, gradient: bool, aligned: bool) -> _Launch:
    """The launch of a forward or an input gradient that is not refused; aligned: `out` is, and a residual."""
    channels, outputs = (conv.filters, conv.channels) if gradient else (conv.channels, conv.filters)
    sizes, targets = (conv.out, conv.sizes) if gradient else (conv.sizes, conv.out)
    own, axes = padded(channels), _axes(conv, gradient)
    positions = conv.batch * prod(targets)
    bn = _columns(positions, outputs, conv.groups)
    tiles = -(-positions // _BM) * -(-outputs // bn)
    plan = Plan(
        file="conv_wgmma.cu",
        entry=f"conv_wgmma<{C_TYPES[dtype]}, {bn}, {_STAGES[bn]}>",
        layout=_layout(C_TYPES[dtype]),
        grid=(min(tiles, max(_PROCESSORS // conv.groups, 1)), conv.groups, 1),
        block=((1 + _CONSUMERS) * _WARPGROUP, 1, 1),
        shared=_shared(bn),
        specific=True,
        bytes=ITEM_SIZE[dtype] * sum(conv.elements),
        flops=conv.flops,
    )
    rows = (outputs, conv.taps, conv.groups * own) if gradient else (conv.groups * outputs, conv.taps, own)
    target = strides(conv.groups * outputs, targets, conv.last)
    values = {
        "batch": conv.batch, "out_image": target.image, "channels": own, "outputs": outputs,
        "out_channel": target.channel, "activation": ACTIVATIONS[activation],
        "vector": int(aligned and (outputs if conv.last else prod(targets)) % PACKED == 0),
        "weight_row": 0 if gradient else outputs, "weight_column": own if gradient else 0, "axes": len(axes),
        **_axis_values(axes), "out_stride": target.axes,
    }  # fmt: skip
    return _Launch(
        plan, _image_map(dtype, conv.batch, sizes, conv.groups * own, axes), _weight_map(dtype, rows, bn), values
    )


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for."""
    for dtype in KINDS:
        for filters in (64, 65):
            conv = Convolution(600, 1, 64, filters, (16, 16), (1, 1), (1, 1), ((0, 0),) * 2, (1, 1), last=True)
            yield plan_of(dtype, conv, None, gradient=False, aligned=True).plan


def _columns(positions: int, outputs: int, groups: int) -> int:
    """Of a block: 128, unless 64 are enough or there were too few blocks for all processors."""
    blocks = -(-positions // _BM) * -(-outputs // 128) * groups
    return 128 if outputs > 64 and blocks >= _PROCESSORS else 64


def _axes(conv: Convolution, gradient: bool) -> tuple[_AxisOfMap, ...]:
    """Three axes, or two if the first one is not there; a missing one has size 1."""
    every = conv.axes(gradient)
    found = []
    for axis in every[AXES - max(len(conv.sizes), 2) :]:
        reach = axis.shift_step * (axis.kernel - 1)
        lower = axis.shift + min(reach, 0)
        found.append(
            _AxisOfMap(axis.source, axis.target, axis.kernel, axis.in_step, lower, axis.shift - lower, axis.shift_step)
        )
    return tuple(found)


def _axis_values(axes: tuple[_AxisOfMap, ...]) -> dict[str, Any]:
    every = (*(_AxisOfMap(1, 1, 1, 1, 0, 0, 0),) * (AXES - len(axes)), *axes)
    fields = {"target": "target", "kernel": "kernel", "in_step": "step", "lower": "lower", "offset": "offset"}
    fields["offset_step"] = "offset_step"
    return {name: tuple(getattr(axis, own) for axis in every) for name, own in fields.items()}


def _image_map(dtype: str, batch: int, sizes: tuple[int, ...], channels: int, axes: tuple[_AxisOfMap, ...]) -> MapShape:
    """Of packed images (batch, *sizes, channels): 128 pixels, 64 channels of each."""
    item = ITEM_SIZE[dtype]
    inner = tuple(axis.source for axis in axes)
    places = [item * channels * prod(inner[i + 1 :]) for i in reversed(range(len(inner)))]
    backwards = axes[::-1]
    return MapShape(
        dtype,
        sizes=(channels, *inner[::-1], batch),
        strides=(*places, item * channels * prod(inner)),
        box=(_BK, _BM),
        steps=(1, *(axis.step for axis in backwards), 1),
        lower=tuple(axis.lower for axis in backwards),
        upper=tuple(axis.upper for axis in backwards),
    )


def _weight_map(dtype: str, shape: tuple[int, int, int], bn: int) -> MapShape:
    """Of a packed weight (rows, taps, channels): so many rows of a tap, 64 channels of each."""
    rows, taps, channels = shape
    item = ITEM_SIZE[dtype]
    return MapShape(dtype, (channels, taps, rows), (item * channels, item * channels * taps), (_BK, 1, bn))


def _shared(bn: int) -> int:
    """Bytes: stages, tiles on their way out, where their rows go, mbarriers, and what it may take to the next boundary."""
    stages = _STAGES[bn] * 2 * _BK * (_BM + bn)
    rows = _BM // _CONSUMERS
    return _ALIGNMENT + stages + _CONSUMERS * (4 * _SLICE * (rows + 4) + 8 * rows) + 16 * _STAGES[bn]


@functools.cache
def _layout(t: str) -> Layout:
    maps = ("image", "ptx::TensorMap"), ("weight", "ptx::TensorMap")
    pointers = ("out", f"{t}*"), *((name, f"const {t}*") for name in ("scale", "bias", "residual"))
    ints = ("channels", "outputs", "out_channel", "activation", "vector", "weight_row", "weight_column", "axes")
    axes = ("target", "kernel", "in_step", "lower", "offset", "offset_step", "out_stride")
    numbers = (("batch", "long long"), ("out_image", "long long"), *((name, "int") for name in ints))
    return Layout(f"WgmmaArguments<{t}>", (*maps, *pointers, *numbers, *((name, f"int[{AXES}]") for name in axes)))
