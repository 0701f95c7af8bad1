"""group_norm for CuPy: a group of channels is a row of row_norm.cu forward, and has a kernel of its own backward."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from ..namespace.libraries import raw_namespace
from . import row_norm
from .arguments import Layout
from .arrays import begin_alike, contiguous
from .dtypes import C_TYPES, ITEM_SIZE, dtype_name, refuse_dtypes
from .launch import launch
from .norm import KINDS
from .plan import Plan
from .row_norm import block_of, in_packs, sum_plan, sum_up, up_to_power

__all__ = ["backward", "backward_plans", "forward", "instantiations", "refusal"]

_FILE = "group_norm.cu"


def refusal(
    x: Any, weight: Any, bias: Any, *, num_groups: int, eps: float = 1e-5, activation: str | None = None
) -> str | None:
    if x.ndim < 2 or not hasattr(num_groups, "__index__") or num_groups < 1 or x.shape[1] % num_groups or not eps >= 0:
        return "arguments that do not fit"
    if any(a is not None and a.shape != x.shape[1:2] for a in (weight, bias)):
        return "shapes of the parameters"
    if activation not in KINDS:
        return f"activation {activation}"
    if prod(x.shape[1:]) // num_groups > row_norm.MOST_COLUMNS:
        return f"groups of {prod(x.shape[1:]) // num_groups} elements"
    return refuse_dtypes(x, weight, bias)


def forward(
    x: Any, weight: Any, bias: Any, *, num_groups: int, eps: float = 1e-5, activation: str | None = None,
    need: tuple[bool, ...],
) -> tuple[Any, Any]:  # fmt: skip
    x, weight, bias = (None if a is None else contiguous(a) for a in (x, weight, bias))
    size = prod(x.shape[2:])
    columns = x.shape[1] // num_groups * size
    y, statistics = row_norm.forward(
        x, weight, bias, columns, eps, groups=num_groups, inner=size, activation=activation, keep=True in need
    )
    return y, (x, weight, y if activation else None, statistics, num_groups, activation)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, Any, Any]:
    x = residuals[0]
    xp = raw_namespace(x)
    new = xp.zeros if 0 in x.shape else xp.empty
    dx = xp.empty_like(x) if need[0] else None
    dweight, dbias = (new(x.shape[1], dtype=x.dtype) if wanted else None for wanted in need[1:])
    if 0 not in x.shape:
        _launch(dx, (dweight, dbias), contiguous(g), residuals)
    return dx, dweight, dbias


def _launch(dx: Any, gradients: tuple[Any, Any], dy: Any, residuals: Any) -> None:
    """Writes dx and gradients = (dweight, dbias), those of them that are not None."""
    x, weight, y, statistics, groups, activation = residuals
    xp = raw_namespace(x)
    samples, channels, size = x.shape[0], x.shape[1], prod(x.shape[2:])
    dtype, alike = dtype_name(x.dtype), begin_alike(dy, y, x, dx)
    sums, own = sum(a is not None for a in gradients), channels // groups
    main, *last = backward_plans(
        dtype, samples, groups, own, size, activation, dx=dx is not None, sums=sums, alike=alike
    )  # fmt: skip
    parts = [None if a is None else xp.empty((samples, channels), dtype=xp.float32) for a in gradients]
    arguments = main.layout(
        dx=dx, dweights=parts[0], dbiases=parts[1], dy=dy, y=y, x=x, weight=weight, mean=statistics.mean,
        scale=statistics.scale, rows=samples * groups, groups=groups, channels=own, size=size,
        width=_width(own, size, main.block[0]), vectors=in_packs(dtype, own * size, alike),
        channel_vectors=in_packs(dtype, size, alike), activation=KINDS[activation],
    )  # fmt: skip
    launch(main, arguments)
    for plan in last:
        sum_up(plan, gradients, parts, samples, channels)


@functools.lru_cache(1024)
def backward_plans(
    dtype: str, samples: int, groups: int, channels: int, size: int, activation: str | None, *, dx: bool, sums: int,
    alike: bool,
) -> tuple[Plan, ...]:  # fmt: skip
    """The launch of the backward of x (samples, groups, channels, size), and that of the sum over the samples."""
    columns, rows = channels * size, samples * groups
    block = block_of(dtype, columns, in_packs(dtype, columns, alike))
    main = Plan(
        file=_FILE,
        entry=f"group_norm_backward<{C_TYPES[dtype]}>",
        layout=_layout(C_TYPES[dtype]),
        grid=(-(-rows // block[1]), 1, 1),
        block=block,
        bytes=(2 + dx + (activation is not None)) * rows * columns * ITEM_SIZE[dtype],
        flops=12 * rows * columns,
    )
    return (main, sum_plan(dtype, samples, groups * channels, sums)) if sums else (main,)


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for; that of the sum is one of row_norm's."""
    for dtype in C_TYPES:
        yield backward_plans(dtype, 1, 1, 8, 8, None, dx=True, sums=0, alike=True)[0]


def _width(channels: int, size: int, threads: int) -> int:
    """How many of a row's threads add up a channel: some elements for each, no more than a warp if there are many channels."""
    return min(threads, up_to_power(-(-size // 4)), max(32, threads // up_to_power(channels)))


@functools.cache
def _layout(t: str) -> Layout:
    written = ("dx", f"{t}*"), ("dweights", "float*"), ("dbiases", "float*")
    arrays = ("dy", f"const {t}*"), ("y", f"const {t}*"), ("x", f"const {t}*"), ("weight", f"const {t}*")
    statistics = ("mean", "const float*"), ("scale", "const float*"), ("rows", "long long")
    numbers = [
        (name, "int") for name in ("groups", "channels", "size", "width", "vectors", "channel_vectors", "activation")
    ]
    return Layout(f"GroupArguments<{t}>", (*written, *arrays, *statistics, *numbers))
