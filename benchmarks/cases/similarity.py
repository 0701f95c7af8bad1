"""The cosine of many pairs of vectors."""

from __future__ import annotations

from typing import Any

from xpnn import ops

from ..case import Case, normal


def theirs(*arrays: Any) -> Any:
    import torch

    return torch.nn.functional.cosine_similarity(*arrays)


CASES = [
    Case(
        name="cosine_similarity (4096, 256)",
        make=lambda rng: (
            normal(rng, 4096, 256),
            normal(rng, 4096, 256),
        ),
        run=lambda x, y: ops.cosine_similarity(x, y),
        torch=theirs,
    )
]
