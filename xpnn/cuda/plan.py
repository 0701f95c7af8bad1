"""A launch as a value: which kernel, in which instantiation, over which grid. Made by pure functions, tested without a GPU."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from math import prod

from .arguments import Layout
from .source import joined

__all__ = ["Dim", "Plan"]

Dim = tuple[int, int, int]

_MOST_THREADS = 1024
_LARGEST_GRID = (2**31 - 1, 65535, 65535)
_LARGEST_CLUSTER = 16
_MOST_SHARED = 227 * 1024  # bytes that a block of an sm_90 may ask for; the device's own limit is CUDA's to enforce


@dataclass(frozen=True)
class Plan:
    """One launch of one kernel.

    file: in kernels/. entry: the kernel with its template arguments, as C++ writes it. layout: the struct that it takes.
    cluster: blocks of a cluster, which must be the kernel's compile-time __cluster_dims__. shared: bytes of dynamic shared memory.
    cooperative: all blocks at once on the GPU, for barriers of the grid. specific: for GPUs of compute capability 9.0 only,
    compiled for sm_90a.
    bytes, flops: what the launch must move and compute, for comparison with what it takes.
    """

    file: str
    entry: str
    layout: Layout
    grid: Dim
    block: Dim
    cluster: Dim = (1, 1, 1)
    shared: int = 0
    cooperative: bool = False
    specific: bool = False
    bytes: int = 0
    flops: int = 0

    def __post_init__(self) -> None:
        if problem := self._problem():
            raise ValueError(f"{self.entry}: {problem}")

    def __str__(self) -> str:
        cluster = f" cluster {_dim(self.cluster)}" if self.cluster != (1, 1, 1) else ""
        flags = "".join(f" {name}" for name in ("cooperative", "specific") if getattr(self, name))
        return (
            f"{self.file} {self.entry} grid {_dim(self.grid)} block {_dim(self.block)}{cluster} "
            f"shared {self.shared} B{flags}, moves {self.bytes} B, {self.flops} flops"
        )

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return 0 in self.grid

    @functools.cached_property
    def key(self) -> tuple[str, str, int, Dim, bool, bool]:
        """What a compiled kernel depends on, the dynamic shared memory that it must be allowed included."""
        return (self.file, self.entry, self.shared, self.cluster, self.cooperative, self.specific)

    @property
    def source(self) -> str:
        """The joined text of the kernel file and the proof that the layout is right."""
        return f'{joined(self.file)}#line 1 "layout of {self.layout.struct}"\n{self.layout.assertions}'

    def _problem(self) -> str | None:
        """What no GPU could launch, in words."""
        threads = prod(self.block)
        if not 0 < threads <= _MOST_THREADS:
            return f"expected a block of 1 to {_MOST_THREADS} threads, got {_dim(self.block)}"
        if any(n < 0 or n > most for n, most in zip(self.grid, _LARGEST_GRID, strict=True)):
            return f"expected a grid of at most {_dim(_LARGEST_GRID)} blocks, got {_dim(self.grid)}"
        if not 0 < prod(self.cluster) <= _LARGEST_CLUSTER:
            return f"expected a cluster of 1 to {_LARGEST_CLUSTER} blocks, got {_dim(self.cluster)}"
        if any(n % c for n, c in zip(self.grid, self.cluster, strict=True)):
            return f"expected a grid that is a multiple of the cluster {_dim(self.cluster)}, got {_dim(self.grid)}"
        if self.cooperative and self.cluster != (1, 1, 1):
            return f"expected no cluster in a cooperative launch, got {_dim(self.cluster)}"
        if not 0 <= self.shared <= _MOST_SHARED:
            return f"expected 0 to {_MOST_SHARED} bytes of shared memory, got {self.shared}"
        return None


def _dim(d: Dim) -> str:
    return "x".join(map(str, d))
