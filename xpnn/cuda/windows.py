"""Pooling as the kernels see it: windows along three axes of arrays (outer, D, H, W, inner), and the threads that lie over them.

Plain and adaptive pooling are one: a stride is a rational number, move / part (kernels/windows.cuh has the formulas).
"""

from __future__ import annotations

import functools
from math import gcd, prod
from typing import NamedTuple

from ..cpu.windows import Pairs, output_sizes
from .arguments import Layout
from .arrays import VECTOR
from .plan import Dim, Plan
from .spans import SPAN_NUMBERS, Axis, spans_of, volume

__all__ = ["NUMBERS", "Axis", "Tiling", "Windows", "Work", "adaptive", "plain", "tiling", "volume", "work"]

# What is counted in int: elements of a plane, and what the kernels compute along an axis.
_MOST = 2**30
# As in the kernel file; blocks that fill the largest GPUs (132 to 160 SMs).
_THREADS, _PLANES, _BLOCKS = 256, 4, 2048
# Neighbouring outputs whose windows begin this many elements apart share no memory transaction any more.
_FAR = 8


class Windows(NamedTuple):
    """All of a pooling that shapes and options decide."""

    shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    outer: int
    inner: int
    axes: tuple[Axis, Axis, Axis]


class Tiling(NamedTuple):
    """The threads over a plane of positions, and over the planes; 2^lane_bits of them share a position."""

    grid: Dim
    block: Dim
    lane_bits: int


class Work(NamedTuple):
    """A launch, and the values of NUMBERS that its kernel is given."""

    plan: Plan
    numbers: dict[str, int]


@functools.lru_cache(1024)
def plain(
    shape: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    counted: Pairs,
    data_format: str,
) -> Windows | str:
    """The windows over x of a shape, or in words why the kernels do not take them."""
    sizes = _sizes(shape, len(kernel), data_format)
    if isinstance(sizes, str):
        return sizes
    out = output_sizes(sizes, kernel, stride, padding, dilation)
    if min(out) < 1:
        return "a window larger than the input"
    axes = tuple(
        Axis(size, n, k, step, before, move, 1, front, back)
        for size, n, k, move, (before, _), step, (front, back) in zip(
            sizes, out, kernel, stride, padding, dilation, counted, strict=True
        )
    )
    return _checked(shape, axes, data_format)


@functools.lru_cache(1024)
def adaptive(shape: tuple[int, ...], output: tuple[int, ...], data_format: str) -> Windows | str:
    """The windows of an adaptive pooling to sizes `output`, or in words why the kernels do not take them."""
    sizes = _sizes(shape, len(output), data_format)
    if isinstance(sizes, str):
        return sizes
    if min(output) < 1:
        return f"output {output}"
    return _checked(shape, tuple(map(_adaptive_axis, sizes, output)), data_format)


def _adaptive_axis(size: int, out: int) -> Axis:
    """A window begins o move mod part elements late, and the latest of them, part - 1, gives the longest window."""
    common = gcd(size, out)
    move, part = size // common, out // common
    return Axis(size, out, (move + 2 * part - 2) // part, move=move, part=part)


def _sizes(shape: tuple[int, ...], axes: int, data_format: str) -> tuple[int, ...] | str:
    if data_format not in ("channels_first", "channels_last"):
        return f"data_format {data_format}"
    if not 1 <= axes <= 3 or len(shape) != axes + 2:
        return "shape"
    sizes = shape[2:] if data_format == "channels_first" else shape[1:-1]
    return sizes if min(sizes) > 0 else "an axis without elements"


def _checked(shape: tuple[int, ...], axes: tuple[Axis, ...], data_format: str) -> Windows | str:
    first = data_format == "channels_first"
    outer, inner = (shape[0] * shape[1], 1) if first else (shape[0], shape[-1])
    out = tuple(axis.out for axis in axes)
    d, h, w = _three(axes)
    for plane in (prod(axis.size for axis in axes) * inner, prod(out) * inner):
        if plane > _MOST:
            return f"planes of {plane} elements"
    if max(axis.largest for axis in axes) > _MOST or volume((d, h, w)) > _MOST:
        return f"windows of {volume((d, h, w))} elements over axes {tuple(axis.size for axis in axes)}"
    out_shape = (*shape[:2], *out) if first else (shape[0], *out, shape[-1])
    return Windows(shape, out_shape, outer, inner, (d, h, w))


def _three(axes: tuple[Axis, ...]) -> tuple[Axis, Axis, Axis]:
    """Three axes with the same windows: a last one that its window covers is made one with the axis before it."""
    rest = list(axes)
    while len(rest) > 1 and rest[-1].out == 1 and _covered(rest[-1]) and rest[-2].step == rest[-2].part == 1:
        n = rest.pop().size
        a = rest.pop()
        scaled = {name: getattr(a, name) * n for name in ("size", "kernel", "before", "move", "front", "back")}
        rest.append(a._replace(**scaled))
    d, h, w = [Axis(1, 1, 1)] * (3 - len(rest)) + rest
    return d, h, w


def _covered(axis: Axis) -> bool:
    """Whether the one window of an axis is the axis, in order."""
    return axis.kernel == axis.size and axis.before == 0 and axis.step == axis.part == 1


def work(
    file: str,
    names: tuple[str, str],
    layout: Layout,
    windows: Windows,
    item: int,
    *,
    forward: bool,
    aligned: bool,
    mark: int = 0,
) -> Work:
    """The launch of one direction: of spans, of vectors of channels, or of single elements.

    names: of the kernel and of its types, in C++; item, mark: bytes of an element, and of what is kept of each window;
    aligned: all arrays begin at multiples of 16 bytes.
    """
    kernel, types = names
    outputs, inputs = prod(windows.out_shape), prod(windows.shape)
    taps = volume(windows.axes)
    touched = min(inputs, outputs * taps) if forward else inputs
    make = functools.partial(
        Plan, file=file, layout=layout, bytes=(touched + outputs) * item + outputs * mark, flops=outputs * taps
    )
    spans = spans_of(windows.outer, windows.axes, item, mark, forward) if windows.inner == 1 and mark < 4 else None
    if spans is not None:
        numbers = _numbers(windows._replace(axes=spans.axes), forward, 0) | spans.numbers
        entry = f"{kernel}_span<{types}>"
        return Work(make(entry=entry, grid=spans.grid, block=(_THREADS, 1, 1), shared=spans.shared), numbers)
    vector = VECTOR // item
    vector = vector if aligned and mark < 4 and windows.inner and windows.inner % vector == 0 else 1
    grid, block, lane_bits = tiling(windows, forward, vector)
    numbers = _numbers(windows._replace(inner=windows.inner // vector), forward, lane_bits)
    return Work(
        make(entry=f"{kernel}<{types}, {vector}>", grid=grid, block=block), numbers | dict.fromkeys(SPAN_NUMBERS, 0)
    )


def tiling(windows: Windows, forward: bool, vector: int = 1) -> Tiling:
    """Threads lie over the outputs in the forward, over the inputs in the backward direction; vector: channels of a thread."""
    positions = prod(axis.out if forward else axis.size for axis in windows.axes) * windows.inner // vector
    lane_bits = _lane_bits(windows) if forward else 0
    threads = positions << lane_bits
    tiles = -(-threads // _THREADS)
    share = -(-threads // max(tiles, 1))
    # Blocks are whole warps, whatever the width.
    width = -(-share // 32) * 32 if share >= 32 else 1 << max(share - 1, 0).bit_length()
    height = _THREADS // width
    planes = _PLANES if vector == 1 else 1
    chunks = min(-(-windows.outer // (height * planes)), max(_BLOCKS // max(tiles, 1), 1))
    return Tiling((tiles, chunks, 1), (width, height, 1), lane_bits)


def _lane_bits(windows: Windows) -> int:
    """As many lanes side by side over a window as it has elements in a row, where neighbouring windows are far apart."""
    last = windows.axes[2]
    apart = last.size if last.out == 1 else last.move // last.part
    return min(last.kernel.bit_length() - 1, 5) if windows.inner == 1 and apart >= _FAR else 0


_AXIS = ("size", "out", "kernel", "step", "before", "move", "part", "front", "back")
_BY = tuple(f"by_{name}_{axis}" for axis in "dhw" for name in ("move", "part"))
# The numbers that every pooling kernel is given, in order, by name and type.
NUMBERS = (
    ("inner", "int"),
    ("lane_bits", "int"),
    *((f"{name}_{axis}", "int") for axis in "dhw" for name in _AXIS),
    *((name, "unsigned") for name in (*_BY, "by_inner", "by_h", "by_w", "by_plane")),
    *((name, "int") for name in SPAN_NUMBERS),
)


def _numbers(windows: Windows, forward: bool, lane_bits: int) -> dict[str, int]:
    """The values of NUMBERS."""
    axes = dict(zip("dhw", windows.axes, strict=True))
    found = {"inner": windows.inner, "lane_bits": lane_bits}
    found |= {f"{name}_{d}": getattr(axis, name) for d, axis in axes.items() for name in _AXIS}
    found |= {
        f"by_{name}_{d}": _multiplier(getattr(axis, name)) for d, axis in axes.items() for name in ("move", "part")
    }
    extent = {d: axis.out if forward else axis.size for d, axis in axes.items()}
    return found | {
        "by_inner": _multiplier(max(windows.inner, 1)),
        "by_h": _multiplier(extent["h"]),
        "by_w": _multiplier(extent["w"]),
        "by_plane": _multiplier(prod(extent.values())),
    }


def _multiplier(d: int) -> int:
    """The m with which the kernels divide by d: quotient() of kernels/windows.cuh."""
    return (2**32 * ((1 << (d - 1).bit_length()) - d)) // d + 1
