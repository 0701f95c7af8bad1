"""What the host sides of the normalisations share, as norm.cuh has it."""

from __future__ import annotations

__all__ = ["KINDS", "LEAST_PACKS", "THREADS"]

THREADS = 256
# Rows that are no whole packs of 16 bytes move singly, side by side for a warp, if they are not longer than two packs a lane.
LEAST_PACKS = 64
# The activations that the kernels apply behind a normalisation, by their numbers.
KINDS: dict[str | None, int] = {None: 0, "relu": 1, "tanh": 2, "sigmoid": 3}
