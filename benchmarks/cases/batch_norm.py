"""batch_norm over dense features and over feature maps, in training and with given statistics."""

from __future__ import annotations

from typing import Any

from xpnn import ops

from ..case import Case, normal

SHAPES = [(128, 256), (8192, 512), (32, 64, 28, 28), (8, 64, 112, 112)]


def training(shape: tuple[int, ...]) -> Case:
    def theirs(x: Any, weight: Any, bias: Any) -> Any:
        import torch

        return torch.nn.functional.batch_norm(x, None, None, weight, bias, training=True)

    return Case(
        name=f"batch_norm {'x'.join(map(str, shape))}",
        make=lambda rng: (normal(rng, *shape), normal(rng, shape[1]), normal(rng, shape[1])),
        run=lambda x, weight, bias: ops.batch_norm(x, weight, bias)[0],
        torch=theirs,
    )


def evaluation(shape: tuple[int, ...]) -> Case:
    def ours(x: Any, weight: Any, bias: Any) -> Any:
        xp = x.__array_namespace__()
        zero = xp.zeros(shape[1], dtype=x.dtype)
        return ops.batch_norm_eval(x, zero, zero + 1, weight, bias)

    def theirs(x: Any, weight: Any, bias: Any) -> Any:
        import torch

        zero = torch.zeros(shape[1])
        return torch.nn.functional.batch_norm(x, zero, zero + 1, weight, bias)

    return Case(
        name=f"batch_norm_eval {'x'.join(map(str, shape))}",
        make=lambda rng: (normal(rng, *shape), normal(rng, shape[1]), normal(rng, shape[1])),
        run=ours,
        torch=theirs,
    )


CASES = [make(shape) for make in (training, evaluation) for shape in SHAPES]
