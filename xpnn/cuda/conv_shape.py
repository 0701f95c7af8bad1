"""A convolution as a value, and what all of its kernels are told: axes, strides, and the limits of their integers."""

from __future__ import annotations

import functools
from math import prod
from typing import Any, NamedTuple, Protocol, TypeVar

from ..cpu.windows import Pairs, output_sizes
from .arguments import Layout
from .conv_taps import AXES, Axis, forward_axes, gradient_axes, phases

__all__ = [
    "ACTIVATIONS",
    "AXIS_FIELDS",
    "PACKED",
    "Convolution",
    "Strides",
    "axis_values",
    "convolution",
    "gather_layout",
    "gather_tile",
    "gather_values",
    "padded",
    "strides",
]

# The kernels' numbers of the activations.
ACTIVATIONS = {None: 0, "relu": 1, "tanh": 2, "sigmoid": 3}
AXIS_FIELDS = (*((name, f"int[{AXES}]") for name in Axis._fields), ("in_stride", "int[3]"), ("out_stride", "int[3]"))

PACKED = 8  # elements of 16 bits that the tensor cores' kernels move at once

_MOST_TAPS = 384  # as in conv.cuh
_MOST_BLOCKS = 65535  # of a grid's second and third axis
_ENOUGH_BLOCKS = 264  # that fill the largest GPUs (132 to 160 SMs) twice
_LARGEST = 2**30  # elements of an image or of the weight, which are counted in int


class HasTile(Protocol):
    """Rows and columns of a block, whatever else a tile tells."""

    @property
    def bm(self) -> int: ...
    @property
    def bn(self) -> int: ...


Tile = TypeVar("Tile", bound=HasTile)


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

    @property
    def x_shape(self) -> tuple[int, ...]:
        channels = self.groups * self.channels
        return (self.batch, *self.sizes, channels) if self.last else (self.batch, channels, *self.sizes)

    def axes(self, gradient: bool) -> tuple[Axis, ...]:
        """Those of the forward, or of the input gradient."""
        options = (self.kernel, self.stride, self.padding, self.dilation)
        if gradient:
            return gradient_axes(self.out, self.sizes, *options)
        return forward_axes(self.sizes, self.out, *options)

    def refusal(self) -> str | None:
        """What the kernels cannot count, in words."""
        return _refusal(self)


def convolution(
    batch: int,
    sizes: tuple[int, ...],
    weight: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
    data_format: str,
) -> Convolution:
    """That of an x with these sizes and a weight of this shape (groups * filters, channels, *kernel)."""
    filters, channels, *kernel = weight
    last = data_format == "channels_last"
    return Convolution(
        batch, groups, channels, filters // groups, sizes, tuple(kernel), stride, padding, dilation, last
    )


def gather_tile(tiles: tuple[Tile, Tile, Tile], rows: int, outputs: int, times: int) -> Tile:
    """Which of a large, a small and a narrow tile a gather takes; times: how often there are so many rows and outputs."""
    large, small, narrow = tiles
    if outputs <= narrow.bn:
        return narrow
    blocks = -(-rows // large.bm) * -(-outputs // large.bn) * times
    return large if blocks >= _ENOUGH_BLOCKS else small


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
    # Packed, the channels of a group are a multiple of PACKED.
    x, y = (
        conv.groups * padded(channels) * prod(sizes)
        for channels, sizes in ((conv.channels, conv.sizes), (conv.filters, conv.out))
    )
    if max(x, y, conv.groups * padded(conv.channels) * padded(conv.filters) * conv.taps) > _LARGEST:
        return f"images or a weight of more than {_LARGEST} elements"
    if max(_reach(conv, x), _reach(conv, y)) > _LARGEST:
        return "padding or dilation beyond the reach of an int"
    return None


def _reach(conv: Convolution, image: int) -> int:
    """The largest offset within an image, and beyond it, that a tap may ask for."""
    beyond = [
        step * (k - 1) + max(pair) for k, step, pair in zip(conv.kernel, conv.dilation, conv.padding, strict=True)
    ]
    return image + max(image // min(*conv.sizes, *conv.out), 1) * sum(beyond)


def padded(channels: int, chunk: int = PACKED) -> int:
    """The channels of a group when it is packed in chunks of so many."""
    return -(-channels // chunk) * chunk


class Strides(NamedTuple):
    """The elements from one image, channel and place along each axis to the next."""

    image: int
    channel: int
    axes: tuple[int, ...]


def strides(channels: int, sizes: tuple[int, ...], last: bool) -> Strides:
    """Those of (N, channels, *sizes), or of (N, *sizes, channels)."""
    unit = channels if last else 1
    steps = tuple(unit * prod(sizes[i + 1 :]) for i in range(len(sizes)))
    return Strides(channels * prod(sizes), 1 if last else prod(sizes), (*(0,) * (AXES - len(sizes)), *steps))


def axis_values(axes: tuple[Axis, ...], source: Strides, target: Strides) -> dict[str, Any]:
    """The fields AXIS_FIELDS of a kernel's struct."""
    values: dict[str, Any] = {name: tuple(getattr(axis, name) for axis in axes) for name in Axis._fields}
    return {**values, "in_stride": source.axes, "out_stride": target.axes}


def gather_values(
    conv: Convolution,
    activation: str | None,
    *,
    gradient: bool,
    channels: int,
    source: Strides,
    weight: tuple[int, int, int, int],
    vector: int,
    shares: int,
) -> tuple[dict[str, Any], int, int]:
    """(the numbers of a GatherArguments, rows of a phase at most, phases).

    channels: what the kernel counts as such in a group of the source. weight: the elements from one group, output, channel
    and tap of it to the next. vector: how many elements may leave at once, if the layout allows it.
    shares: blocks that share a sum.
    """
    axes = conv.axes(gradient)
    outputs, targets = (conv.channels, conv.sizes) if gradient else (conv.filters, conv.out)
    target = strides(conv.groups * outputs, targets, conv.last)
    whole = outputs if conv.last else prod(targets) if phases(axes) == 1 else 1
    names = ("weight_group", "weight_output", "weight_channel", "weight_tap")
    values = {
        "batch": conv.batch, "in_image": source.image, "out_image": target.image,
        "groups": conv.groups, "channels": channels, "outputs": outputs,
        "in_channel": source.channel, "out_channel": target.channel, **dict(zip(names, weight, strict=True)),
        "activation": ACTIVATIONS[activation], "vector": int(vector > 1 and whole % vector == 0),
        "shares": shares,
        **axis_values(axes, source, target),
    }  # fmt: skip
    rows = conv.batch * prod(-(-axis.target // axis.out_step) for axis in axes)
    return values, rows, phases(axes)


@functools.cache
def gather_layout(t: str) -> Layout:
    """GatherArguments<t> of conv.cuh."""
    written = ("out", f"{t}*"), ("parts", "float*"), ("tickets", "unsigned*"), ("moments", "float*")
    pointers = *written, *((name, f"const {t}*") for name in ("in", "weight", "scale", "bias", "residual"))
    longs = ("batch", "in_image", "out_image")
    ints = (
        "groups", "channels", "outputs", "in_channel", "out_channel",
        "weight_group", "weight_output", "weight_channel", "weight_tap", "activation", "vector", "shares",
    )  # fmt: skip
    numbers = (*((name, "long long") for name in longs), *((name, "int") for name in ints))
    return Layout(f"GatherArguments<{t}>", (*pointers, *numbers, *AXIS_FIELDS))
