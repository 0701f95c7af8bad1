"""What a convolution of 16 bits costs with and without halos, in clocks: to choose between the two, never to predict a time.

The figures are those of one large GPU, so that the choice, and with it the bits of a sum, is the same on all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from .conv_shape import PACKED, Convolution, HasTile, padded
from .conv_taps import phases

__all__ = ["gather_clocks", "halo_costs"]

# In a clock of each of so many multiprocessors: products that are added up, bytes from the cache of the GPU and from shared memory.
_PROCESSORS, _PRODUCTS, _CACHE, _SHARED = 132, 1270, 46, 128
_WARPS, _CHUNK, _FRAGMENT = 4, 16, 512  # bytes of a chunk, and of a fragment of 16 x 16
_BEGIN = 1000  # clocks until the first loads arrive
_WAY_OUT = {True: 25, False: 12}  # elements that leave in a clock, whole vectors or not
_TOGETHER = 2  # blocks of a multiprocessor, of which one begins or ends while another one multiplies


def halo_costs(warp_rows: int, columns: int, depth: int) -> Callable[[int, int, bool], float]:
    """Of a launch of conv_halo.cu, by its blocks, the bytes of a halo, and whether whole vectors leave.

    Its blocks have so many rows for each of four warps, so many columns, and sum so many chunks.
    """
    tile, fragments = _WARPS * warp_rows * columns, _WARPS * (warp_rows // 16 + columns // 16)

    def cost(blocks: int, halo: int, vector: bool) -> float:
        ends = _BEGIN + halo / _CACHE + tile / _WAY_OUT[vector]
        return _clocks(blocks, ends, tile, fragments, depth, columns)

    return cost


def gather_clocks(conv: Convolution, tile: HasTile, shares: int, *, gradient: bool) -> float:
    """Of the launch of conv_half.cu with the same result; shares: blocks that share the sums of a tile."""
    channels, outputs = (conv.filters, conv.channels) if gradient else (conv.channels, conv.filters)
    axes = conv.axes(gradient)
    count = phases(axes)
    rows = conv.batch * prod(-(-axis.target // axis.out_step) for axis in axes)
    blocks = -(-rows // tile.bm) * -(-outputs // tile.bn) * conv.groups * count * shares
    depth = -(-conv.taps * padded(channels) // (PACKED * count * shares))
    size, whole = tile.bm * tile.bn, outputs if conv.last else prod(axis.target for axis in axes) if count == 1 else 1
    ends = _BEGIN + size / _WAY_OUT[whole % PACKED == 0]
    if shares > 1:
        ends += 4 * (1 + shares) * size / _CACHE
    # Whatever the tile, its loads take longer than the reading of fragments.
    return _clocks(blocks, ends, size, 0, depth, tile.bm + tile.bn)


def _clocks(blocks: int, ends: float, tile: int, fragments: int, depth: int, loaded: int) -> float:
    """Of blocks that sum so many chunks for each element of a tile, and for each of these load so many, and read fragments."""
    chunk = max(tile * PACKED / _PRODUCTS, loaded * _CHUNK / _CACHE, fragments * _FRAGMENT / 2 / _SHARED)
    waves = max(blocks / _PROCESSORS, 1)
    return waves * (depth * chunk + ends / min(waves, _TOGETHER))
