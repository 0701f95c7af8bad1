"""Convolution in float16 and bfloat16 on tensor cores, summed in float32; the host side of conv_half.cu."""

from __future__ import annotations

from collections.abc import Iterator

from .conv_tensor import Kind
from .dtypes import C_TYPES, ITEM_SIZE
from .plan import Plan

__all__ = ["KINDS", "instantiations"]

KINDS = {dtype: Kind("conv_half.cu", dtype, f"Half<{t}>") for dtype, t in C_TYPES.items() if ITEM_SIZE[dtype] == 2}


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans can ask for."""
    for kind in KINDS.values():
        yield from kind.instantiations()
