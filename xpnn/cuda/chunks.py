"""Many arrays in one launch: the tables that tell each block its part of them; the host side of chunks.cuh."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from ..backend import asarray

__all__ = ["ARRAYS", "THREADS", "Chunks", "chunks"]

# As in chunks.cuh.
ARRAYS, THREADS = 480, 256
# Elements of the smallest chunk; an array has at most so many chunks, since LAMB's blocks each add up the sums of all of them.
_CHUNK, _MOST_CHUNKS = 4096, 1024
_PLACE = 8  # elements: 16 bytes at least


class Chunks(NamedTuple):
    """rows (arrays, 4) int64 and owner (chunks) int32 on a device, and what the host wants to know.

    number: of chunks. elements: of all arrays. places: where each array begins in a flat buffer of `flat` elements.
    """

    rows: object
    owner: object
    number: int
    elements: int
    places: tuple[int, ...]
    flat: int


@functools.lru_cache(256)
def chunks(sizes: tuple[int, ...], device: str) -> Chunks:
    """The tables for at most ARRAYS arrays of these sizes, none of which is 0; kept, because they are copied to the device."""
    steps = [-(-n // (_MOST_CHUNKS * _CHUNK)) * _CHUNK for n in sizes]
    counts = [-(-n // step) for n, step in zip(sizes, steps, strict=True)]
    firsts = np.cumsum([0, *counts])
    places = np.cumsum([0, *(-(-n // _PLACE) * _PLACE for n in sizes)])
    rows = np.stack([np.array(sizes), np.array(steps), firsts[:-1], places[:-1]], axis=1).astype(np.int64)
    owner = np.repeat(np.arange(len(sizes), dtype=np.int32), counts)
    return Chunks(
        rows=asarray(np.ascontiguousarray(rows), device=device),
        owner=asarray(owner, device=device),
        number=int(firsts[-1]),
        elements=sum(sizes),
        places=tuple(places[:-1].tolist()),
        flat=int(places[-1]),
    )
