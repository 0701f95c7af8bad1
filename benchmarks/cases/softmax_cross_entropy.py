"""softmax_cross_entropy over few classes and over a vocabulary."""

from __future__ import annotations

from typing import Any

from xpnn import ops

from ..case import Case, normal

SIZES = [(128, 10), (4096, 10), (512, 10000)]


def theirs(logits: Any, labels: Any) -> Any:
    import torch

    return torch.nn.functional.cross_entropy(logits, labels)


def case(n: int, c: int) -> Case:
    return Case(
        name=f"softmax_cross_entropy N={n} C={c}",
        make=lambda rng: (normal(rng, n, c), rng.integers(0, c, size=n)),
        run=ops.softmax_cross_entropy,
        torch=theirs,
    )


CASES = [case(*size) for size in SIZES]
