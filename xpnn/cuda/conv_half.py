"""Convolution in float16 and bfloat16 on tensor cores, summed in float32; the host side of conv_half.cu, before conv_halo.cu."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import conv_halo
from .arrays import is_aligned
from .conv_halo_model import gather_clocks
from .conv_shape import Convolution
from .conv_tensor import Kind
from .conv_ways import asked
from .dtypes import C_TYPES, ITEM_SIZE
from .launch import launch
from .plan import Plan

__all__ = ["KINDS", "Half", "instantiations"]


class Half(Kind):
    """The kind whose forwards and input gradients have a second kernel."""

    __slots__ = ()

    def way(self, conv: Convolution, *, gradient: bool) -> str:
        """Which kernel computes the forward or the input gradient, and why not the other one."""
        why = self._not_halo(conv, gradient)
        return "conv_halo" if why is None else f"conv_half, not conv_halo: {why}"

    def _gather(
        self,
        out: Any,
        source: Any,
        weight: Any,
        bias: Any,
        conv: Convolution,
        activation: str | None,
        *,
        gradient: bool,
    ) -> None:
        """source, weight packed."""
        if self._not_halo(conv, gradient) is not None:
            return super()._gather(out, source, weight, bias, conv, activation, gradient=gradient)
        plan, values = conv_halo.halo_plan(self.dtype, conv, activation, gradient=gradient, aligned=is_aligned(out))
        arrays = {"out": out, "in": source, "weight": weight, "scale": None, "bias": bias, "residual": None}
        return launch(plan, plan.layout(**arrays, **values))

    def _not_halo(self, conv: Convolution, gradient: bool) -> str | None:
        """Why conv_halo.cu does not compute this, in words, or None."""
        way = asked()
        if way == "gather":
            return "XPNN_CONV"
        why = conv_halo.refusal(conv, gradient=gradient)
        if why is None and way != "halo" and not self._pays(conv, gradient):
            return "dearer by the model of the costs"
        return why

    def _pays(self, conv: Convolution, gradient: bool) -> bool:
        best = conv_halo.best(conv, gradient=gradient)
        own = self.tiling(conv, gradient)
        return best is not None and best.clocks < gather_clocks(conv, own.tile, own.shares, gradient=gradient)


KINDS = {dtype: Half("conv_half.cu", dtype, f"Half<{t}>") for dtype, t in C_TYPES.items() if ITEM_SIZE[dtype] == 2}


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans can ask for, those of conv_halo.py apart."""
    for kind in KINDS.values():
        yield from kind.instantiations()
