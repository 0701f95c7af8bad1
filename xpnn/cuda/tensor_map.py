"""Tensor maps: what TMA is told of an array whose boxes it fetches. The driver encodes them, by way of cuda-bindings."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from .arguments import address
from .dtypes import ITEM_SIZE

__all__ = ["MapError", "MapShape", "TensorMap", "missing_driver"]

_WORDS = 16
_SWIZZLE = 128  # bytes of the rows whose chunks change places


class MapError(RuntimeError):
    """The driver refused a tensor map; the message names the map and the driver's reason."""


class MapShape(NamedTuple):
    """All of a map but the address. Axes from the innermost to the outermost; strides in bytes, of all axes but the innermost.

    With corners it is a map of pixels: the axes are channels, those of the image, images; the box is (channels, pixels), and a
    load walks over the places lower, lower + step, ... below size + upper of each axis of the image. Else the box has all axes.
    """

    dtype: str
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    box: tuple[int, ...]
    steps: tuple[int, ...] = ()
    lower: tuple[int, ...] = ()
    upper: tuple[int, ...] = ()

    @property
    def item(self) -> int:
        return ITEM_SIZE[self.dtype]


class TensorMap(NamedTuple):
    """A field `ptx::TensorMap` of a kernel's struct."""

    array: Any
    shape: MapShape

    def words(self) -> np.ndarray[Any, Any]:
        """The driver's map (16,); of a NumPy array nothing, for whoever runs the launch to fill in."""
        if isinstance(self.array, np.ndarray):
            return np.zeros(_WORDS, np.uint64)
        return _encoded(address(self.array), self.shape)


def missing_driver() -> str | None:
    """Why no map can be encoded, or None. It is asked anew each time: who reads it may install the package and go on."""
    try:
        from cuda.bindings import driver  # noqa: F401
    except ImportError:
        return "cuda-bindings is missing: pip install cuda-bindings"
    return None


@functools.lru_cache(4096)
def _encoded(place: int, shape: MapShape) -> np.ndarray[Any, Any]:
    """Kept, because memory pools give the same places again."""
    from cuda.bindings import driver

    kind = {"float16": "FLOAT16", "bfloat16": "BFLOAT16"}[shape.dtype]
    head = (getattr(driver.CUtensorMapDataType, f"CU_TENSOR_MAP_DATA_TYPE_{kind}"), len(shape.sizes), place)
    sizes = [driver.cuuint64_t(n) for n in shape.sizes]
    strides = [driver.cuuint64_t(n) for n in shape.strides]
    steps = [driver.cuuint32_t(n) for n in shape.steps or (1,) * len(shape.sizes)]
    tail = (
        driver.CUtensorMapInterleave.CU_TENSOR_MAP_INTERLEAVE_NONE,
        getattr(driver.CUtensorMapSwizzle, f"CU_TENSOR_MAP_SWIZZLE_{_SWIZZLE}B"),
        driver.CUtensorMapL2promotion.CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
        driver.CUtensorMapFloatOOBfill.CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
    )
    if shape.lower:
        # The corners in the order of the axes, W first, as CUTLASS gives them; the manual's text calls them {D, H, W}.
        corners = list(shape.lower), list(shape.upper)
        status, made = driver.cuTensorMapEncodeIm2col(*head, sizes, strides, *corners, *shape.box, steps, *tail)
    else:
        box = [driver.cuuint32_t(n) for n in shape.box]
        status, made = driver.cuTensorMapEncodeTiled(*head, sizes, strides, box, steps, *tail)
    if int(status):
        raise MapError(f"the driver makes no tensor map of {shape}: {status}")
    return np.array([int(word) for word in made.opaque], np.uint64)
