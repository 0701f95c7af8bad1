"""embedding from a small and from a large table."""

from __future__ import annotations

from typing import Any

from xpnn import ops

from ..case import Case, normal

# tokens, rows of the table, width
SIZES = [(2048, 100, 64), (4096, 10000, 128)]


def theirs(indices: Any, weight: Any) -> Any:
    import torch

    return torch.nn.functional.embedding(indices, weight)


def case(tokens: int, rows: int, width: int) -> Case:
    return Case(
        name=f"embedding {tokens} of {rows}x{width}",
        make=lambda rng: (rng.integers(0, rows, size=tokens), normal(rng, rows, width)),
        run=ops.embedding,
        torch=theirs,
    )


CASES = [case(*size) for size in SIZES]
