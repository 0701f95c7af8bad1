"""adaptive_avg_pool for CuPy: the kernels of avg_pool over windows of a rational stride."""

from __future__ import annotations

from typing import Any

from .avg_pool import backward, forward_over
from .dtypes import refuse_dtypes
from .windows import adaptive

__all__ = ["backward", "forward", "refusal"]


def refusal(x: Any, *, output: tuple[int, ...], data_format: str = "channels_first") -> str | None:
    windows = adaptive(x.shape, output, data_format)
    return windows if isinstance(windows, str) else refuse_dtypes(x)


def forward(
    x: Any, *, output: tuple[int, ...], data_format: str = "channels_first", need: tuple[bool, ...]
) -> tuple[Any, Any]:
    return forward_over(x, adaptive(x.shape, output, data_format), None, need)
