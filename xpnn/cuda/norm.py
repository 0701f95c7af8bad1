"""What the host sides of the normalisations share, as norm.cuh has it."""

from __future__ import annotations

__all__ = ["KINDS", "THREADS"]

THREADS = 256
# The activations that the kernels apply behind a normalisation, by their numbers.
KINDS: dict[str | None, int] = {None: 0, "relu": 1, "tanh": 2, "sigmoid": 3}
