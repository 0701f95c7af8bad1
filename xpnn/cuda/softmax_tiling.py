"""How blocks and teams of threads share the rows of an array (outer, length, inner); the host side of softmax.cuh.

It depends on shape, dtype and alignment only, not on the GPU: a row's sum has the same order, and the same bits, on all of them.
"""

from __future__ import annotations

import functools
from math import prod
from typing import Any, NamedTuple

from .arrays import VECTOR, begin_alike, is_aligned
from .dtypes import C_TYPES, ITEM_SIZE
from .plan import Dim

__all__ = [
    "GEOMETRY",
    "MOST_LENGTH",
    "PIECES",
    "REST",
    "WHOLE",
    "Rows",
    "Tiling",
    "geometry",
    "placed",
    "rows_of",
    "tiling",
]

# The fields of a kernel's arguments that say where the rows are.
GEOMETRY = (
    ("rows", "long long"), ("inner", "long long"), ("length", "int"), ("span", "int"), ("pieces", "int"), ("spans", "int"),
)  # fmt: skip

MOST_LENGTH = 2**30  # the kernels count the elements of a row in int
# As in the kernel file.
WHOLE, PIECES, REST = 0, 1, 2
_THREADS = 256
# Blocks that fill the largest GPUs (132 to 160 SMs), and how few leave so much of one idle that rows are cut.
_BLOCKS, _PIECE_BLOCKS, _FEW_BLOCKS = 2048, 512, 128
_SPAN_VECTORS = 64  # of a row, two a lane: shorter ones that are no whole vectors come through shared memory
_LEAST_FLIGHTS = 4  # of a piece: shorter ones are not worth a second launch
_LINE = 128  # bytes that neighbouring threads should read together


class Rows(NamedTuple):
    """The rows of an array along one axis: as the array (outer, length, inner), rows along length."""

    dtype: str
    outer: int
    length: int
    inner: int

    @property
    def number(self) -> int:
        return self.outer * self.inner

    @property
    def size(self) -> int:
        return self.outer * self.length * self.inner

    @property
    def bytes(self) -> int:
        """Of an array of this shape."""
        return self.size * ITEM_SIZE[self.dtype]


class Tiling(NamedTuple):
    """tiles * pieces blocks: each takes the rows of its tiles, or a piece of span elements of each of them.

    spans: whether the rows of a tile come and go through shared memory, in one piece.
    """

    template: str
    tiles: int
    pieces: int
    span: int
    spans: bool
    block: Dim

    @property
    def grid(self) -> Dim:
        return (self.tiles * self.pieces, 1, 1)


def rows_of(dtype: str, shape: tuple[int, ...], axis: int) -> Rows:
    """The rows along axis, which is not negative."""
    return Rows(dtype, prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :]))


def placed(rows: Rows, *arrays: Any) -> bool:
    """Whether arrays of these rows begin so that vectors may move: at multiples of VECTOR bytes, or all alike along rows."""
    return is_aligned(*arrays) if rows.inner > 1 else begin_alike(*arrays)


@functools.lru_cache(1024)
def tiling(rows: Rows, *, aligned: bool) -> Tiling:
    """aligned: what placed() says of the arrays of the shape."""
    across = rows.inner > 1
    vector = VECTOR // ITEM_SIZE[rows.dtype]
    uneven = (rows.inner if across else rows.length) % vector > 0
    spans = aligned and not across and uneven and rows.length <= _SPAN_VECTORS * vector
    if not aligned or spans or (across and uneven):
        vector = 1
    beside, elements = (vector, 1) if across else (1, vector)
    flight = (4 if vector == 1 else 2) * elements
    # Along a row as many members as bring it at once; across rows so few that neighbours read whole lines of memory.
    side_by_side = min(_power(rows.inner // beside), _LINE // (4 if vector == 1 else VECTOR)) if across else 1
    longest = rows.length + (vector - 1 if uneven and vector > 1 else 0)  # from a multiple of 16 bytes on
    members = min(_THREADS // side_by_side, _power(-(-longest // flight)))
    teams = _THREADS // members
    tiles = -(-rows.number // (beside * teams))
    pieces, span = _pieces(rows.length, tiles, members * flight, members * elements)
    return Tiling(
        template=f"<{C_TYPES[rows.dtype]}, {vector}, {'true' if across and vector > 1 else 'false'}>",
        tiles=min(tiles, _BLOCKS),
        pieces=pieces,
        span=span,
        spans=spans,
        block=(teams, members, 1) if across else (members, teams, 1),
    )


def geometry(rows: Rows, *, aligned: bool) -> dict[str, int]:
    """The values of GEOMETRY."""
    tiles = tiling(rows, aligned=aligned)
    return {
        "rows": rows.number,
        "inner": rows.inner,
        "length": rows.length,
        "span": tiles.span,
        "pieces": tiles.pieces,
        "spans": tiles.spans,
    }


def _pieces(length: int, tiles: int, flight: int, step: int) -> tuple[int, int]:
    """(pieces of a row, elements of a piece): several where whole rows would be work for a few blocks."""
    wanted = min(_PIECE_BLOCKS // tiles, length // (_LEAST_FLIGHTS * flight)) if 0 < tiles < _FEW_BLOCKS else 1
    span = -(-length // max(wanted, 1))
    span = -(-span // step) * step
    return -(-length // span), span


def _power(n: int) -> int:
    """The least power of two that is not below n."""
    return 1 << max(n - 1, 0).bit_length()
