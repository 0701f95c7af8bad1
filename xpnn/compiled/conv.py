"""conv by compiled loops, channels first: columns of windows a block at a time, each block in one thread from its columns to its
activation, so that it stays in a core's cache; single channels without columns; winograd.py where that takes fewer products.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..cpu import conv as plain
from ..cpu.im2col import Geometry, geometry
from ..cpu.windows import Pairs
from . import conv_single, winograd
from .activation import activate_part, pulled
from .blocks import each, in_parts
from .conv_single import as_volumes
from .loops import contiguous, refuse

__all__ = ["Axes", "axes_of", "backward", "forward", "refusal"]

# Bytes of the columns of a block, and the fewest columns that make a fast product.
_BYTES, _COLUMNS = 1 << 19, 96
# Bytes that the parts of a sum for the weight may take together, and the most of them.
_SUM_BYTES, _PARTS = 1 << 24, 8


class Axes(NamedTuple):
    """What the loops are told of a convolution, three axes each."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    before: tuple[int, ...]
    step: tuple[int, ...]
    out: tuple[int, ...]


class Block(NamedTuple):
    """Images from first to last, and of each the rows of outputs from begin to end."""

    first: int
    last: int
    begin: int
    end: int


def refusal(
    x: Any, weight: Any, bias: Any, scale: Any = None, residual: Any = None, *, stride: tuple[int, ...], padding: Pairs,
    dilation: tuple[int, ...], groups: int = 1, data_format: str = "channels_first", activation: str | None = None,
) -> str | None:  # fmt: skip
    if scale is not None or residual is not None:
        return "scale or residual"
    if data_format != "channels_first":
        return f"data_format {data_format}"
    if x.ndim > 5:
        return f"{x.ndim - 2} axes"
    why = refuse(x, weight, bias) or plain.refusal(
        x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups, activation=activation
    )
    if why is None and groups > 1 and not conv_single.fits(weight.shape, groups):
        return f"{groups} groups of several channels"
    return why


def forward(
    x: Any, weight: Any, bias: Any, scale: None = None, residual: None = None, *, stride: tuple[int, ...], padding: Pairs,
    dilation: tuple[int, ...], groups: int = 1, data_format: str = "channels_first", activation: str | None = None,
    need: tuple[bool, ...],
) -> tuple[Any, Any]:  # fmt: skip
    x, weight = contiguous(x), contiguous(weight)
    plan = geometry(x.shape, weight.shape, stride, padding, dilation, groups)
    y = np.empty((plan.batch, plan.filters, *plan.out), x.dtype)
    b = np.zeros(plan.filters, x.dtype) if bias is None else contiguous(bias)
    if groups > 1:
        conv_single.forward(x, weight, b, y, axes_of(plan), activation)
    elif winograd.pays(plan):
        winograd.forward(x, weight, b, y, plan.padding, activation)
    else:
        _forward(x, weight, b, y, plan, activation)
    return y, (x, weight, plan, y if activation else None, activation) if True in need else None


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, ...]:
    x, weight, plan, y, activation = residuals
    g = pulled(contiguous(g), y, activation)
    if plan.groups > 1:
        dx, dweight = conv_single.gradients(g, x, weight, axes_of(plan), need)
    else:
        dx = _input_gradient(g, weight, plan, x.shape) if need[0] else None
        dweight = _weight_gradient(g, x, plan).reshape(weight.shape) if need[1] else None
    db = np.add.reduce(g, axis=(0, *range(2, g.ndim))) if need[2] else None
    return dx, dweight, db, *(None,) * (len(need) - 3)


def _forward(x: Any, weight: Any, bias: Any, y: Any, plan: Geometry, activation: str | None) -> None:
    from .conv_loops import finish

    axes, w = axes_of(plan), weight.reshape(plan.filters, plan.depth)
    images, width = as_volumes(x), columns_of_a_row(plan)
    rows = y.reshape(plan.batch, plan.filters, -1, axes.out[2])

    def one(block: Block, room: Any) -> None:
        columns, rest = _columns(images, block, plan, axes, room)
        product = np.matmul(w, columns, rest[: len(w) * columns.shape[1]].reshape(len(w), -1))
        for i, n in enumerate(range(block.first, block.last)):
            at = i * (block.end - block.begin) * width
            finish(product, rows[n], at, block.begin, block.end, width, bias, activation == "relu")
            if activation not in (None, "relu"):
                for plane in rows[n]:
                    activate_part(plane[block.begin : block.end], activation)

    each(one, _blocks(plan), _room(plan))


def _input_gradient(g: Any, weight: Any, plan: Geometry, shape: tuple[int, ...]) -> Any:
    """With stride 1 the convolution of g with the turned kernel; else the columns of the gradient, added up."""
    if set(plan.stride) == {1} and all(
        d * (k - 1) - b >= 0 and d * (k - 1) - a >= 0
        for d, k, (b, a) in zip(plan.dilation, plan.kernel, plan.padding, strict=True)
    ):
        turned = np.flip(weight, axis=tuple(range(2, weight.ndim))).swapaxes(0, 1)
        padding = tuple(
            (d * (k - 1) - b, d * (k - 1) - a)
            for d, k, (b, a) in zip(plan.dilation, plan.kernel, plan.padding, strict=True)
        )
        return forward(
            g, turned, None, stride=plan.stride, padding=padding, dilation=plan.dilation, need=(False, False, False)
        )[0]
    dx = np.zeros(shape, g.dtype)
    axes, w = axes_of(plan), np.ascontiguousarray(weight.reshape(plan.filters, plan.depth).T)
    volumes = as_volumes(dx)

    def one(image: int, room: Any) -> None:
        from .conv_loops import scatter

        for block in _blocks_of_image(plan, image):
            part = g[image].reshape(plan.filters, plan.positions)[
                :, block.begin * axes.out[2] : block.end * axes.out[2]
            ]
            columns = np.matmul(w, part, room[: plan.depth * part.shape[1]].reshape(plan.depth, part.shape[1]))
            scatter(volumes[image], columns, 0, (block.begin, block.end), *axes)

    each(one, range(plan.batch), _room(plan))
    return dx


def _weight_gradient(g: Any, x: Any, plan: Geometry) -> Any:
    """(K, depth): sums over parts of the blocks, added in order."""
    from .conv_loops import pitch

    axes, images = axes_of(plan), as_volumes(x)
    blocks, width = _blocks(plan), columns_of_a_row(plan)
    rows = g.reshape(plan.batch, plan.filters, -1, axes.out[2])
    some = max(1, min(_PARTS, len(blocks), _SUM_BYTES // (4 * plan.filters * plan.depth)))
    sums = np.zeros((some, plan.filters, plan.depth), x.dtype)

    def one(part: int, room: Any) -> None:
        for block in in_parts(blocks, some, part):
            columns, rest = _columns(images, block, plan, axes, room)
            own = rest[: plan.filters * columns.shape[1]].reshape(plan.filters, -1)
            for i, n in enumerate(range(block.first, block.last)):
                pitch(rows[n], own, i * (block.end - block.begin) * width, block.begin, block.end, width)
            sums[part] += np.matmul(own, columns.T)

    each(one, range(some), _room(plan))
    return np.add.reduce(sums, axis=0)


def _columns(images: Any, block: Block, plan: Geometry, axes: Axes, room: Any) -> tuple[Any, Any]:
    """The columns (depth, columns) of a block, in the room unless they lie in the image already, and the rest of the room."""
    from .conv_loops import frame, framed_columns, gather

    rows, width = block.end - block.begin, columns_of_a_row(plan)
    if _lies_ready(plan) and block.last - block.first == 1:
        return images[block.first].reshape(plan.depth, -1)[:, block.begin * width : block.end * width], room
    size = plan.depth * rows * width * (block.last - block.first)
    columns, rest = room[:size].reshape(plan.depth, -1), room[size:]
    for i, n in enumerate(range(block.first, block.last)):
        at = i * rows * width
        if not is_framed(plan):
            gather(images[n], columns, at, (block.begin, block.end), *axes)
            continue
        depth, height = divmod(block.begin, axes.out[1])
        sizes = _frame_sizes(plan, rows)
        own = rest[: plan.channels * prod(sizes)].reshape(plan.channels, *sizes)
        origin = depth - axes.before[0], height - axes.before[1], -axes.before[2]
        frame(images[n], own, origin, (1, 1, 1))
        count = (rows - 1) * width + axes.out[2]
        framed_columns(own, columns, at, count, rows * width, axes.kernel, axes.step)
    return columns, rest


def is_framed(plan: Geometry) -> bool:
    """Whether rows of outputs are taken as long as those of the input that they see."""
    return set(plan.stride) == {1} and not _lies_ready(plan)


def _lies_ready(plan: Geometry) -> bool:
    return plan.is_pointwise and set(plan.stride) == {1}


def columns_of_a_row(plan: Geometry) -> int:
    """How many columns a row of outputs takes."""
    return _frame_sizes(plan, 1)[2] if is_framed(plan) else axes_of(plan).out[2]


def _frame_sizes(plan: Geometry, rows: int) -> tuple[int, int, int]:
    """What so many rows of outputs see, of the padded input."""
    axes = axes_of(plan)
    reach = [s * (k - 1) for k, s in zip(axes.kernel, axes.step, strict=True)]
    return 1 + reach[0], rows + reach[1], axes.out[2] + reach[2]


@lru_cache(256)
def axes_of(plan: Geometry) -> Axes:
    more = 3 - len(plan.kernel)
    before = tuple(b for b, _ in plan.padding)
    ones = (1,) * more
    return Axes(
        (*ones, *plan.kernel),
        (*ones, *plan.stride),
        (*(0,) * more, *before),
        (*ones, *plan.dilation),
        (*ones, *plan.out),
    )


@lru_cache(256)
def _blocks(plan: Geometry) -> tuple[Block, ...]:
    """Rows of an image, or whole small images together, whose columns fill the cache."""
    out = axes_of(plan).out
    wanted = max(_COLUMNS, _BYTES // (4 * plan.depth))
    images = wanted // (out[0] * out[1] * columns_of_a_row(plan))
    if images > 1 and (out[0] == 1 or not is_framed(plan)):
        rows = out[0] * out[1]
        return tuple(Block(n, min(n + images, plan.batch), 0, rows) for n in range(0, plan.batch, images))
    return tuple(block for n in range(plan.batch) for block in _blocks_of_image(plan, n))


def _blocks_of_image(plan: Geometry, n: int) -> Iterator[Block]:
    """Parts of about the same size, each within one place of the first axis."""
    out = axes_of(plan).out
    step = max(1, max(_COLUMNS, _BYTES // (4 * plan.depth)) // columns_of_a_row(plan))
    step = -(-out[1] // -(-out[1] // step))
    for depth in range(out[0]):
        for row in range(0, out[1], step):
            yield Block(n, n + 1, depth * out[1] + row, depth * out[1] + min(row + step, out[1]))


@lru_cache(256)
def _room(plan: Geometry) -> int:
    """Elements that a block takes at most: its columns, and behind them its outputs, or the frame of an image."""
    blocks = (*_blocks(plan), *_blocks_of_image(plan, 0))
    rows = max(b.end - b.begin for b in blocks)
    columns = columns_of_a_row(plan) * max((b.last - b.first) * (b.end - b.begin) for b in blocks)
    return plan.depth * columns + max(plan.filters * columns, plan.channels * prod(_frame_sizes(plan, rows)))
