"""What the adaptive pools have in common: their output size in normal form, and an axis cut into its windows."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

__all__ = ["bounds", "requested_sizes", "strides", "unfolded"]


def requested_sizes(output_size: Any, sizes: Sequence[int]) -> tuple[int, ...]:
    """The sizes of the output, of torch's output_size: an integer, or one for each axis; None keeps an axis as it is."""
    single = output_size is None or hasattr(output_size, "__index__")
    try:
        given = (output_size,) * len(sizes) if single else tuple(output_size)
        found = tuple(n if o is None else index(o) for o, n in zip(given, sizes, strict=True))
    except (TypeError, ValueError):
        found = ()
    if not found or isinstance(output_size, bool) or any(o is not None and index(o) < 1 for o in given):
        raise ValueError(
            f"output_size: expected an integer or None, or {len(sizes)} of them, each at least 1, got {output_size!r}"
        )
    if any(n < 1 for n in sizes):
        raise ValueError(f"x: expected axes of at least 1 element to pool over, got {tuple(sizes)}")
    return found


def strides(sizes: Sequence[int], output: Sequence[int]) -> tuple[int, ...] | None:
    """The windows of plain pooling that an adaptive one comes to, if every size is a multiple of the output's; else None."""
    if any(n % o for n, o in zip(sizes, output, strict=True)):
        return None
    return tuple(n // o for n, o in zip(sizes, output, strict=True))


def bounds(size: int, output: int) -> list[tuple[int, int]]:
    """(begin, end) of each window: floor(o size / output) and ceil((o + 1) size / output)."""
    return [(o * size // output, -(-(o + 1) * size // output)) for o in range(output)]


def unfolded(xp: Any, x: Any, axis: int, output: int) -> tuple[Any, list[int]]:
    """(x with the axis replaced by two: windows, and the elements of a window; how many elements each window has).

    Windows that are shorter than the longest repeat their last element.
    """
    size = x.shape[axis]
    windows = bounds(size, output)
    counts = [end - begin for begin, end in windows]
    if 0 in x.shape:  # CuPy takes nothing from an empty array
        one = x[((slice(None),) * axis + (slice(0, 1), ...))]
        x = xp.broadcast_to(one, (*x.shape[:axis], output * max(counts), *x.shape[axis + 1 :]))
    elif size % output:
        places = [min(begin + t, end - 1) for begin, end in windows for t in range(max(counts))]
        x = xp.take(x, xp.asarray(places, dtype=xp.int64, device=x.device), axis=axis)
    return xp.reshape(x, (*x.shape[:axis], output, max(counts), *x.shape[axis + 1 :])), counts
