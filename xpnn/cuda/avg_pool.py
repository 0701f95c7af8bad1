"""avg_pool for CuPy: one launch in each direction, and nothing kept between them."""

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
from .windows import NUMBERS, Axis, Windows, Work, adaptive, plain, volume, work

__all__ = ["avg_work", "backward", "forward", "forward_over", "instantiations", "refusal"]


def refusal(
    x: Any,
    *,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    counted: Pairs,
    divisor: float | None = None,
    data_format: str = "channels_first",
) -> str | None:
    windows = plain(x.shape, kernel, stride, padding, (1,) * len(kernel), counted, data_format)
    if isinstance(windows, str):
        return windows
    return "divisor 0" if divisor == 0 else refuse_dtypes(x)


def forward(
    x: Any,
    *,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    counted: Pairs,
    divisor: float | None = None,
    data_format: str = "channels_first",
    need: tuple[bool, ...],
) -> tuple[Any, Any]:
    windows = plain(x.shape, kernel, stride, padding, (1,) * len(kernel), counted, data_format)
    return forward_over(x, windows, divisor, need)


def forward_over(x: Any, windows: Windows | str, divisor: float | None, need: tuple[bool, ...]) -> tuple[Any, Any]:
    """The means of x in windows that were not refused, and what backward needs."""
    assert isinstance(windows, Windows), windows
    y = raw_namespace(x).empty(windows.out_shape, dtype=x.dtype)
    divisor = _common_divisor(windows) if divisor is None else divisor
    _launch(y, x, windows, divisor, forward=True)
    return y, (windows, divisor) if need[0] else None


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any]:
    windows, divisor = residuals
    dx = raw_namespace(g).empty(windows.shape, dtype=g.dtype)
    _launch(dx, g, windows, divisor, forward=False)
    return (dx,)


def _launch(target: Any, source: Any, windows: Windows, divisor: float, *, forward: bool) -> None:
    source = contiguous(source)
    plan, numbers = avg_work(dtype_name(source.dtype), windows, forward, is_aligned(source, target))
    launch(plan, plan.layout(target=target, source=source, outer=windows.outer, divisor=divisor, **numbers))


@functools.lru_cache(1024)
def avg_work(dtype: str, windows: Windows, forward: bool, aligned: bool) -> Work:
    """The launch of one direction."""
    t = C_TYPES[dtype]
    names = f"avg_pool_{'forward' if forward else 'backward'}", t
    return work("avg_pool.cu", names, _layout(t), windows, ITEM_SIZE[dtype], forward=forward, aligned=aligned)


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for: single elements, vectors, spans."""
    for shape in [((1, 3, 3, 3), (2, 2), "channels_last"), ((1, 3, 3, 8), (2, 2), "channels_last"),
                  ((300, 1, 3, 3), (2, 2), "channels_first")]:  # fmt: skip
        windows = adaptive(*shape)
        assert isinstance(windows, Windows)
        for dtype in C_TYPES:
            yield avg_work(dtype, windows, True, True).plan
            yield avg_work(dtype, windows, False, True).plan


def _common_divisor(windows: Windows) -> float:
    """How many elements every window has; 0 if they differ."""
    return float(volume(windows.axes)) if all(map(_are_whole, windows.axes)) else 0.0


def _are_whole(axis: Axis) -> bool:
    """Whether all windows of an axis have as many elements, because the padding that they see counts."""
    return axis.part == 1 and axis.front >= axis.before and axis.back >= axis.beyond


@functools.cache
def _layout(t: str) -> Layout:
    arrays = ("target", f"{t}*"), ("source", f"const {t}*"), ("outer", "long long"), ("divisor", "float")
    return Layout(f"AvgArguments<{t}>", (*arrays, *NUMBERS))
