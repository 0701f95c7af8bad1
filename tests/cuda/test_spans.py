"""Spans of pooling: what fits into shared memory, how it is shared out, and where single elements are left to it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from xpnn.cuda import spans
from xpnn.cuda.spans import Axis, Spans, spans_of
from xpnn.cuda.windows import Windows, adaptive, plain

PADDING = ((1, 1), (1, 1))


def axes_of(sizes: tuple[int, ...], kernel: int, stride: int, before: int = 0) -> tuple[Axis, Axis, Axis]:
    n = len(sizes)
    pairs = ((before, before),) * n
    windows = plain((1, 1, *sizes), (kernel,) * n, (stride,) * n, pairs, (1,) * n, pairs, "channels_first")
    assert isinstance(windows, Windows)
    return windows.axes


def accepted(found: Spans | None) -> Spans:
    assert found is not None
    return found


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("outer", [1, 7, 300, 5000])
@pytest.mark.parametrize("sizes", [(7,), (9, 8), (56, 56), (112, 112), (5, 30, 30), (4000,)])
def test_every_row_of_every_plane_has_one_block(sizes: tuple[int, ...], outer: int, forward: bool) -> None:
    axes = axes_of(sizes, 3, 2, 1)
    found = spans_of(outer, axes, 4, 1, forward)
    if found is None:
        assert outer < 300  # few rows: single elements
        return
    rows = found.axes[0].out if forward else found.axes[0].size
    assert (found.bands - 1) * found.band < rows <= found.bands * found.band
    assert found.planes == 1 or found.bands == 1
    assert found.blocks == -(-outer // found.planes) * found.bands
    assert 0 < found.shared <= spans._ROOM and all(room % 16 == 0 for room in found.rooms)


def test_a_band_has_room_for_all_rows_that_it_sees() -> None:
    """Counted by the definition, for every band of many axes."""
    for size, kernel, stride, before in itertools.product((5, 16, 33), (1, 2, 5), (1, 2, 3), (0, 1)):
        if before > kernel // 2 or size + 2 * before < kernel:
            continue
        (d, *_) = spans._cut_first(axes_of((size, 7), kernel, stride, before))
        for band in (1, 2, 3, d.out):
            for first in range(0, d.out, band):
                last = min(first + band, d.out) - 1
                low, high = max(first * stride - before, 0), min(last * stride - before + kernel, size)
                assert high - low <= spans._seen(d, last - first + 1, True)
            for first in range(0, size, band):
                inside = range(first, min(first + band, size))
                seen = [
                    o
                    for o in range(d.out)
                    if any(o * stride - before <= i < o * stride - before + kernel for i in inside)
                ]
                assert len(seen) <= spans._seen(d, len(inside), False)


@pytest.mark.parametrize(("size", "out"), [(7, 3), (10, 4), (5, 8), (12, 5)])
def test_adaptive_bands_have_room_too(size: int, out: int) -> None:
    windows = adaptive((1, 1, size, 2), (out, 2), "channels_first")
    assert isinstance(windows, Windows)
    (d, *_) = spans._cut_first(windows.axes)
    ranges = [range(o * size // out, -(-(o + 1) * size // out)) for o in range(out)]
    for band in (1, 2, out):
        for first in range(0, out, band):
            own = ranges[first : first + band]
            assert own[-1].stop - own[0].start <= spans._seen(d, len(own), True)
        for first in range(0, size, band):
            inside = range(first, min(first + band, size))
            assert sum(any(i in r for i in inside) for r in ranges) <= spans._seen(d, len(inside), False)


def test_small_planes_go_together_and_large_ones_are_cut() -> None:
    together = accepted(spans_of(32 * 64, axes_of((8, 8), 2, 2), 4, 1, True))
    assert (together.planes, together.bands) == (8, 1) and together.blocks == 256
    cut = accepted(spans_of(32 * 64, axes_of((112, 112), 3, 2, 1), 4, 1, True))
    assert cut.planes == 1 and cut.bands > 1
    assert cut.axes[0].size == 112 and cut.axes[1].size == 1  # the axis without extent lies behind the one that is cut


@pytest.mark.parametrize(
    ("sizes", "kernel", "stride"),
    [
        ((64, 64), 9, 1),  # windows of 81 elements
        ((64, 64), 1, 4),  # most elements are in no window
        ((4, 20000), 2, 2),  # not one row fits
    ],
)
def test_what_is_left_to_single_elements(sizes: Any, kernel: int, stride: int) -> None:
    assert spans_of(4096, axes_of(sizes, kernel, stride), 4, 1, True) is None
