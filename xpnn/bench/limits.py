"""What the machine can do at most, measured in the run: bytes a second of a copy, operations a second of a product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..namespace.libraries import raw_namespace
from .devices import Device

__all__ = ["Limits", "limits"]


@dataclass(frozen=True)
class Limits:
    """Bytes a second that a copy reads and writes, and float32 operations a second of a matrix product."""

    copy: float
    gemm: float

    def seconds(self, flops: float, moved: float) -> float:
        """The least time of a piece of work: a roofline."""
        return max(flops / self.gemm, moved / self.copy)


def limits(device: Device, quick: bool = False) -> Limits:
    """The best of several copies beyond the caches, and of several products of square matrices in float32."""
    megabytes, n = (
        (8, 256) if quick else (256 if device.name == "cpu" else 1024, 2048 if device.name == "cpu" else 8192)
    )
    a, b = (device.asarray(np.zeros(megabytes * 2**20, np.uint8)) for _ in range(2))
    x, y, z = (device.asarray(np.ones((n, n), np.float32)) for _ in range(3))
    xp = raw_namespace(x)

    def copied() -> None:
        b[...] = a

    turns = device.interleaved([copied, lambda: xp.matmul(x, y, out=z)], 0.0 if quick else 1.0, 3 if quick else 9)
    copy, gemm = (min(times.device) for times in turns)
    return Limits(2 * a.nbytes / copy, 2 * n**3 / gemm)
