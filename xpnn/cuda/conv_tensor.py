"""Convolution on tensor cores, summed in float32: the host side of conv_tensor.cuh, for each of its kinds of products.

The kernels read images whose channels come last, each group padded to a multiple of 16 bytes; what does not lie like that is
packed first, all arrays of a direction in one launch. The plans depend on shapes and kinds only, not on the GPU.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..namespace.libraries import raw_namespace
from . import conv_combine
from .arguments import Layout
from .arrays import is_aligned
from .conv_gather import Tiling, chosen, start
from .conv_pack import chunk, image_job, pack, weight_job
from .conv_shape import (
    AXIS_FIELDS,
    Convolution,
    Strides,
    axis_values,
    gather_layout,
    gather_values,
    padded,
    strides,
)
from .dtypes import C_TYPES, ITEM_SIZE
from .launch import launch
from .plan import Plan

__all__ = ["Kind", "gather_plan", "weight_plan"]

# As in the kernel files; bytes of the sum that a row has in a stage.
_THREADS, _STEP_BYTES, _STAGES, _TAPS_BYTES = 128, 64, 4, 384 * 20
_WEIGHT_TILE = 64


class _Tile(NamedTuple):
    """Rows and columns of a block, and of a warp."""

    bm: int
    bn: int
    wm: int
    wn: int


_LARGE, _SMALL, _NARROW = _Tile(128, 64, 32, 64), _Tile(64, 64, 32, 32), _Tile(128, 16, 32, 16)


class Kind(NamedTuple):
    """How products are computed: the kernel file, the elements in memory, and the class of the kernel file that multiplies."""

    file: str
    dtype: str
    products: str

    def way(self, conv: Convolution, *, gradient: bool = False) -> str:
        """What computes the forward or the input gradient, for explain()."""
        return f"{self.file}: {self.tiling(conv, gradient)}"

    def forward(self, x: Any, weight: Any, bias: Any, conv: Convolution, activation: str | None, **ends: Any) -> Any:
        """y = act(scale conv(x) + bias + residual); all arrays C-contiguous, of the dtype. ends: scale, residual, moments."""
        y = raw_namespace(x).empty(conv.y_shape, dtype=x.dtype)
        x, weight = pack((x, image_job(conv, y=False)), (weight, weight_job(conv, gradient=False)))
        self._gather(conv, y, activation, gradient=False, source=x, weight=weight, bias=bias, **ends)
        return y

    def transposed(self, x: Any, weight: Any, bias: Any, conv: Convolution, activation: str | None) -> Any:
        """act(the transpose of conv (x) + bias): x has the shape of what conv makes; all C-contiguous, of the dtype."""
        y = raw_namespace(x).empty(conv.x_shape, dtype=x.dtype)
        x, weight = pack((x, image_job(conv, y=True)), (weight, weight_job(conv, gradient=True)))
        self._gather(conv, y, activation, gradient=True, source=x, weight=weight, bias=bias)
        return y

    def gradients(
        self, g: Any, x: Any, weight: Any, conv: Convolution, shape: tuple[int, ...], *, dx: bool, dw: bool, db: bool
    ) -> tuple[Any, Any, Any]:
        """The gradients of x, of that shape, of the weight and of the bias for the gradient g of y; None if not wanted.

        db only along with dw.
        """
        if not dx and not dw:
            return None, None, None
        wanted = (g, image_job(conv, y=True)), (x, image_job(conv, y=False)), (weight, weight_job(conv, gradient=True))
        packed = iter(pack(*(job for job, need in zip(wanted, (True, dw, dx), strict=True) if need)))
        own_g, own_x = next(packed), next(packed) if dw else None
        own = None
        if dx:
            own = raw_namespace(g).empty(shape, dtype=g.dtype)
            self._gather(conv, own, None, gradient=True, source=own_g, weight=next(packed))
        return own, *(self._weight_gradient(own_g, own_x, conv, weight.shape, bias=db) if dw else (None, None))

    def instantiations(self) -> Iterator[Plan]:
        """A plan for each kernel of this kind that the plans below can ask for."""
        for batch, filters in [(1, 16), (1, 17), (300, 17)]:
            conv = Convolution(batch, 1, 1, filters, (32, 32), (1, 1), (1, 1), ((0, 0),) * 2, (1, 1), last=False)
            yield gather_plan(self, conv, None, gradient=False, aligned=True)[0]
        yield weight_plan(self, conv)[0]

    def _gather(
        self, conv: Convolution, out: Any, activation: str | None, *, gradient: bool, moments: Any = None, **arrays: Any
    ) -> None:
        """Fills out. arrays: source and weight, packed; bias, scale and residual, None or left out where there is none."""
        own, residual = self.tiling(conv, gradient), arrays.get("residual")
        plan, values = gather_plan(
            self,
            conv,
            activation,
            gradient=gradient,
            aligned=is_aligned(out, residual),
            residual=residual is not None,
            taken=own,
        )
        start(plan, values, own, out, moments=moments, **arrays)

    def tiling(self, conv: Convolution, gradient: bool) -> Tiling:
        """Of the forward or of the input gradient."""
        return chosen(self.products, (_LARGE, _SMALL, _NARROW), conv, gradient, _STEP_BYTES // ITEM_SIZE[self.dtype])

    def _weight_gradient(
        self, g: Any, x: Any, conv: Convolution, shape: tuple[int, ...], *, bias: bool
    ) -> tuple[Any, Any]:
        """g, x packed."""
        xp = raw_namespace(g)
        plan, values = weight_plan(self, conv)
        channels = padded(conv.channels, chunk(self.dtype))
        parts = xp.empty((plan.grid[2], shape[0], channels * conv.taps + 1), dtype=xp.float32)
        launch(plan, plan.layout(parts=parts, x=x, dy=g, **values))
        dw = xp.empty(shape, dtype=g.dtype)
        db = xp.empty(shape[0], dtype=g.dtype) if bias else None
        conv_combine.combine(dw, db, parts, column_channel=1, column_tap=channels)
        return dw, db


@functools.lru_cache(1024)
def gather_plan(
    kind: Kind,
    conv: Convolution,
    activation: str | None,
    *,
    gradient: bool,
    aligned: bool,
    residual: bool = False,
    taken: Tiling | None = None,
) -> tuple[Plan, dict[str, Any]]:
    """The launch of the forward or of the input gradient, and the numbers of its struct.

    aligned: all of its arrays with the shape of `out` are. residual: whether there is one. taken: not the tiling of the model.
    """
    channels, outputs = (conv.filters, conv.channels) if gradient else (conv.channels, conv.filters)
    chunk_ = chunk(kind.dtype)
    own = padded(channels, chunk_)
    rows_of_weight = (own, conv.taps * conv.groups * own, chunk_, conv.groups * own)
    taken = taken or kind.tiling(conv, gradient)
    tile, shares = taken
    values, rows, phases = gather_values(
        conv,
        activation,
        gradient=gradient,
        channels=own // chunk_,
        source=_packed_strides(kind, conv, channels, conv.out if gradient else conv.sizes),
        weight=rows_of_weight if gradient else (conv.filters * conv.taps * own, conv.taps * own, chunk_, own),
        vector=chunk_ if aligned else 1,
        shares=shares,
    )
    assert isinstance(tile, _Tile)
    tiles = -(-rows // tile.bm) * -(-outputs // tile.bn)
    plan = Plan(
        file=kind.file,
        entry=f"conv_gather_tensor<{kind.products}, {tile.bm}, {tile.bn}, {tile.wm}, {tile.wn}>",
        layout=gather_layout(C_TYPES[kind.dtype]),
        grid=(tiles * shares, conv.groups, phases),
        block=(_THREADS, 1, 1),
        shared=_shared(tile),
        bytes=ITEM_SIZE[kind.dtype] * (sum(conv.elements) + residual * conv.elements[2])
        + 2 * tiles * conv.groups * phases * taken.room,
        flops=conv.flops,
    )
    return plan, values


@functools.lru_cache(1024)
def weight_plan(kind: Kind, conv: Convolution) -> tuple[Plan, dict[str, Any]]:
    """The launch of the weight gradient, whose third axis shares the sum over all positions, and the numbers of its struct."""
    size = ITEM_SIZE[kind.dtype]
    channels, filters = padded(conv.channels, chunk(kind.dtype)), padded(conv.filters, chunk(kind.dtype))
    source = _packed_strides(kind, conv, conv.channels, conv.sizes)
    target = _packed_strides(kind, conv, conv.filters, conv.out)
    columns = channels * conv.taps
    tiles = -(-conv.filters // _WEIGHT_TILE) * -(-columns // _WEIGHT_TILE)
    share, splits = conv_combine.shares(conv.positions, tiles * conv.groups, _STEP_BYTES // size)
    values = {
        "batch": conv.batch, "in_image": source.image, "out_image": target.image, "chunk": share,
        "groups": conv.groups, "channels": channels, "outputs": conv.filters, "dy_group": filters,
        **axis_values(conv.axes(gradient=False), source, target),
    }  # fmt: skip
    plan = Plan(
        file=kind.file,
        entry=f"conv_weight_tensor<{kind.products}>",
        layout=_weight_layout(C_TYPES[kind.dtype]),
        grid=(tiles, conv.groups, splits),
        block=(_THREADS, 1, 1),
        bytes=size * (conv.elements[0] + conv.elements[2]) + 4 * splits * conv.groups * conv.filters * (columns + 1),
        flops=conv.flops,
    )
    return plan, values


def _packed_strides(kind: Kind, conv: Convolution, channels: int, sizes: tuple[int, ...]) -> Strides:
    """Of a packed image, by chunks of channels."""
    own = strides(conv.groups * padded(channels, chunk(kind.dtype)), sizes, last=True)
    return Strides(own.image, chunk(kind.dtype), own.axes)


def _shared(tile: _Tile) -> int:
    """Bytes: the stages or the tile on its way out, the taps, and where the rows go."""
    stages = _STAGES * _STEP_BYTES * (tile.bm + tile.bn)
    return max(stages, 4 * tile.bn * (tile.bm + 4)) + _TAPS_BYTES + 8 * tile.bm


@functools.cache
def _weight_layout(t: str) -> Layout:
    pointers = ("parts", "float*"), ("x", f"const {t}*"), ("dy", f"const {t}*")
    longs = tuple((name, "long long") for name in ("batch", "in_image", "out_image", "chunk"))
    ints = tuple((name, "int") for name in ("groups", "channels", "outputs", "dy_group"))
    return Layout(f"PackedWeightArguments<{t}>", (*pointers, *longs, *ints, *AXIS_FIELDS))
