"""conv_transpose: how U-Nets, image generators and vocoders make their arrays larger."""

from __future__ import annotations

from math import prod
from typing import Any

from xpnn import ops

from ..case import Case, normal

# name, batch, channels, sizes, filters, kernel, stride, padding
LAYERS: list[tuple[str, int, int, tuple[int, ...], int, tuple[int, ...], int, int]] = [
    ("2x2 stride 2 128->64 @32", 8, 128, (32, 32), 64, (2, 2), 2, 0),
    ("4x4 stride 2 256->128 @16", 16, 256, (16, 16), 128, (4, 4), 2, 1),
    ("16 stride 8 256->128 L=200", 4, 256, (200,), 128, (16,), 8, 4),
]


def case(
    name: str, n: int, c: int, sizes: tuple[int, ...], k: int, kernel: tuple[int, ...], stride: int, padding: int
) -> Case:
    function = f"conv_transpose{len(sizes)}d"

    def theirs(x: Any, weight: Any, bias: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, function)(x, weight, bias, stride, padding)

    return Case(
        name=f"conv_transpose {name} N={n}",
        make=lambda rng: (
            normal(rng, n, c, *sizes),
            normal(rng, c, k, *kernel, scale=(c * prod(kernel)) ** -0.5),
            normal(rng, k),
        ),
        run=lambda x, weight, bias: getattr(ops, function)(x, weight, bias, stride, padding),
        torch=theirs,
        flops=2.0 * n * k * c * prod(kernel) * prod(sizes),
    )


CASES = [case(*layer) for layer in LAYERS]
