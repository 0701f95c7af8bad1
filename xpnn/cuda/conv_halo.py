"""Convolution of stride 1 in 16 bits whose blocks load what all taps see of the input once; the host side of conv_halo.cu.

The forward and the input gradient. A box of target positions, of one image or of several small ones, fills the rows of a block. The
plans depend on shapes and dtypes only, not on the GPU.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

from .arguments import Layout
from .conv_halo_model import halo_costs
from .conv_shape import ACTIVATIONS, PACKED, Convolution, padded, strides
from .dtypes import C_TYPES, ITEM_SIZE
from .plan import Plan

__all__ = ["Choice", "best", "halo_plan", "instantiations", "refusal", "way"]

# As in the kernel file: threads, warps, places of a target position, chunks of a stage, rows that leave at once; bytes of a chunk.
_THREADS, _WARPS, _PLACES, _SUM_CHUNKS, _OUT_ROWS, _CHUNK = 128, 4, 4, 8, 128, 16
_WARP_ROWS, _COLUMNS = (64, 32), (64, 32)
_MOST_SHARED = 64 * 1024  # bytes that every GPU has
_LARGEST = 2**30  # images, and blocks
_PARTS = 12  # numbers of parts that an axis may be cut into


class _Side(NamedTuple):
    """What the kernel is told of the images, or of an axis: tap j of target i reads source lower + i + first + j step."""

    source: int
    target: int
    kernel: int = 1
    lower: int = 0
    first: int = 0
    step: int = 0

    @property
    def margin(self) -> int:
        """By how much a halo is longer than its box."""
        return abs(self.step) * (self.kernel - 1)


class _Cut(NamedTuple):
    """So many boxes; the pixels of a halo, whether whole vectors leave, and the box: images, and places of each axis."""

    boxes: int
    pixels: int
    vector: bool
    box: tuple[int, ...]


class Choice(NamedTuple):
    """How a convolution is cut, and what that costs: rows of a warp, columns of a block, and as in a cut."""

    clocks: float
    warp_rows: int
    columns: int
    box: tuple[int, ...]
    vector: bool


@functools.lru_cache(1024)
def refusal(conv: Convolution, *, gradient: bool) -> str | None:
    """Why the forward or the input gradient is not for the kernel, in words, or None."""
    if max(conv.stride) > 1:
        return f"stride {conv.stride}"
    if conv.groups > 1:
        return f"{conv.groups} groups"
    if conv.taps == 1:
        return "a kernel of one element"
    if conv.batch > _LARGEST:
        return f"{conv.batch} images"
    return None if best(conv, gradient=gradient) else f"a halo of more than {_MOST_SHARED} bytes"


@functools.lru_cache(1024)
def best(conv: Convolution, *, gradient: bool) -> Choice | None:
    """The cheapest way to cut it, by the model of the costs; None if no halo fits."""
    outputs = conv.channels if gradient else conv.filters
    widths = _COLUMNS if outputs > min(_COLUMNS) else (min(_COLUMNS),)
    found = (choice for rows in _WARP_ROWS for columns in widths for choice in _choices(conv, gradient, rows, columns))
    return min(found, default=None)


def way(conv: Convolution, gradient: bool) -> str:
    """What computes a forward or an input gradient that is not refused, for explain()."""
    choice = best(conv, gradient=gradient)
    assert choice is not None
    images, *places = choice.box
    return f"conv_halo.cu: boxes of {images} x {' x '.join(map(str, places[-len(conv.sizes) :]))}"


@functools.lru_cache(1024)
def halo_plan(
    dtype: str, conv: Convolution, activation: str | None, *, gradient: bool, aligned: bool, residual: bool = False
) -> tuple[Plan, dict[str, Any]]:
    """The launch of a forward or an input gradient that is not refused, and the numbers of its struct.

    aligned: all of its arrays with the shape of `out` are. residual: whether there is one.
    """
    choice = best(conv, gradient=gradient)
    assert choice is not None
    channels, outputs, sizes, targets = _ends(conv, gradient)
    chunks, sides = padded(channels) // PACKED, _sides(conv, gradient)
    halo = _halo(sides, choice.box)
    plan = Plan(
        file="conv_halo.cu",
        entry=f"conv_halo<Half<{C_TYPES[dtype]}>, {choice.warp_rows}, {choice.columns}>",
        layout=_layout(C_TYPES[dtype]),
        grid=(_boxes(sides, choice.box) * -(-outputs // choice.columns), 1, 1),
        block=(_THREADS, 1, 1),
        shared=_shared(_WARPS * choice.warp_rows, choice.columns, prod(halo) * (chunks | 1), conv.taps * chunks),
        bytes=ITEM_SIZE[dtype] * (sum(conv.elements) + residual * conv.elements[2]),
        flops=conv.flops,
    )
    target = strides(outputs, targets, conv.last)
    values = {
        "in_image": prod(sizes) * chunks, "chunks": chunks, "pitch": chunks | 1, "outputs": outputs,
        "out_channel": target.channel, "activation": ACTIVATIONS[activation], "vector": int(aligned and choice.vector),
        "source": _each(sides, "source"), "target": _each(sides, "target"), "box": choice.box, "halo": halo,
        "kernel": _each(sides, "kernel"), "lower": _each(sides, "lower"), "first": _each(sides, "first"),
        "step": _each(sides, "step"), "out_stride": (target.image, *target.axes),
    }  # fmt: skip
    return plan, values


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for."""
    for dtype in (name for name, size in ITEM_SIZE.items() if size == 2):
        for channels, filters in ((8, 64), (8, 32), (128, 64), (128, 32)):
            conv = Convolution(64, 1, channels, filters, (32, 32), (3, 3), (1, 1), ((1, 1),) * 2, (1, 1), last=True)
            yield halo_plan(dtype, conv, None, gradient=False, aligned=True)[0]


def _choices(conv: Convolution, gradient: bool, warp_rows: int, columns: int) -> Iterator[Choice]:
    """Every way to cut that fits, for blocks of this size."""
    channels, outputs, _, _ = _ends(conv, gradient)
    chunks, rows, times = padded(channels) // PACKED, _WARPS * warp_rows, -(-outputs // columns)
    depth = conv.taps * chunks
    cost = halo_costs(warp_rows, columns, depth)
    fit = [
        cut
        for cut in _cuts(conv, gradient, rows)
        if cut.boxes * times <= _LARGEST and _shared(rows, columns, cut.pixels * (chunks | 1), depth) <= _MOST_SHARED
    ]
    most = max((prod(cut.box) for cut in fit), default=0)
    for cut in fit:
        # More blocks than there must be are no gain, even where a GPU has room for them.
        if 2 * prod(cut.box) > most:
            clocks = cost(cut.boxes * times, cut.pixels * chunks * _CHUNK, cut.vector)
            yield Choice(clocks, warp_rows, columns, cut.box, cut.vector)


@functools.lru_cache(64)
def _cuts(conv: Convolution, gradient: bool, rows: int) -> list[_Cut]:
    """Those into boxes of at most so many positions: equal parts of each axis, several images where there is room."""
    images, *axes = sides = _sides(conv, gradient)
    outputs = conv.channels if gradient else conv.filters
    found: list[tuple[int, ...]] = [()]
    for axis in reversed(axes):
        # Along the last axis elements lie side by side where the channels come first: parts of whole vectors.
        unit = PACKED if axis is axes[-1] and not conv.last and axis.target % PACKED == 0 else 1
        found = [(n, *box) for box in found for n in _parts(axis.target, rows // prod(box), unit)]
    both = ((max(min(rows // prod(box), images.target), 1), *box) for box in found)
    return [
        _Cut(_boxes(sides, box), prod(_halo(sides, box)), _leaves_in_vectors(conv, outputs, box, sides), box)
        for pair in ((box, (1, *box[1:])) for box in both)
        for box in dict.fromkeys(pair)
    ]


@functools.lru_cache(1024)
def _parts(target: int, most: int, unit: int) -> tuple[int, ...]:
    """The largest lengths of equal parts that are not above `most`, but multiples of the unit where there is room."""
    fewest = -(-target // most)
    equal = (-(-target // n) for n in range(fewest, fewest + _PARTS))
    return tuple({whole if (whole := -(-n // unit) * unit) <= most else n: None for n in equal})


def _shared(rows: int, columns: int, halo: int, depth: int) -> int:
    """Bytes: where rows go, then two stages of the weights, the halo of so many chunks, zeros, and how far each chunk of the sum
    reaches; or where rows go and a tile of sums.
    """
    stages = 2 * columns * _SUM_CHUNKS * _CHUNK
    return 8 * rows + max(stages + (halo + 1) * _CHUNK + 4 * (depth + depth % 2), 4 * columns * (_OUT_ROWS + 4))


def _leaves_in_vectors(conv: Convolution, outputs: int, box: tuple[int, ...], sides: tuple[_Side, ...]) -> bool:
    """Whether what leaves is a multiple of PACKED elements everywhere: channels, or runs of positions that lie side by side."""
    if conv.last:
        return outputs % PACKED == 0
    here = there = 1
    for n, side in zip(box[:0:-1], sides[:0:-1], strict=True):
        here, there = here * n, there * side.target
        if here % PACKED == there % PACKED == 0:
            return True
        if n < side.target:
            break
    return False


def _ends(conv: Convolution, gradient: bool) -> tuple[int, int, tuple[int, ...], tuple[int, ...]]:
    """(channels, outputs, sizes of the source, sizes of the target)."""
    if gradient:
        return conv.filters, conv.channels, conv.out, conv.sizes
    return conv.channels, conv.filters, conv.sizes, conv.out


@functools.lru_cache(1024)
def _sides(conv: Convolution, gradient: bool) -> tuple[_Side, ...]:
    found = [_Side(conv.batch, conv.batch)]
    for axis in conv.axes(gradient):
        lower = axis.shift + min(axis.shift_step * (axis.kernel - 1), 0)
        found.append(_Side(axis.source, axis.target, axis.kernel, lower, axis.shift - lower, axis.shift_step))
    return tuple(found)


def _boxes(sides: tuple[_Side, ...], box: tuple[int, ...]) -> int:
    return prod(-(-side.target // n) for side, n in zip(sides, box, strict=True))


def _halo(sides: tuple[_Side, ...], box: tuple[int, ...]) -> tuple[int, ...]:
    return tuple([n + side.margin for n, side in zip(box, sides, strict=True)])


def _each(sides: tuple[_Side, ...], name: str) -> tuple[int, ...]:
    return tuple(getattr(side, name) for side in sides)


@functools.cache
def _layout(t: str) -> Layout:
    pointers = ("out", f"{t}*"), *((name, f"const {t}*") for name in ("in", "weight", "scale", "bias", "residual"))
    ints = ("chunks", "pitch", "outputs", "out_channel", "activation", "vector")
    places = ("source", "target", "box", "halo", "kernel", "lower", "first", "step", "out_stride")
    numbers = (("in_image", "long long"), *((name, "int") for name in ints))
    return Layout(f"HaloArguments<{t}>", (*pointers, *numbers, *((name, f"int[{_PLACES}]") for name in places)))
