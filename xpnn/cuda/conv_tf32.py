"""Convolution of float32 on tensor cores that multiply tf32, for the precisions below "highest"; the host side of conv_tf32.cu."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .conv_tensor import Kind
from .plan import Plan

__all__ = ["KINDS", "fits", "instantiations"]

_CAPABILITY = 80
# By precision: three products, or one.
KINDS = {name: Kind("conv_tf32.cu", "float32", f"Tf32<{n}>") for name, n in {"high": 3, "medium": 1}.items()}


def fits(x: Any) -> bool:
    """Whether x lives where there are such tensor cores."""
    return isinstance(x, np.ndarray) or int(x.device.compute_capability) >= _CAPABILITY


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans can ask for."""
    for kind in KINDS.values():
        yield from kind.instantiations()
