"""A convolution as a value, and what all of its kernels are told: axes, strides, and the limits of their integers."""

from __future__ import annotations

import functools
from math import prod
from typing import Any, NamedTuple

from ..cpu.windows import Pairs, output_sizes
from .conv_taps import AXES, Axis, forward_axes, gradient_axes, phases

__all__ = ["ACTIVATIONS", "AXIS_FIELDS", "Convolution", "axis_values", "strides"]

# The kernels' numbers of the activations.
ACTIVATIONS = {None: 0, "relu": 1, "tanh": 2, "sigmoid": 3}
AXIS_FIELDS = (*((name, f"int[{AXES}]") for name in Axis._fields), ("in_stride", "int[3]"), ("out_stride", "int[3]"))

_MOST_TAPS = 384  # as in conv.cuh
_MOST_BLOCKS = 65535  # of a grid's second and third axis
_INT = 2**31 - 1
_LARGEST = 2**30  # elements of an image or of the weight, which are counted in int


class Convolution(NamedTuple):
    """x (batch, groups * channels, *sizes), weight (groups * filters, channels, *kernel); last: the channels come last."""

    batch: int
    groups: int
    channels: int
    filters: int
    sizes: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]
    last: bool

    @property
    def out(self) -> tuple[int, ...]:
        return output_sizes(self.sizes, self.kernel, self.stride, self.padding, self.dilation)

    @property
    def taps(self) -> int:
        return prod(self.kernel)

    @property
    def positions(self) -> int:
        """Of all images of y."""
        return self.batch * prod(self.out)

    @property
    def flops(self) -> int:
        """Of the forward, and of either gradient."""
        return 2 * self.positions * self.groups * self.filters * self.channels * self.taps

    @property
    def elements(self) -> tuple[int, int, int]:
        """How many x, the weight and y have."""
        x = self.batch * self.groups * self.channels * prod(self.sizes)
        return x, self.groups * self.filters * self.channels * self.taps, self.positions * self.groups * self.filters

    @property
    def y_shape(self) -> tuple[int, ...]:
        channels = self.groups * self.filters
        return (self.batch, *self.out, channels) if self.last else (self.batch, channels, *self.out)

    def axes(self, gradient: bool) -> tuple[Axis, ...]:
        """Those of the forward, or of the input gradient."""
        options = (self.kernel, self.stride, self.padding, self.dilation)
        if gradient:
            return gradient_axes(self.out, self.sizes, *options)
        return forward_axes(self.sizes, self.out, *options)

    def refusal(self) -> str | None:
        """What the kernels cannot count, in words."""
        return _refusal(self)


@functools.lru_cache(1024)
def _refusal(conv: Convolution) -> str | None:
    if min(conv.out) < 1:
        return "a kernel larger than the input"
    if conv.taps > _MOST_TAPS:
        return f"a kernel of {conv.taps} elements"
    if conv.groups > _MOST_BLOCKS:
        return f"{conv.groups} groups"
    if phases(conv.axes(gradient=True)) > _MOST_BLOCKS:
        return f"stride {conv.stride}"
    x, weight, y = conv.elements
    if max(x, y) // conv.batch > _LARGEST or weight > _LARGEST:
        return f"images or a weight of more than {_LARGEST} elements"
    if max(_reach(conv, x // conv.batch), _reach(conv, y // conv.batch)) > _INT:
        return "padding or dilation beyond the reach of an int"
    return None


def _reach(conv: Convolution, image: int) -> int:
    """The largest offset within an image, and beyond it, that a tap may ask for."""
    beyond = [
        step * (k - 1) + max(pair) for k, step, pair in zip(conv.kernel, conv.dilation, conv.padding, strict=True)
    ]
    return image + max(image // min(*conv.sizes, *conv.out), 1) * sum(beyond)


def strides(channels: int, sizes: tuple[int, ...], last: bool) -> tuple[int, int, tuple[int, ...]]:
    """The elements from one image, channel and place along each axis to the next, of (N, C, *sizes) or (N, *sizes, C)."""
    unit = channels if last else 1
    steps = tuple(unit * prod(sizes[i + 1 :]) for i in range(len(sizes)))
    return channels * prod(sizes), 1 if last else prod(sizes), (*(0,) * (AXES - len(sizes)), *steps)


def axis_values(axes: tuple[Axis, ...]) -> dict[str, Any]:
    """The fields of a kernel's struct that say what an Axis says."""
    return {name: tuple(getattr(axis, name) for axis in axes) for name in Axis._fields}
