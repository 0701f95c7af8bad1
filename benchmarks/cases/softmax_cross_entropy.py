"""softmax_cross_entropy over few classes, over a vocabulary, over many more, and for each pixel of a map."""

from __future__ import annotations

from typing import Any

from xpnn import ops

from ..case import Case, normal

SIZES = [(128, 10), (4096, 10), (512, 10000), (8, 250000), (4, 21, 64, 64)]


def theirs(logits: Any, labels: Any) -> Any:
    import torch

    return torch.nn.functional.cross_entropy(logits, labels)


def with_jax(logits: Any, labels: Any) -> Any:
    import jax

    logs = jax.nn.log_softmax(logits, axis=1)
    return -jax.numpy.take_along_axis(logs, labels[:, None], axis=1).mean()


def case(n: int, c: int, *rest: int) -> Case:
    return Case(
        name=f"softmax_cross_entropy N={n} C={c}" + "".join(f" x {d}" for d in rest),
        make=lambda rng: (normal(rng, n, c, *rest), rng.integers(0, c, size=(n, *rest))),
        run=ops.softmax_cross_entropy,
        torch=theirs,
        peers={"jax": with_jax},
    )


CASES = [case(*size) for size in SIZES]
