"""im2col: what each place of a sliding window sees, as the columns of matrices, for a block of images at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from math import prod
from typing import Any

import numpy as np

from .windows import Pairs, output_sizes, window_slices

__all__ = ["Block", "Columns", "Geometry", "Slab", "geometry", "rows"]

# NOTE: the most that the matrices of a block may take; 4 MB was best of 0.25 to 8, at small images by a fifth.
_BYTES = 4 << 20
# A matrix with fewer columns than this makes a slow product.
_FEWEST = 512


@dataclass(frozen=True)
class Geometry:
    """The sizes of a convolution, channels first."""

    batch: int
    channels: int
    filters: int
    groups: int
    sizes: tuple[int, ...]
    kernel: tuple[int, ...]
    out: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]

    @cached_property
    def depth(self) -> int:
        """How many inputs an output is the sum of."""
        return self.channels // self.groups * prod(self.kernel)

    @cached_property
    def positions(self) -> int:
        """How many outputs an image has per filter."""
        return prod(self.out)

    @cached_property
    def padded(self) -> tuple[int, ...]:
        return tuple(size + before + after for size, (before, after) in zip(self.sizes, self.padding, strict=True))

    @cached_property
    def is_pointwise(self) -> bool:
        return self.out == self.padded and prod(self.kernel) == 1

    def blocks(self, itemsize: int) -> Iterator[Block]:
        """The parts in which the work is done: images and groups whose matrices fit into the cache, of each all places."""
        inner, outer = self.channels // self.groups, self.filters // self.groups
        per_group = self._bytes_per_group(itemsize)
        images = min(self.batch, max(1, _BYTES // (per_group * self.groups)))
        at_once = min(self.groups, max(1, _BYTES // (per_group * images)))
        for n in range(0, self.batch, images):
            for g in range(0, self.groups, at_once):
                end = min(g + at_once, self.groups)
                some = slice(n, min(n + images, self.batch))
                yield Block(some, slice(g, end), slice(g * inner, end * inner), slice(g * outer, end * outer))

    def slabs(self, itemsize: int) -> list[Slab]:
        """The parts of an image's places, by the first axis: one, unless a single image is too much for the cache."""
        rows = self.out[0]
        per_row = self.positions // rows
        fitting = _BYTES * rows // self._bytes_per_group(itemsize)
        step = min(rows, max(fitting, -(-_FEWEST // per_row)))
        return [Slab(start, min(start + step, rows), per_row) for start in range(0, rows, step)]

    def _bytes_per_group(self, itemsize: int) -> int:
        return max(self.depth, self.filters // self.groups) * self.positions * itemsize


@dataclass(frozen=True)
class Block:
    """A part of the work: these images, these groups, that is, these channels in and filters out."""

    images: slice
    groups: slice
    channels: slice
    filters: slice


@dataclass(frozen=True)
class Slab:
    """The places start to stop along the first axis, with ``per_row`` places at each of them."""

    start: int
    stop: int
    per_row: int

    @cached_property
    def places(self) -> slice:
        """Where they are among all places of an image, counted row by row."""
        return slice(self.start * self.per_row, self.stop * self.per_row)

    def __len__(self) -> int:
        return (self.stop - self.start) * self.per_row


@lru_cache(maxsize=256)
def geometry(
    shape: tuple[int, ...],
    weight: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
) -> Geometry:
    """The geometry for x of ``shape`` (N, C, *S) and a weight of shape (K, C / groups, *kernel)."""
    batch, channels, *sizes = shape
    filters, _, *kernel = weight
    out = output_sizes(tuple(sizes), tuple(kernel), stride, padding, dilation)
    return Geometry(batch, channels, filters, groups, tuple(sizes), tuple(kernel), out, stride, padding, dilation)


class Columns:
    """Lays out the columns of a block, and adds columns up again.

    The matrices are (M, G, depth, columns): one for each image, M = images and columns = places, or, if ``merged``, one
    for all, M = 1 and columns = images * places. The buffers serve all blocks: a result is valid until the next call.
    """

    def __init__(self, plan: Geometry, merged: bool) -> None:
        self.plan = plan
        self.merged = merged
        self._matrix = np.empty(0)
        self._padded = np.empty(0)
        self._inside = tuple(slice(b, b + size) for (b, _), size in zip(plan.padding, plan.sizes, strict=True))
        self._is_padded = plan.padded != plan.sizes

    def source(self, x: Any) -> Any:
        """What to gather from: x (images, C, *S), a block of the input, padded."""
        if not self._is_padded:
            return x
        source = self._padding(x)
        source[(..., *self._inside)] = x
        return source

    def gather(self, source: Any, slab: Slab) -> Any:
        """The columns of a slab."""
        plan = self.plan
        if plan.is_pointwise and (not self.merged or len(source) == 1) and source.flags.c_contiguous:
            return source.reshape(len(source), -1, plan.depth, plan.positions)[..., slab.places]
        matrix = self.matrix(source, slab)
        for seen, column in self._taps(source, matrix, slab):
            column[...] = seen
        return matrix

    def target(self, x: Any) -> Any:
        """What to scatter to, all zeros, if the sums are wanted in x (images, C, *S)."""
        target = self._padding(x) if self._is_padded else x
        target[...] = 0
        return target

    def scatter(self, matrix: Any, target: Any, slab: Slab) -> None:
        """The transpose of gather: adds to each element of target what the columns of a slab have for it."""
        for seen, column in self._taps(target, matrix, slab):
            seen += column

    def finish(self, target: Any, x: Any) -> None:
        """Takes the sums over into x, and leaves zeros in the padding."""
        if self._is_padded:
            x[...] = target[(..., *self._inside)]
            target[...] = 0

    def matrix(self, x: Any, slab: Slab) -> Any:
        """Room for the columns of a slab of x."""
        plan = self.plan
        groups = x.shape[1] * plan.groups // plan.channels
        size = len(x) * groups * plan.depth * len(slab)
        if self._matrix.size < size:
            self._matrix = np.empty(size, x.dtype)
        shape = (1, groups, plan.depth, len(x) * len(slab)) if self.merged else (len(x), groups, plan.depth, len(slab))
        return self._matrix[:size].reshape(shape)

    def _padding(self, x: Any) -> Any:
        """A padded array for x, zeros outside of x."""
        shape = (*x.shape[:2], *self.plan.padded)
        if self._padded.shape != shape:
            self._padded = np.zeros(shape, x.dtype)
        return self._padded

    def _taps(self, x: Any, matrix: Any, slab: Slab) -> Iterator[tuple[Any, Any]]:
        """Pairs (what a tap of the kernel sees of x, its rows of the matrix), both (images, C, *out)."""
        plan = self.plan
        out = (slab.stop - slab.start, *plan.out[1:])
        columns = rows(matrix, (x.shape[1], *plan.kernel), len(x), out, self.merged)
        x = x[:, :, slab.start * plan.stride[0] :]
        for tap in product(*map(range, plan.kernel)):
            seen = x[(..., *window_slices(tap, out, plan.stride, plan.dilation))]
            yield seen, columns[(slice(None), slice(None), *tap)]


def rows(matrix: Any, leading: tuple[int, ...], images: int, out: tuple[int, ...], merged: bool) -> Any:
    """Matrices as Columns has them, seen as (images, *leading, *out)."""
    if not merged:
        return matrix.reshape(images, *leading, *out)
    return np.moveaxis(matrix.reshape(*leading, images, *out), len(leading), 0)
