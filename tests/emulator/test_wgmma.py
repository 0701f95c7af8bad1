"""wgmma and TMA in the emulator: right kernels are right under every schedule, and each planted fault is named."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.emulator import SCHEDULES, EmulatorError, Kernel
from tests.emulator.launch import pack
from tests.emulator.tensor_map import plain

Compiled = Callable[..., Kernel]
LOADS = 5


def multiplied(kernel: Kernel, n: int, bfloat: bool) -> tuple[Any, Any]:
    """(d of the kernel, d in float64) of random operands that are exact in either format."""
    rng = np.random.default_rng(3)
    a, b, c = (rng.integers(-127, 128, shape).astype(np.float32) / 16 for shape in ((64, 64), (n, 64), (64, n)))
    bits = [x.view(np.uint32) >> 16 if bfloat else x.astype(np.float16).view(np.uint16) for x in (a, b)]
    arguments = {
        "a": bits[0].astype(np.uint16),
        "b": bits[1].astype(np.uint16),
        "c": c,
        "d": np.full((64, n), np.nan, np.float32),
    }
    return kernel.check((1,), (128,), arguments)["d"], a.astype(np.float64) @ b.T + c


@pytest.mark.parametrize(
    ("n", "bfloat", "swizzle"), [(64, False, True), (64, True, False), (128, False, False), (128, True, True)]
)
def test_products(compiled: Compiled, n: int, bfloat: bool, swizzle: bool) -> None:
    name = f"product<{n}, {str(bfloat).lower()}, {str(swizzle).lower()}>"
    got, expected = multiplied(compiled("wgmma.cu", name), n, bfloat)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("fault", "report"),
    [
        ("MISSING_FENCE", "a wgmma.fence is missing"),
        ("MISSING_PROXY_FENCE", "wgmma of thread .* meets shared 'a' .* a fence.proxy.async is missing"),
        ("MISSING_BARRIER", "race: .* shared '[ab]'"),
        ("MISSING_WAIT", "'d' depend on the schedule: .* is nan"),
        ("MISSING_COMMIT", "ended with a wgmma that it never waited for"),
        ("OVERWRITES_EARLY", "race: .* shared 'a'|fence.proxy.async is missing"),
        ("WARPS_DIFFER", "warps of a warpgroup bring different operands"),
    ],
)
def test_a_fault_around_a_product_is_reported(compiled: Compiled, fault: str, report: str) -> None:
    with pytest.raises(EmulatorError, match=report):
        multiplied(compiled("wgmma.cu", "product<64, false, true>", fault), 64, False)


@pytest.mark.parametrize("fault", ["WRONG_STRIDE", "WRONG_SWIZZLE", "WRONG_BASE"])
def test_a_wrong_descriptor_gives_wrong_numbers(compiled: Compiled, fault: str) -> None:
    got, expected = multiplied(compiled("wgmma.cu", "product<64, false, true>", fault), 64, False)
    assert not np.array_equal(got, expected)


def loaded(kernel: Kernel, kind: int, x: Any, box: tuple[int, ...], start: dict[str, int], **corners: Any) -> Any:
    """What lies in shared memory after each load, (LOADS, rows, 64): the same bits under every schedule.

    The first axis of x is the last of the map.
    """
    rows = int(np.prod(box[1:]))
    found = []
    for schedule in SCHEDULES:
        source, y = x.copy(), np.zeros((LOADS, rows, 64), np.uint16)
        words = plain(source.ctypes.data, 2, x.shape[::-1], x.strides[-2::-1], box, **corners)
        numbers = {name: np.int32(start.get(name, 0)) for name in ("c", "w", "h", "d", "n", "right", "down", "back")}
        record = pack(
            {"map": np.void(words.tobytes()), "y": y, "rows": np.int32(rows), **numbers, "more": np.void(bytes(20))}
        )
        kernel.launch_packed((1,), (64,), record, {"x": source, "y": y}, shared=2 * rows * 128, schedule=schedule)
        found.append(y)
    for y, other in itertools.product(found[1:], [found[0]]):
        np.testing.assert_array_equal(y, other)
    return found[0]


def pixels(
    x: Any, count: int, start: dict[str, int], steps: tuple[int, ...], lower: tuple[int, ...], upper: tuple[int, ...]
) -> Any:
    """The rows that a load of pixels brings, place by place; steps, corners in the order of the map: w, h, d."""
    axes = x.ndim - 2
    at = [start.get(name, 0) for name in "whd"[:axes]]
    by = [start.get(name, 0) for name in ("right", "down", "back")[:axes]]
    n, c, rows = start.get("n", 0), start.get("c", 0), []
    for _ in range(count):
        place = [i + j for i, j in zip(at, by, strict=True)][::-1]
        inside = n < len(x) and all(0 <= i < size for i, size in zip(place, x.shape[1:], strict=False))
        row = np.zeros(64, x.dtype)
        if inside:
            channels = x[(n, *place)][c : c + 64]
            row[: channels.size] = channels
        rows.append(row)
        for axis in range(axes):
            at[axis] += steps[axis]
            if at[axis] < x.shape[-2 - axis] + upper[axis]:
                break
            at[axis] = lower[axis]
        else:
            n += 1
    return np.stack(rows)


# x, pixels, start, steps, lower and upper corners: a plain image; padding; steps; several images and the end of the last one.
PIXELS = {
    "plain": ((2, 5, 7, 64), 16, {}, (1, 1), (0, 0), (0, 0)),
    "padded": ((2, 6, 5, 72), 48, {"w": -1, "h": 2, "c": 64, "right": 2, "down": 1}, (1, 1), (-1, -2), (-1, 0)),
    "steps": ((3, 9, 8, 24), 32, {"w": -1, "h": -1, "n": 1, "right": 1}, (2, 3), (-1, -1), (-1, -2)),
    "the end": ((2, 4, 4, 64), 32, {"w": 2, "h": 1, "n": 1}, (1, 1), (0, 0), (0, 0)),
    "3-d": ((2, 3, 4, 5, 40), 64, {"w": 1, "h": -1, "d": 0, "right": 1, "back": 2}, (1, 1, 2), (-1, -1, -2), (-1, 0, -1)),
}  # fmt: skip


@pytest.mark.parametrize("name", PIXELS)
def test_loads_of_pixels(compiled: Compiled, name: str) -> None:
    shape, count, start, steps, lower, upper = PIXELS[name]
    x = np.arange(1, 1 + np.prod(shape), dtype=np.uint16).reshape(shape)
    axes = x.ndim - 2
    got = loaded(
        compiled("tma.cu", f"box<{axes}>"), axes, x, (64, count), start, steps=(1, *steps, 1), lower=lower, upper=upper
    )
    for y in got:
        np.testing.assert_array_equal(y, pixels(x, count, start, steps, lower, upper))


def test_loads_of_tiles(compiled: Compiled) -> None:
    """A box that leaves the tensor along all axes; x (z, y, x)."""
    x = np.arange(1, 1 + 5 * 3 * 72, dtype=np.uint16).reshape(5, 3, 72)
    got = loaded(compiled("tma.cu", "box<1>"), 1, x, (64, 1, 8), {"c": 24, "w": 2, "h": 1})
    expected = np.zeros((8, 64), np.uint16)
    expected[:4, :48] = x[1:, 2, 24:]
    for y in got:
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(
    ("fault", "report"),
    [
        ("MISSING_WAIT", "endless wait|still in flight: a wait is missing|race"),
        ("MISSING_EMPTY", "endless wait|still in flight|race"),
        ("WRONG_PHASE", "endless wait"),
        ("SHORT_EXPECT", "endless wait"),
        ("MISSING_BARRIER", "used before mbarrier.init"),
        ("STORES_BEFORE", "TMA of thread .* meets shared .* a fence.proxy.async is missing"),
    ],
)
def test_a_fault_around_a_load_is_reported(compiled: Compiled, fault: str, report: str) -> None:
    x = np.arange(2 * 5 * 7 * 64, dtype=np.uint16).reshape(2, 5, 7, 64)
    with pytest.raises(EmulatorError, match=report):
        loaded(compiled("tma.cu", "box<2>", fault), 2, x, (64, 16), {}, steps=(1, 1, 1, 1), lower=(0, 0), upper=(0, 0))


@pytest.mark.parametrize(
    ("start", "change", "report"),
    [
        ({"w": 7}, {}, "place 7 of axis 0 lies outside of the map's box"),
        ({"n": 2}, {}, "there is no image 2"),
        ({"right": 256}, {}, "an offset of 256 over 2 axes"),
        ({}, {"lower": (-129, 0)}, "corners -129, 0 of axis 0 do not fit"),
        ({}, {"steps": (1, 9, 1, 1)}, "a step of 9, at most 8"),
        ({}, {"swizzle": 64}, "rows of 128 bytes do not fit a swizzle of 64"),
    ],
)
def test_a_load_that_no_gpu_takes(
    compiled: Compiled, start: dict[str, int], change: dict[str, Any], report: str
) -> None:
    x = np.zeros((2, 5, 7, 64), np.uint16)
    corners = {"steps": (1, 1, 1, 1), "lower": (0, 0), "upper": (0, 0), **change}
    with pytest.raises(EmulatorError, match=report):
        loaded(compiled("tma.cu", "box<2>"), 2, x, (64, 16), start, **corners)
