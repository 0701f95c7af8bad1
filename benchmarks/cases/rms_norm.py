"""rms_norm over a small batch, the tokens of a transformer, and long rows."""

from __future__ import annotations

from typing import Any

from xpnn import ops

from ..case import Case, normal

SIZES = [(32, 128), (4096, 512), (2048, 4096)]


def case(n: int, size: int) -> Case:
    def theirs(x: Any, weight: Any) -> Any:
        import torch

        return torch.nn.functional.rms_norm(x, (size,), weight)

    return Case(
        name=f"rms_norm N={n} {size}",
        make=lambda rng: (normal(rng, n, size), normal(rng, size)),
        run=lambda x, weight: ops.rms_norm(x, weight, normalized_shape=(size,)),
        torch=theirs,
    )


CASES = [case(*size) for size in SIZES]
