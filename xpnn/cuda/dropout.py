"""dropout for CuPy: the mask is drawn where it is applied, forward and again backward; the host side of dropout.cu."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

from ..namespace.libraries import raw_namespace
from ..random import Key, dropout_threshold
from .arguments import Layout
from .arrays import VECTOR, contiguous, is_aligned
from .dtypes import C_TYPES, ITEM_SIZE, dtype_name, refuse_dtypes
from .launch import launch
from .plan import Plan

__all__ = ["backward", "forward", "instantiations", "plan", "refusal"]

# As in the kernel file.
_FILE, _THREADS = "dropout.cu", 256
_MOST_BLOCKS = 1 << 15
_FLOPS = 25  # of an element, about: ten rounds for four of them
_MASK = 0xFFFFFFFF


def refusal(x: Any, *, p: float, key: Any) -> str | None:
    if not isinstance(key, Key):
        return f"key of {type(key).__name__}"
    return refuse_dtypes(x)


def forward(x: Any, *, p: float, key: Key, need: tuple[bool, ...]) -> tuple[Any, Any]:
    return _applied(x, p, key), (p, key)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any]:
    return (_applied(g, *residuals),)


def _applied(x: Any, p: float, key: Key) -> Any:
    """x with the dropped elements zeroed and the others scaled."""
    x = contiguous(x)
    y = raw_namespace(x).empty_like(x)
    aligned = is_aligned(x, y)
    own = plan(dtype_name(x.dtype), x.size)
    arguments = own.layout(
        y=y,
        x=x,
        count=x.size,
        threshold=dropout_threshold(1 - p),
        seed_low=key.seed & _MASK,
        seed_high=key.seed >> 32,
        stream_low=key.stream & _MASK,
        stream_high=key.stream >> 32,
        scale=1 / (1 - p) if p < 1 else 0.0,
        aligned=aligned,
    )
    launch(own, arguments)
    return y


@functools.lru_cache(1024)
def plan(dtype: str, count: int) -> Plan:
    """The launch over `count` elements."""
    width = VECTOR // ITEM_SIZE[dtype]
    return Plan(
        file=_FILE,
        entry=f"dropout<{C_TYPES[dtype]}>",
        layout=_layout(C_TYPES[dtype]),
        grid=(min(-(-count // (width * _THREADS)), _MOST_BLOCKS), 1, 1),
        block=(_THREADS, 1, 1),
        bytes=2 * count * ITEM_SIZE[dtype],
        flops=_FLOPS * count,
    )


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that `plan` can ask for."""
    yield from (plan(dtype, 1) for dtype in C_TYPES)


@functools.cache
def _layout(t: str) -> Layout:
    numbers = ("count", "long long"), ("threshold", "long long")
    key = tuple((name, "unsigned") for name in ("seed_low", "seed_high", "stream_low", "stream_high"))
    fields = ("y", f"{t}*"), ("x", f"const {t}*"), *numbers, *key, ("scale", "float"), ("aligned", "int")
    return Layout(f"DropoutArguments<{t}>", fields)
