"""The windows of the pooling kernels: their numbers by the definitions, in loops, and the threads that lie over them."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest

from xpnn.cuda.windows import Axis, Windows, _multiplier, _numbers, adaptive, plain, tiling, work


def windows_of(axis: Axis) -> list[list[int]]:
    """What each window looks at, elements outside of the axis included, by the formulas of kernels/windows.cuh."""
    found = []
    for o in range(axis.out):
        begin = o * axis.move // axis.part - axis.before
        if axis.part == 1:
            found.append([begin + t * axis.step for t in range(axis.kernel)])
        else:
            found.append(list(range(begin, (o * axis.move + axis.move + axis.part - 1) // axis.part - axis.before)))
    return found


def accepted(windows: Windows | str) -> Windows:
    assert isinstance(windows, Windows), windows
    return windows


@pytest.mark.parametrize("size", range(1, 14))
def test_adaptive_windows_are_those_of_the_definition(size: int) -> None:
    for out in range(1, 16):
        axis = accepted(adaptive((1, 1, size), (out,), "channels_first")).axes[2]
        expected = [list(range(o * size // out, -(-(o + 1) * size // out))) for o in range(out)]
        assert windows_of(axis) == expected
        assert axis.kernel == max(map(len, expected))


def test_where_the_output_divides_the_input_adaptive_windows_are_plain_ones() -> None:
    for out in (1, 2, 4, 12):
        k = 12 // out
        axis = accepted(adaptive((1, 1, 12), (out,), "channels_first")).axes[2]
        options = ((k,), (k,), ((0, 0),), (1,), ((0, 0),), "channels_first")
        assert axis == accepted(plain((1, 1, 12), *options)).axes[2]


def test_an_axis_that_its_window_covers_joins_the_one_before_it() -> None:
    windows = accepted(adaptive((2, 3, 4, 5, 6), (2, 1, 1), "channels_first"))
    assert windows.axes == (Axis(1, 1, 1), Axis(1, 1, 1), Axis(120, 2, 60, move=60))
    windows = accepted(adaptive((2, 3, 4, 5, 6), (3, 1, 1), "channels_first"))  # the first axis has two lengths
    assert windows.axes == (Axis(1, 1, 1), Axis(4, 3, 2, move=4, part=3), Axis(30, 1, 30, move=30))
    options = ((3, 6), (2, 6), ((1, 1), (0, 0)), (1, 1), ((1, 1), (0, 0)), "channels_first")
    assert accepted(plain((2, 3, 5, 6), *options)).axes[2] == Axis(30, 3, 18, 1, 6, 12, 1, 6, 6)
    dilated = ((2, 6), (2, 6), ((1, 1), (0, 0)), (2, 1), ((1, 1), (0, 0)), "channels_first")
    assert accepted(plain((2, 3, 5, 6), *dilated)).axes[1].step == 2


@pytest.mark.parametrize("d", [1, 2, 3, 5, 7, 13, 640, 641, 1000003, 2**16 - 1, 2**16, 2**16 + 1, 2**30 - 1, 2**30])
def test_division_by_multiplication_is_exact(d: int) -> None:
    near = [q * d + r for q in (0, 1, 2, 3, 1000, (2**31 - 1) // d - 1) for r in (-1, 0, 1)]
    numbers = [
        n for n in [*near, *np.random.default_rng(d).integers(0, 2**31, 200).tolist(), 2**31 - 1] if 0 <= n < 2**31
    ]
    m, shift = _multiplier(d), (d - 1).bit_length()
    assert 0 < m < 2**32
    for n in numbers:
        high = n * m >> 32
        assert high + n < 2**32 and (high + n) >> shift == n // d


SHAPES: list[tuple[tuple[int, ...], tuple[int, ...], str]] = [
    ((1, 1, 1), (1,), "channels_first"),
    ((5, 3, 7, 7), (1, 1), "channels_first"),
    ((4, 64, 56, 56), (28, 28), "channels_first"),
    ((4, 56, 56, 64), (28, 28), "channels_last"),
    ((128, 32, 26, 26), (13, 13), "channels_first"),
    ((1, 1, 100, 100, 100), (50, 50, 50), "channels_first"),
    ((2**20, 2**12, 3), (2,), "channels_first"),
    ((3, 2**29), (2**28,), "channels_first"),
    ((8, 3, 1023), (3,), "channels_first"),
]


@pytest.mark.parametrize(("shape", "output", "data_format"), SHAPES)
@pytest.mark.parametrize("forward", [True, False])
def test_threads_cover_all_positions(
    shape: tuple[int, ...], output: tuple[int, ...], data_format: str, forward: bool
) -> None:
    shape = (1, *shape) if len(shape) == len(output) + 1 else shape
    windows = accepted(adaptive(shape, output, data_format))
    (tiles, chunks, _), (width, height, _), lane_bits = tiling(windows, forward)
    positions = prod(windows.out_shape if forward else windows.shape) // windows.outer
    assert (width * height) % 32 == 0 and width * height <= 256 and width % 2**lane_bits == 0
    assert (tiles - 1) * (width >> lane_bits) < positions <= tiles * (width >> lane_bits)
    assert 1 <= chunks <= 2048 and (chunks - 1) * height * 4 < windows.outer


def test_lanes_share_a_window_where_windows_are_long_and_apart() -> None:
    def lanes(shape: tuple[int, ...], output: tuple[int, ...], data_format: str = "channels_first") -> int:
        return 1 << tiling(accepted(adaptive(shape, output, data_format)), True).lane_bits

    assert lanes((2, 3, 7, 7), (1, 1)) == 32  # 49 elements in a row
    assert lanes((2, 3, 100), (1,)) == 32
    assert lanes((2, 3, 90), (10,)) == 8  # 9 elements, 9 apart
    assert lanes((2, 3, 90), (30,)) == 1
    assert lanes((2, 100, 3), (1,), "channels_last") == 1


def test_a_plan_counts_the_bytes_that_must_move() -> None:
    """x, y and the marks forward; g, the marks and dx backward; of x only what windows can see."""
    options = ((2, 2), (4, 4), ((0, 0), (0, 0)), (1, 1), ((0, 0), (0, 0)), "channels_first")
    windows = accepted(plain((3, 5, 8, 8), *options))
    layout: Any = None
    forward = work("f", ("e", "t"), layout, windows, 2, forward=True, aligned=True, mark=1).plan
    backward = work("f", ("e", "t"), layout, windows, 2, forward=False, aligned=True, mark=1).plan
    assert forward.bytes == 15 * (16 * 2 + 4 * 2 + 4) and forward.flops == 15 * 4 * 4
    assert backward.bytes == 15 * (64 * 2 + 4 * 2 + 4)


def test_the_numbers_of_a_launch() -> None:
    windows = accepted(adaptive((2, 5, 7, 3), (3, 2), "channels_last"))
    found = _numbers(windows, True, 0)
    assert (found["inner"], found["size_d"], found["size_h"], found["size_w"]) == (3, 1, 5, 7)
    assert (found["move_h"], found["part_h"], found["kernel_h"]) == (5, 3, 3)
    assert found["by_w"] == _multiplier(2) and found["by_h"] == _multiplier(3) and found["by_inner"] == _multiplier(3)
    assert _numbers(windows, False, 0)["by_w"] == _multiplier(7)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (adaptive((1, 1, 4), (2,), "NHWC"), "data_format NHWC"),
        (adaptive((1, 4), (2,), "channels_first"), "shape"),
        (adaptive((1, 1, 2, 2, 2, 2), (2, 2, 2, 2), "channels_first"), "shape"),
        (adaptive((1, 1, 0, 4), (2, 2), "channels_first"), "an axis without elements"),
        (adaptive((1, 1, 4), (0,), "channels_first"), "output (0,)"),
        (adaptive((1, 1, 2**30 + 1), (1,), "channels_first"), "planes of 1073741825 elements"),
        (adaptive((1, 2**16, 2**15), (1,), "channels_last"), "planes of 2147483648 elements"),
        (adaptive((1, 1, 2), (2**30 + 1,), "channels_first"), "planes of 1073741825 elements"),
        (adaptive((1, 1, 2**15 - 1), (2**15 + 1,), "channels_first"), "windows of 2 elements over axes (32767,)"),
        (plain((1, 1, 2), (3,), (1,), ((0, 0),), (1,), ((0, 0),), "channels_first"), "a window larger than the input"),
    ],
)  # fmt: skip
def test_it_says_what_it_does_not_take(found: Windows | str, reason: str) -> None:
    assert found == reason
