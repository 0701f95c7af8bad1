"""Images mirrored at their edges."""

from __future__ import annotations

from typing import Any

from xpnn import ops

from ..case import Case, normal


def theirs(x: Any) -> Any:
    import torch

    return torch.nn.functional.pad(x, (1, 1, 1, 1), mode="reflect")


CASES = [
    Case(
        name="pad (8, 16, 32, 32) reflect",
        make=lambda rng: (normal(rng, 8, 16, 32, 32),),
        run=lambda x: ops.pad(x, (1, 1, 1, 1), "reflect"),
        torch=theirs,
    )
]
