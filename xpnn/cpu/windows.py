"""Sizes of what windows slide over: shared by convolution and pooling, as plain functions of integers."""

from __future__ import annotations

__all__ = [
    "Pairs",
    "adjoint_padding",
    "fits_output_padding",
    "output_sizes",
    "transposed_sizes",
    "window_counts",
    "window_slices",
]

# (before, after) for each axis
Pairs = tuple[tuple[int, int], ...]


def output_sizes(
    sizes: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], padding: Pairs, dilation: tuple[int, ...]
) -> tuple[int, ...]:
    """At how many places a window fits along each axis; 0 or less if it does not fit at all."""
    return tuple(
        (size + before + after - step * (k - 1) - 1) // move + 1
        for size, k, move, (before, after), step in zip(sizes, kernel, stride, padding, dilation, strict=True)
    )


def transposed_sizes(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[int, ...]:
    """The sizes of what a transposed convolution makes; 0 or less where nothing is left."""
    return tuple(
        (size - 1) * move - before - after + step * (k - 1) + 1 + more
        for size, k, move, (before, after), more, step in zip(
            sizes, kernel, stride, padding, output_padding, dilation, strict=True
        )
    )


def adjoint_padding(
    sizes: tuple[int, ...],
    out: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
) -> Pairs:
    """The padding of the convolution that takes arrays of ``out`` to ``sizes``: before as given, behind what its windows need."""
    return tuple(
        (before, (size - 1) * move + step * (k - 1) + 1 - before - places)
        for size, places, k, move, (before, _), step in zip(sizes, out, kernel, stride, padding, dilation, strict=True)
    )


def fits_output_padding(output_padding: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]) -> bool:
    """Whether it is less than the stride or the dilation along each axis, as it must be."""
    return all(0 <= more < max(pair) for more, *pair in zip(output_padding, stride, dilation, strict=True))


def window_slices(
    tap: tuple[int, ...], out: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[slice, ...]:
    """The elements of the padded axes that position ``tap`` of the window sees, at all places of the window."""
    return tuple(
        slice(i * step, i * step + (n - 1) * move + 1, move)
        for i, n, move, step in zip(tap, out, stride, dilation, strict=True)
    )


def window_counts(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    counted: Pairs,
    out: tuple[int, ...],
) -> list[list[int]]:
    """For each axis, how many elements the window has at each of its places; of the padding as many as ``counted`` says."""
    counts = []
    for size, k, move, (before, _), (front, back), n in zip(sizes, kernel, stride, padding, counted, out, strict=True):
        starts = [place * move - before for place in range(n)]
        counts.append([min(start + k, size + back) - max(start, -front) for start in starts])
    return counts
