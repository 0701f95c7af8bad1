"""Local response normalisation behind an early convolution."""

from __future__ import annotations

from typing import Any

from xpnn import ops

from ..case import Case, normal


def theirs(*arrays: Any) -> Any:
    import torch

    return torch.nn.functional.local_response_norm(*arrays, 5)


CASES = [
    Case(
        name="local_response_norm (8, 64, 28, 28)",
        make=lambda rng: (normal(rng, 8, 64, 28, 28),),
        run=lambda x: ops.local_response_norm(x, 5),
        torch=theirs,
    )
]
