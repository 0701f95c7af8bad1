"""Convolution in float32 with exact float32 arithmetic; the host side of conv_float.cu.

The plans depend on shapes only, not on the GPU: a weight gradient has the same bits on all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..namespace.libraries import raw_namespace
from . import conv_combine, conv_gather
from .arguments import Layout
from .arrays import is_aligned
from .conv_shape import AXIS_FIELDS, Convolution, axis_values, gather_layout, gather_values, strides
from .launch import launch
from .plan import Plan

__all__ = ["forward", "gather_plan", "gradients", "instantiations", "transposed", "weight_plan"]

_FILE = "conv_float.cu"
# As in the kernel files.
_THREADS, _BK, _STAGES, _TAPS_BYTES = 128, 16, 3, 384 * 20


class _Tile(NamedTuple):
    """Rows and columns of a block, and of a thread."""

    bm: int
    bn: int
    tm: int
    tn: int


_LARGE, _SMALL, _NARROW = _Tile(128, 64, 8, 8), _Tile(64, 64, 4, 8), _Tile(128, 16, 4, 4)
_WEIGHT, _FEW_FILTERS = _Tile(64, 64, 8, 4), _Tile(16, 128, 4, 4)


def way(conv: Convolution, *, gradient: bool = False) -> str:
    """What computes the forward or the input gradient, for explain()."""
    return f"{_FILE}: {tiling(conv, gradient)}"


def forward(x: Any, weight: Any, bias: Any, conv: Convolution, activation: str | None, **ends: Any) -> Any:
    """y = act(scale conv(x) + bias + residual); all arrays C-contiguous float32. ends: scale, residual, moments."""
    y = raw_namespace(x).empty(conv.y_shape, dtype=x.dtype)
    _gather(y, x, weight, bias, conv, activation, gradient=False, **ends)
    return y


def transposed(x: Any, weight: Any, bias: Any, conv: Convolution, activation: str | None) -> Any:
    """act(the transpose of conv (x) + bias): x has the shape of what conv makes; all arrays C-contiguous float32."""
    y = raw_namespace(x).empty(conv.x_shape, dtype=x.dtype)
    _gather(y, x, weight, bias, conv, activation, gradient=True)
    return y


def gradients(
    g: Any, x: Any, weight: Any, conv: Convolution, shape: tuple[int, ...], *, dx: bool, dw: bool, db: bool
) -> tuple[Any, Any, Any]:
    """The gradients of x, of that shape, of the weight and of the bias for the gradient g of y; None for what is not wanted.

    db only along with dw.
    """
    own = None
    if dx:
        own = raw_namespace(g).empty(shape, dtype=g.dtype)
        _gather(own, g, weight, None, conv, None, gradient=True)
    return own, *(_weight_gradient(g, x, conv, weight.shape, bias=db) if dw else (None, None))


def _weight_gradient(g: Any, x: Any, conv: Convolution, shape: tuple[int, ...], *, bias: bool) -> tuple[Any, Any]:
    xp = raw_namespace(g)
    plan, values = weight_plan(conv)
    dw = xp.empty(shape, dtype=g.dtype)
    db = xp.empty(shape[0], dtype=g.dtype) if bias else None
    splits = plan.grid[2]
    if splits == 1:
        launch(plan, plan.layout(dw=dw, db=db, parts=None, x=x, dy=g, **values))
        return dw, db
    parts = xp.empty((splits, shape[0], conv.channels * conv.taps + 1), dtype=xp.float32)
    launch(plan, plan.layout(dw=None, db=None, parts=parts, x=x, dy=g, **values))
    conv_combine.combine(dw, db, parts, column_channel=conv.taps, column_tap=1)
    return dw, db


def _gather(
    out: Any, source: Any, weight: Any, bias: Any, conv: Convolution, activation: str | None, *, gradient: bool,
    scale: Any = None, residual: Any = None, moments: Any = None,
) -> None:  # fmt: skip
    own = tiling(conv, gradient)
    plan, values = gather_plan(
        conv, activation, gradient=gradient, aligned=is_aligned(out, residual), residual=residual is not None, taken=own
    )
    ends = {"scale": scale, "bias": bias, "residual": residual, "moments": moments}
    conv_gather.start(plan, values, own, out, source, weight, **ends)


def tiling(conv: Convolution, gradient: bool) -> conv_gather.Tiling:
    """Of the forward or of the input gradient."""
    return conv_gather.chosen(_FILE, (_LARGE, _SMALL, _NARROW), conv, gradient, _BK)


@functools.lru_cache(1024)
def gather_plan(
    conv: Convolution,
    activation: str | None,
    *,
    gradient: bool,
    aligned: bool,
    residual: bool = False,
    taken: conv_gather.Tiling | None = None,
) -> tuple[Plan, dict[str, Any]]:
    """The launch of the forward or of the input gradient, and the numbers of its struct.

    aligned: all of its arrays with the shape of `out` are. residual: whether there is one. taken: not the tiling of the model.
    """
    channels, outputs = (conv.filters, conv.channels) if gradient else (conv.channels, conv.filters)
    sources = conv.out if gradient else conv.sizes
    filter_, channel = conv.channels * conv.taps, conv.taps
    taken = taken or tiling(conv, gradient)
    tile, shares = taken
    values, rows, phases = gather_values(
        conv,
        activation,
        gradient=gradient,
        channels=channels,
        source=strides(conv.groups * channels, sources, conv.last),
        weight=(conv.filters * filter_, *((channel, filter_) if gradient else (filter_, channel)), 1),
        vector=4 if aligned else 1,
        shares=shares,
    )
    assert isinstance(tile, _Tile)
    tiles = -(-rows // tile.bm) * -(-outputs // tile.bn)
    plan = Plan(
        file=_FILE,
        entry=f"conv_gather<{tile.bm}, {tile.bn}, {tile.tm}, {tile.tn}, {str(conv.last).lower()}>",
        layout=gather_layout("float"),
        grid=(tiles * shares, conv.groups, phases),
        block=(_THREADS, 1, 1),
        shared=_shared(tile, conv.last),
        bytes=4 * (sum(conv.elements) + residual * conv.elements[2]) + 2 * tiles * conv.groups * phases * taken.room,
        flops=conv.flops,
    )
    return plan, values


@functools.lru_cache(1024)
def weight_plan(conv: Convolution) -> tuple[Plan, dict[str, Any]]:
    """The launch of the weight gradient, whose third axis shares the sum over all positions, and the numbers of its struct."""
    source = strides(conv.groups * conv.channels, conv.sizes, conv.last)
    target = strides(conv.groups * conv.filters, conv.out, conv.last)
    tile = _FEW_FILTERS if conv.filters <= _FEW_FILTERS.bm else _WEIGHT
    columns = conv.channels * conv.taps
    tiles = -(-conv.filters // tile.bm) * -(-columns // tile.bn)
    chunk, splits = conv_combine.shares(conv.positions, tiles * conv.groups, _BK)
    values = {
        "batch": conv.batch, "in_image": source.image, "out_image": target.image, "chunk": chunk,
        "groups": conv.groups, "channels": conv.channels, "outputs": conv.filters,
        "in_channel": source.channel, "out_channel": target.channel,
        **axis_values(conv.axes(gradient=False), source, target),
    }  # fmt: skip
    parts = 2 * splits * conv.groups * conv.filters * (columns + 1) if splits > 1 else 0
    plan = Plan(
        file=_FILE,
        entry=f"conv_weight<{tile.bm}, {tile.bn}, {tile.tm}, {tile.tn}>",
        layout=_WEIGHTS,
        grid=(tiles, conv.groups, splits),
        block=(_THREADS, 1, 1),
        bytes=4 * (sum(conv.elements) + parts),
        flops=conv.flops,
    )
    return plan, values


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for."""
    for last in (False, True):
        for batch, filters in [(1, 16), (1, 17), (300, 17)]:
            conv = Convolution(batch, 1, 1, filters, (32, 32), (1, 1), (1, 1), ((0, 0),) * 2, (1, 1), last)
            yield gather_plan(conv, None, gradient=False, aligned=True)[0]
            if not last and batch == 1:
                yield weight_plan(conv)[0]


def _shared(tile: _Tile, last: bool) -> int:
    """Bytes: the stages or the tile on its way out, the taps, and where the rows go and come from."""
    stages = _STAGES * _BK * (tile.bm + tile.bn + 8)
    return 4 * max(stages, tile.bn * (tile.bm + 4)) + _TAPS_BYTES + tile.bm * (32 if last else 8)


_WEIGHTS = Layout(
    "WeightArguments",
    (
        ("dw", "float*"), ("db", "float*"), ("parts", "float*"), ("x", "const float*"), ("dy", "const float*"),
        *((name, "long long") for name in ("batch", "in_image", "out_image", "chunk")),
        *((name, "int") for name in ("groups", "channels", "outputs", "in_channel", "out_channel")),
        *AXIS_FIELDS,
    ),
)  # fmt: skip
