"""The plain description that the emulator finds where a GPU finds the driver's tensor map: runtime/tma.hpp reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["plain"]

_MAP = np.dtype(
    [
        ("address", "u8"), ("stride", "u8", 4), ("size", "u4", 5), ("box", "u2", 5), ("lower", "i2", 3), ("upper", "i2", 3),
        ("step", "u1", 5), ("pixels", "u1"), ("rank", "u1"), ("item", "u1"), ("swizzle", "u1"), ("unused", "V37"),
    ]
)  # fmt: skip


def plain(
    address: int,
    item: int,
    sizes: Sequence[int],
    strides: Sequence[int],
    box: Sequence[int],
    *,
    steps: Sequence[int] = (),
    lower: Sequence[int] = (),
    upper: Sequence[int] = (),
    swizzle: int = 128,
) -> Any:
    """128 bytes as sixteen words (16,). The innermost axis comes first; strides in bytes, of all axes but that one.

    With corners (lower, upper, in the order of the axes between channels and images) a map of pixels, whose box is
    (channels, pixels); else one of tiles.
    """
    record = np.zeros((), _MAP)
    record["address"], record["item"], record["rank"], record["swizzle"] = address, item, len(sizes), swizzle
    record["pixels"] = bool(lower)
    for name, values in {
        "size": sizes,
        "stride": strides,
        "box": box,
        "step": steps,
        "lower": lower,
        "upper": upper,
    }.items():
        record[name][: len(values)] = values
    return np.frombuffer(record.tobytes(), np.uint64)
