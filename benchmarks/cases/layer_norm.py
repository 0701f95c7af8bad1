"""layer_norm over a small batch, the tokens of a transformer, and long rows."""

from __future__ import annotations

from typing import Any

from xpnn import ops

from ..case import Case, normal

SIZES = [(32, 128), (4096, 512), (2048, 4096)]


def case(n: int, size: int) -> Case:
    def theirs(x: Any, weight: Any, bias: Any) -> Any:
        import torch

        return torch.nn.functional.layer_norm(x, (size,), weight, bias)

    return Case(
        name=f"layer_norm N={n} {size}",
        make=lambda rng: (normal(rng, n, size), normal(rng, size), normal(rng, size)),
        run=lambda x, weight, bias: ops.layer_norm(x, weight, bias, normalized_shape=(size,)),
        torch=theirs,
    )


CASES = [case(*size) for size in SIZES]
