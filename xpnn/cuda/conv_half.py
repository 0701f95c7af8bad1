"""Convolution in float16 and bfloat16 on tensor cores, summed in float32; the host side of conv_half.cu, before conv_halo.cu."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import conv_halo
from .arrays import is_aligned
from .conv_gather import ends_of
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

    def way(self, conv: Convolution, *, gradient: bool = False) -> str:
        """What computes the forward or the input gradient, for explain(), and why the other kernel does not."""
        why = self._not_halo(conv, gradient)
        return (
            conv_halo.way(conv, gradient) if why is None else f"{super().way(conv, gradient=gradient)}; no halos: {why}"
        )

    def _gather(
        self, conv: Convolution, out: Any, activation: str | None, *, gradient: bool, moments: Any = None, **arrays: Any
    ) -> None:
        if moments is not None or self._not_halo(conv, gradient) is not None:
            return super()._gather(conv, out, activation, gradient=gradient, moments=moments, **arrays)
        residual = arrays.get("residual")
        aligned = is_aligned(out, residual)
        plan, values = conv_halo.halo_plan(
            self.dtype, conv, activation, gradient=gradient, aligned=aligned, residual=residual is not None
        )
        pointers = {"out": out, "in": arrays["source"], "weight": arrays["weight"], **ends_of(arrays)}
        return launch(plan, plan.layout(**pointers, **values))

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
