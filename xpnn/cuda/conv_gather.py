"""What the gathers of a convolution (forward, input gradient) have in common, whatever multiplies: tiles, shares, launch.

Where tiles are few, several blocks have the same one and sum a share each; the last of them adds up what all have left in memory.
"""

from __future__ import annotations

import functools
import threading
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..namespace.libraries import raw_namespace
from .conv_shape import Convolution, HasTile, gather_tile
from .conv_taps import phases
from .launch import launch
from .plan import Plan
from .tuning import choice

__all__ = ["Tiling", "candidates", "chosen", "ends_of", "share_count", "start", "tiling"]

_ENOUGH_BLOCKS = 264  # that fill the largest GPUs (132 to 160 SMs) twice
_LEAST_STEPS = 8  # of a share: fewer cost more to add up than they save
_MOST_SHARES = 16  # one block reads them all


class Tiling(NamedTuple):
    """The tile of a block, and how many blocks share its sums."""

    tile: HasTile
    shares: int

    def __str__(self) -> str:
        shares = f", {self.shares} shares" if self.shares > 1 else ""
        return f"tiles of {self.tile.bm} x {self.tile.bn}{shares}"

    @property
    def room(self) -> int:
        """Bytes that the shares of a tile are left in."""
        return 4 * self.shares * self.tile.bm * self.tile.bn if self.shares > 1 else 0


def chosen(name: str, tiles: tuple[Any, Any, Any], conv: Convolution, gradient: bool, step: int) -> Tiling:
    """That of the model, unless xpnn.tune() found a faster one; name: of the kernels."""
    return choice(
        (name, conv, gradient),
        lambda: candidates(tiles, conv, gradient, step),
        tiling(tiles, conv, gradient, step),
    )


@functools.lru_cache(1024)
def candidates(tiles: tuple[Any, Any, Any], conv: Convolution, gradient: bool, step: int) -> tuple[Tiling, ...]:
    """The model's first: each tile that wastes no columns, with one to _MOST_SHARES shares."""
    model, (large, small, narrow) = tiling(tiles, conv, gradient, step), tiles
    found = [model]
    for tile in (large, small) if model.tile is not narrow else (narrow,):
        most = share_count(*_steps_and_blocks(tile, conv, gradient, step))
        found += [Tiling(tile, 2**i) for i in range(most.bit_length())]
    return tuple(dict.fromkeys(found))


@functools.lru_cache(1024)
def tiling(tiles: tuple[Any, Any, Any], conv: Convolution, gradient: bool, step: int) -> Tiling:
    """That of the forward or of the input gradient, of a large, a small and a narrow tile; step: factors of a sum in a step."""
    tile = gather_tile(tiles, *_sizes(conv, gradient))
    return Tiling(tile, share_count(*_steps_and_blocks(tile, conv, gradient, step)))


def _sizes(conv: Convolution, gradient: bool) -> tuple[int, int, int]:
    """Rows, outputs, and how often there are so many."""
    axes = conv.axes(gradient)
    rows = conv.batch * prod(-(-axis.target // axis.out_step) for axis in axes)
    return rows, conv.channels if gradient else conv.filters, conv.groups * phases(axes)


def _steps_and_blocks(tile: HasTile, conv: Convolution, gradient: bool, step: int) -> tuple[int, int]:
    rows, outputs, times = _sizes(conv, gradient)
    channels = conv.filters if gradient else conv.channels
    steps = channels * conv.taps // (phases(conv.axes(gradient)) * step)
    return steps, -(-rows // tile.bm) * -(-outputs // tile.bn) * times


def share_count(steps: int, blocks: int) -> int:
    """How many blocks share the sums of a tile, where there are so many tiles and so many steps in a sum."""
    return max(1, min(_ENOUGH_BLOCKS // blocks, steps // _LEAST_STEPS, _MOST_SHARES))


def start(plan: Plan, values: dict[str, Any], own: Tiling, out: Any, source: Any, weight: Any, **arrays: Any) -> None:
    """The launch; arrays: scale, bias, residual and moments, those that there are."""
    parts = tickets = None
    if own.shares > 1:
        xp = raw_namespace(out)
        tiles = prod(plan.grid) // own.shares
        parts = xp.empty(tiles * own.room // 4, dtype=xp.float32)
        tickets = _tickets(out)[:tiles]
    moments = arrays.get("moments")
    if moments is not None:
        channels = values["groups"] * values["outputs"]
        moments = moments.make(raw_namespace(out), out.size // channels, own.tile.bm, channels)
    pointers = {
        "out": out,
        "parts": parts,
        "tickets": tickets,
        "moments": moments,
        "in": source,
        "weight": weight,
        **ends_of(arrays),
    }
    launch(plan, plan.layout(**pointers, **values))


def ends_of(arrays: dict[str, Any]) -> dict[str, Any]:
    """What is done to sums on their way out, in the order of the structs; None where it is not among the arrays."""
    return {name: arrays.get(name) for name in ("scale", "bias", "residual")}


class _Kept(threading.local):
    """Tickets by device and stream. The default stream can be another for each thread of the host, and so can this."""

    def __init__(self) -> None:
        self.tickets: dict[tuple[int, int], Any] = {}


_kept = _Kept()


def _tickets(x: Any) -> Any:
    """Zeros, one for each tile that can have shares; every launch leaves them as zeros.

    Launches that may run at the same time have different ones: those of their stream. A graph that records a launch, to run it
    on any stream, gets its own.
    """
    xp, key = raw_namespace(x), _stream_of(x)
    if key is None:
        return xp.zeros(_ENOUGH_BLOCKS, dtype=xp.uint32)
    if key not in _kept.tickets:
        _kept.tickets[key] = xp.zeros(_ENOUGH_BLOCKS, dtype=xp.uint32)
    return _kept.tickets[key]


def _stream_of(x: Any) -> tuple[int, int] | None:
    """The device of x and the current stream; None if a graph is recorded there."""
    if isinstance(x, np.ndarray):
        return 0, 0
    import cupy

    stream = cupy.cuda.get_current_stream()
    return None if stream.is_capturing() else (x.device.id, stream.ptr)
