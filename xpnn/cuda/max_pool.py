"""max_pool for CuPy: one launch forward, which keeps the winners' taps if a gradient is wanted, and one backward."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

from ..cpu.windows import Pairs
from ..namespace.libraries import raw_namespace
from .arguments import Layout
from .arrays import contiguous, is_aligned
from .dtypes import C_TYPES, ITEM_SIZE, dtype_name, refuse_dtypes
from .launch import launch
from .plan import Plan
from .windows import NUMBERS, Windows, Work, adaptive, plain, volume, work

__all__ = ["backward", "backward_work", "forward", "forward_over", "forward_work", "instantiations", "refusal"]

_BYTE = 256  # taps that a byte tells apart


def refusal(
    x: Any,
    *,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    data_format: str = "channels_first",
) -> str | None:
    windows = plain(x.shape, kernel, stride, padding, dilation, padding, data_format)
    return windows if isinstance(windows, str) else refuse_dtypes(x)


def forward(
    x: Any,
    *,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    data_format: str = "channels_first",
    need: tuple[bool, ...],
) -> tuple[Any, Any]:
    return forward_over(x, plain(x.shape, kernel, stride, padding, dilation, padding, data_format), need)


def forward_over(x: Any, windows: Windows | str, need: tuple[bool, ...]) -> tuple[Any, Any]:
    """The largest elements of x in windows that were not refused, and what backward needs."""
    assert isinstance(windows, Windows), windows
    xp = raw_namespace(x)
    x, y, mark = contiguous(x), xp.empty(windows.out_shape, dtype=x.dtype), None
    if need[0]:
        mark = xp.empty(windows.out_shape, dtype=xp.uint8 if _mark(windows) == "unsigned char" else xp.int32)
    plan, numbers = forward_work(dtype_name(x.dtype), windows, is_aligned(x, y, mark))
    launch(plan, plan.layout(target=y, source=x, mark=mark, outer=windows.outer, **numbers))
    return y, (mark, windows) if need[0] else None


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any]:
    mark, windows = residuals
    g, dx = contiguous(g), raw_namespace(g).empty(windows.shape, dtype=g.dtype)
    plan, numbers = backward_work(dtype_name(g.dtype), windows, is_aligned(g, dx, mark))
    launch(plan, plan.layout(target=dx, source=g, mark=mark, outer=windows.outer, **numbers))
    return (dx,)


@functools.lru_cache(1024)
def forward_work(dtype: str, windows: Windows, aligned: bool) -> Work:
    """The launch of the forward direction."""
    return _work(dtype, windows, aligned, forward=True)


@functools.lru_cache(1024)
def backward_work(dtype: str, windows: Windows, aligned: bool) -> Work:
    """The launch of the backward direction."""
    return _work(dtype, windows, aligned, forward=False)


def _work(dtype: str, windows: Windows, aligned: bool, *, forward: bool) -> Work:
    t, mark = C_TYPES[dtype], _mark(windows)
    names = f"max_pool_{'forward' if forward else 'backward'}", f"{t}, {mark}"
    layout = _layout(t, mark if forward else f"const {mark}")
    sizes = {"item": ITEM_SIZE[dtype], "mark": _MARK_SIZE[mark]}
    return work("max_pool.cu", names, layout, windows, forward=forward, aligned=aligned, **sizes)


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for."""
    shapes = {
        "single": ((1, 3, 3, 3), (2, 2), "channels_last"),
        "single, windows of 289 taps": ((1, 17, 17, 3), (1, 1), "channels_last"),
        "vectors": ((1, 3, 3, 8), (2, 2), "channels_last"),
        "spans": ((300, 1, 3, 3), (2, 2), "channels_first"),
    }
    for dtype in C_TYPES:
        for shape in shapes.values():
            windows = adaptive(*shape)
            assert isinstance(windows, Windows)
            yield forward_work(dtype, windows, True).plan
            yield backward_work(dtype, windows, True).plan


# C++'s word for what the tap of a winner is kept in -> its bytes.
_MARK_SIZE = {"unsigned char": 1, "int": 4}


def _mark(windows: Windows) -> str:
    return "unsigned char" if volume(windows.axes) <= _BYTE else "int"


@functools.cache
def _layout(t: str, mark: str) -> Layout:
    arrays = ("target", f"{t}*"), ("source", f"const {t}*"), ("mark", f"{mark}*"), ("outer", "long long")
    return Layout(f"MaxArguments<{t}, {mark}>", (*arrays, *NUMBERS))
