"""Bags of words."""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnn import ops

from ..case import Case, normal

# bags, words in each, rows of the table, width
SIZES = [(256, 16, 1000, 64)]


def theirs(indices: Any, weight: Any, offsets: Any) -> Any:
    import torch

    return torch.nn.functional.embedding_bag(indices, weight, offsets, mode="sum")


def case(bags: int, words: int, rows: int, width: int) -> Case:
    return Case(
        name=f"embedding_bag {bags}x{words} of {rows}x{width}",
        make=lambda rng: (
            rng.integers(0, rows, size=bags * words), normal(rng, rows, width), np.arange(bags) * words
        ),
        run=lambda indices, weight, offsets: ops.embedding_bag(indices, weight, offsets, mode="sum"),
        torch=theirs,
    )  # fmt: skip


CASES = [case(*size) for size in SIZES]
