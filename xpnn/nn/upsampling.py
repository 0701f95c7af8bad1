"""Layers that bring images to another size; as a function, with the modes explained, it is xpnn.ops.interpolate."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..ops.interpolate import check_grid
from .options import Function, options

__all__ = ["Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"]


class _Grid(Function):
    """With the options of a grid, which are checked when the layer is made."""

    def __post_init__(self) -> None:
        super().__post_init__()
        names = ("size", "scale_factor", "mode", "align_corners")
        check_grid(**{name: value for name, value in self._options().items() if name in names})


@options
class Upsample(_Grid):
    """x at the places of a grid of ``size``, or finer by ``scale_factor``: x (N, C, *S) -> y (N, C, *S')."""

    function = staticmethod(ops.interpolate)
    size: Any = None
    scale_factor: Any = None
    mode: str = "nearest"
    align_corners: bool | None = None
    recompute_scale_factor: bool | None = None


@options
class UpsamplingNearest2d(_Grid):
    """The nearest element at each place of another grid: x (N, C, H, W) -> y (N, C, H', W')."""

    function = staticmethod(ops.interpolate)
    size: Any = None
    scale_factor: Any = None


@options
class UpsamplingBilinear2d(_Grid):
    """Bilinear between the elements, the corners in their places: x (N, C, H, W) -> y (N, C, H', W')."""

    size: Any = None
    scale_factor: Any = None

    def forward(self, x: Any) -> Any:
        return ops.interpolate(x, self.size, self.scale_factor, "bilinear", align_corners=True)
