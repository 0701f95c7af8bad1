"""attention: a small batch of short sequences, a sentence, and a long causal context."""

from __future__ import annotations

from typing import Any

from xpnn import ops

from ..case import Case, normal

SIZES = [(32, 4, 16, 16, False), (8, 8, 128, 64, False), (1, 8, 2048, 64, True)]


def case(n: int, heads: int, length: int, width: int, causal: bool) -> Case:
    def theirs(q: Any, k: Any, v: Any) -> Any:
        import torch

        return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)

    return Case(
        name=f"attention N={n} heads={heads} T={length} E={width}{' causal' if causal else ''}",
        make=lambda rng: tuple(normal(rng, n, heads, length, width) for _ in range(3)),
        run=lambda q, k, v: ops.attention(q, k, v, is_causal=causal),
        torch=theirs,
        flops=4.0 * n * heads * length * length * width / (2 if causal else 1),
    )


CASES = [case(*size) for size in SIZES]
