"""Pooling through shared memory, where channels come first: a block takes whole planes, or some rows of one, in one piece."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import NamedTuple

from .arrays import VECTOR
from .plan import Dim

__all__ = ["SPAN_NUMBERS", "Axis", "Spans", "spans_of", "volume"]

# Shared memory of a block, of which a multiprocessor then holds eight; blocks that fill the largest GPUs (132 to 160 SMs) twice.
_ROOM, _ENOUGH = 24 * 1024, 264
# A thread goes through a window alone: beyond so many taps several lanes do better. How often a row may be read, on average.
_MOST_TAPS, _MOST_READ = 64, 1.5

# What the *_span kernels are told beside the windows: kernels/windows.cuh has the meaning.
SPAN_NUMBERS = ("planes", "bands", "band", "source_room", "target_room")


class Axis(NamedTuple):
    """The windows along one axis; front, back: how much of the padding counts as elements of a mean."""

    size: int
    out: int
    kernel: int
    step: int = 1
    before: int = 0
    move: int = 1
    part: int = 1
    front: int = 0
    back: int = 0

    @property
    def beyond(self) -> int:
        """How many elements the last window has behind the axis."""
        return (self.out - 1) * self.move // self.part + (self.kernel - 1) * self.step + 1 - self.before - self.size

    @property
    def largest(self) -> int:
        """The largest number that a kernel computes along the axis."""
        reach = self.kernel * self.step + self.move
        return max(self.out * self.move + reach, (self.size + self.before + 1) * self.part + reach)


class Spans(NamedTuple):
    """A launch over spans; the first of the axes is the one that is cut into bands."""

    axes: tuple[Axis, Axis, Axis]
    planes: int  # of a block
    bands: int  # of a plane
    band: int  # rows of the target that a band has
    rooms: tuple[int, int, int]  # bytes for the source, the target and the marks
    blocks: int

    @property
    def grid(self) -> Dim:
        return self.blocks, 1, 1

    @property
    def shared(self) -> int:
        return sum(self.rooms)

    @property
    def numbers(self) -> dict[str, int]:
        """The values of SPAN_NUMBERS."""
        return dict(zip(SPAN_NUMBERS, (self.planes, self.bands, self.band, *self.rooms[:2]), strict=True))


def volume(axes: tuple[Axis, Axis, Axis]) -> int:
    """The taps of the largest window."""
    return prod(axis.kernel for axis in axes)


def spans_of(outer: int, axes: tuple[Axis, Axis, Axis], item: int, mark: int, forward: bool) -> Spans | None:
    """The spans of one direction, or None where single elements do better: long windows, few outputs, rows beyond the room.

    item, mark: bytes of an element, and of what is kept of each window.
    """
    d, h, w = axes = _cut_first(axes)
    inputs, outputs = prod(axis.size for axis in axes), prod(axis.out for axis in axes)
    if forward and (volume(axes) > _MOST_TAPS or 2 * outputs * volume(axes) < inputs):
        return None
    source_row, target_row = h.size * w.size, h.out * w.out
    if not forward:
        source_row, target_row = target_row, source_row
    sources, targets = (d.size, d.out) if forward else (d.out, d.size)

    def rooms(source_rows: int, target_rows: int) -> tuple[int, int, int]:
        source, target = source_rows * source_row, target_rows * target_row
        kept = 0 if not mark else (target if forward else source)
        return _room(source * item), _room(target * item), _room(kept * mark)

    def of_band(rows: int) -> tuple[int, int, int]:
        return rooms(_seen(d, rows, forward), rows)

    if sum(rooms(sources, targets)) <= _ROOM and outer >= _ENOUGH:
        planes = 1
        while planes * _ENOUGH < outer and sum(rooms((planes + 1) * sources, (planes + 1) * targets)) <= _ROOM:
            planes += 1
        whole = rooms(planes * sources, planes * targets)
        return Spans(axes, planes, 1, targets, whole, -(-outer // planes))
    band = _longest(lambda rows: sum(of_band(rows)) <= _ROOM, min(targets, -(-targets * outer // _ENOUGH)))
    if band < 1:
        return None
    bands = -(-targets // band)
    band = -(-targets // bands)  # of one length
    if bands * _seen(d, band, forward) > _MOST_READ * sources:
        return None
    return Spans(axes, 1, bands, band, of_band(band) if bands > 1 else rooms(sources, targets), outer * bands)


def _cut_first(axes: tuple[Axis, Axis, Axis]) -> tuple[Axis, Axis, Axis]:
    """The first axis with an extent in front: the same memory, and one that can be cut."""
    i = next((i for i, axis in enumerate(axes) if not axis.size == axis.out == axis.kernel == 1), 0)
    d, h, w = axes[i], *axes[:i], *axes[i + 1 :]
    return d, h, w


def _seen(d: Axis, rows: int, forward: bool) -> int:
    """How many rows of the source so many rows of the target see at most."""
    reach = (d.kernel - 1) * d.step + 1
    if forward:
        return min(-(-(rows - 1) * d.move // d.part) + reach, d.size)
    return min(-(-(rows - 1 + reach) * d.part // d.move) + 1, d.out)


def _longest(fits: Callable[[int], bool], most: int) -> int:
    """The largest number up to `most` that fits, where all smaller ones do; 0 if none does."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _room(size: int) -> int:
    """Bytes of shared memory for a span of so many, wherever within VECTOR bytes it begins."""
    return -(-size // VECTOR) * VECTOR + VECTOR if size else 0
