"""A depthwise convolution as a value, in the three axes of its kernels, and the limits of their integers."""

from __future__ import annotations

import functools
from math import gcd, prod
from typing import NamedTuple

from ..cpu.windows import Pairs, output_sizes
from .plan import Plan

__all__ = [
    "AXIS_FIELDS",
    "ROWS",
    "Geometry",
    "Launch",
    "Sizes",
    "axis_numbers",
    "beyond",
    "geometry_of",
    "hops",
    "ints",
    "problem",
    "strips_of",
]

ROWS = 4  # outputs of a strip, as in conv_depthwise.cuh

_MOST_ALONG, _MOST = 2**29, 2**30  # the kernels count in int

Sizes = tuple[int, ...]


class Launch(NamedTuple):
    """A plan and the numbers among its arguments."""

    plan: Plan
    numbers: dict[str, int]


class Geometry(NamedTuple):
    """A depthwise convolution in three axes d, h, w; a single axis is h, and those where nothing happens are left out.

    pad: before each axis. A stride between no two windows, and a dilation between no two taps, are 1.
    """

    batch: int
    channels: int
    filters: int
    size: Sizes
    out: Sizes
    taps: Sizes
    stride: Sizes
    pad: Sizes
    dilation: Sizes

    @property
    def multiplier(self) -> int:
        return self.filters // self.channels

    @property
    def flops(self) -> int:
        """Of the output, and of each of the gradients of x and weight."""
        return 2 * self.batch * self.filters * prod(self.out) * prod(self.taps)

    @property
    def elements(self) -> tuple[int, int, int]:
        """Of x, of weight, of y."""
        return (
            self.batch * self.channels * prod(self.size),
            self.filters * prod(self.taps),
            self.batch * self.filters * prod(self.out),
        )


@functools.lru_cache(1024)
def geometry_of(shape: Sizes, weight_shape: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes) -> Geometry:
    """shape: of x as (N, C, *S)."""
    sizes, kernel = shape[2:], weight_shape[2:]
    out = output_sizes(sizes, kernel, stride, padding, dilation)
    axes = [
        (size, places, taps, move if places > 1 else 1, before, step if taps > 1 else 1)
        for size, places, taps, move, (before, _), step in zip(
            sizes, out, kernel, stride, padding, dilation, strict=True
        )
        if (size, places, taps) != (1, 1, 1)
    ]
    nothing = (1, 1, 1, 1, 0, 1)
    axes = [nothing, axes[0], nothing] if len(axes) == 1 else [nothing] * (3 - len(axes)) + axes
    return Geometry(shape[0], shape[1], weight_shape[0], *zip(*axes, strict=True))


@functools.lru_cache(1024)
def problem(shape: Sizes, weight_shape: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes) -> str | None:
    """What of these sizes the kernels do not take."""
    if min(*stride, *dilation) < 1 or min(map(min, padding)) < 0:
        return "a stride, dilation or padding that is too small"
    return beyond(geometry_of(shape, weight_shape, stride, padding, dilation), shape, weight_shape, padding)


def beyond(geometry: Geometry, shape: Sizes, weight_shape: Sizes, padding: Pairs) -> str | None:
    """What of a geometry, that of these arguments, is beyond the kernels' integers, or nothing at all."""
    if min(geometry.out) < 1:
        return "a kernel larger than the input"
    if max(size + sum(pair) for size, pair in zip(shape[2:], padding, strict=True)) >= _MOST_ALONG:
        return f"axes {shape[2:]} padded by {padding}"
    planes = geometry.batch * max(geometry.channels, geometry.filters)
    if max(prod(geometry.size), prod(geometry.out), planes, geometry.elements[1]) >= _MOST:
        return f"2^30 or more planes, weights or elements of a plane: x {shape}, weight {weight_shape}"
    return None


def strips_of(size: int, stride: int, dilation: int) -> tuple[int, int, int]:
    """(strips of an axis of outputs, how far apart their outputs are, whether windows slide by one tap within them)."""
    if dilation % stride == 0:
        apart = dilation // stride
        if apart == 1 or size >= ROWS * apart:
            return -(-size // (ROWS * apart)) * apart, apart, 1
    return -(-size // ROWS), 1, 0


def hops(geometry: Geometry) -> dict[str, int]:
    """From one tap that meets an element to the next, along each axis."""
    moves = zip("dhw", geometry.stride, geometry.dilation, strict=True)
    return {f"hop_{axis}": move // gcd(move, step) for axis, move, step in moves}


_AXES = ("size", "seen", "taps", "stride", "pad", "dilation")


def axis_numbers(geometry: Geometry, *, backwards: bool = False) -> dict[str, int]:
    """The fields of the axes: size of what is written, or summed over, seen of what is read.

    backwards: of the gradient of x, and where no windows stride as the sum that it is, with the taps reversed.
    """
    size, seen, pad = geometry.out, geometry.size, geometry.pad
    if backwards:
        size, seen = seen, size
        if max(geometry.stride) == 1:
            axes = zip(geometry.taps, pad, geometry.dilation, strict=True)
            pad = tuple(step * (taps - 1) - before for taps, before, step in axes)
    values = (size, seen, geometry.taps, geometry.stride, pad, geometry.dilation)
    return {
        f"{name}_{axis}": n for name, v in zip(_AXES, values, strict=True) for axis, n in zip("dhw", v, strict=True)
    }


def ints(*names: str) -> tuple[tuple[str, str], ...]:
    """Fields of a struct."""
    return tuple((name, "int") for name in names)


AXIS_FIELDS = ints(*(f"{name}_{axis}" for name in _AXES for axis in "dhw"))
