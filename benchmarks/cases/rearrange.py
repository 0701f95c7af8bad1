"""Windows of an image as columns."""

from __future__ import annotations

from typing import Any

from xpnn import ops

from ..case import Case, normal


def theirs(*arrays: Any) -> Any:
    import torch

    return torch.nn.functional.unfold(*arrays, 3, padding=1)


CASES = [
    Case(
        name="unfold (8, 16, 32, 32)",
        make=lambda rng: (normal(rng, 8, 16, 32, 32),),
        run=lambda x: ops.unfold(x, 3, padding=1),
        torch=theirs,
    )
]
