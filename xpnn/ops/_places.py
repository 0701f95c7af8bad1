"""Where in a plane the largest element of each window lies, which pooling with return_indices tells and max_unpool reads."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

from ..namespace.array import unbox
from ..namespace.libraries import array_device, raw_namespace

__all__ = ["Positions", "largest_places"]

# For each axis, and each position of the window on it: what it sees at each place, which may be beyond the ends.
Positions = list[list[list[int]]]


def largest_places(x: Any, positions: Positions, first: int) -> Any:
    """The places, counted through all axes that windows slide along, of the first largest elements; of several nan the last.

    x (N, C, *S) -> int64 (N, C, *O), or with the channels last; ``first`` is the first of the axes S. x is taken as raw.
    """
    raw = unbox(x)
    xp, device = raw_namespace(raw), array_device(raw)
    out = tuple(len(taps[0]) for taps in positions)
    shape = (*raw.shape[:first], *out, *raw.shape[first + len(out) :])
    places = xp.full(shape, -1, dtype=xp.int64, device=device)
    best = xp.full(shape, -math.inf, dtype=raw.dtype, device=device)
    if 0 in shape:
        return places
    for tap in product(*positions):
        seen, place, inside = raw, 0, True
        for axis, at in enumerate(tap, start=first):
            size = raw.shape[axis]
            nearest = xp.asarray([min(max(i, 0), size - 1) for i in at], dtype=xp.int64, device=device)
            along = (1,) * axis + (-1,) + (1,) * (raw.ndim - axis - 1)
            seen = xp.take(seen, nearest, axis=axis)
            place = xp.reshape(nearest, along) + place * size
            inside = xp.reshape(xp.asarray([0 <= i < size for i in at], device=device), along) & inside
        better = inside & ((seen > best) | xp.isnan(seen) | (places < 0))
        best = xp.where(better, seen, best)
        places = xp.where(better, place, places)
    return places
