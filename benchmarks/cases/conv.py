"""conv: the layers of small and large networks for images, and one for sound and one for volumes."""

from __future__ import annotations

from math import prod
from typing import Any

from xpnn import ops

from ..case import Case, normal

# name, batch, channels, sizes, filters, kernel, stride, padding, groups
LAYERS: list[tuple[str, int, int, tuple[int, ...], int, tuple[int, ...], int, int, int]] = [
    ("3x3 64->64 @56", 8, 64, (56, 56), 64, (3, 3), 1, 1, 1),
    ("3x3 128->128 @28", 16, 128, (28, 28), 128, (3, 3), 1, 1, 1),
    ("3x3 256->256 @14", 16, 256, (14, 14), 256, (3, 3), 1, 1, 1),
    ("1x1 1024->256 @14", 16, 1024, (14, 14), 256, (1, 1), 1, 0, 1),
    ("7x7 stride 2 3->64 @224", 4, 3, (224, 224), 64, (7, 7), 2, 3, 1),
    ("3x3 64->64 @32", 32, 64, (32, 32), 64, (3, 3), 1, 1, 1),
    ("3x3 1->32 @28", 128, 1, (28, 28), 32, (3, 3), 1, 0, 1),
    ("3x3 32->64 @26", 128, 32, (26, 26), 64, (3, 3), 1, 0, 1),
    ("3x3 depthwise 144 @56", 8, 144, (56, 56), 144, (3, 3), 1, 1, 144),
    ("3x3 128->128 in 32 groups @28", 8, 128, (28, 28), 128, (3, 3), 1, 1, 32),
    ("3 80->384 L=3000", 1, 80, (3000,), 384, (3,), 1, 1, 1),
    ("3x3x3 32->32 @32", 1, 32, (32, 32, 32), 32, (3, 3, 3), 1, 1, 1),
]
# Depthwise, with the channels last: of MobileNet, ConvNeXt, and for volumes.
LAST: list[tuple[str, int, int, tuple[int, ...], int, tuple[int, ...], int, int, int]] = [
    ("3x3 depthwise 144 @56", 8, 144, (56, 56), 144, (3, 3), 1, 1, 144),
    ("3x3 stride 2 depthwise 144 @56", 8, 144, (56, 56), 144, (3, 3), 2, 1, 144),
    ("7x7 depthwise 192 @28", 8, 192, (28, 28), 192, (7, 7), 1, 3, 192),
    ("3x3x3 depthwise 32 @32", 1, 32, (32, 32, 32), 32, (3, 3, 3), 1, 1, 32),
]


def case(
    name: str,
    n: int,
    c: int,
    sizes: tuple[int, ...],
    k: int,
    kernel: tuple[int, ...],
    stride: int,
    padding: int,
    groups: int,
    last: bool = False,
) -> Case:
    depth = c // groups * prod(kernel)
    positions = prod((s + 2 * padding - w) // stride + 1 for s, w in zip(sizes, kernel, strict=True))
    function = f"conv{len(sizes)}d"

    def theirs(x: Any, weight: Any, bias: Any) -> Any:
        import torch

        x = x.movedim(-1, 1) if last else x
        y = getattr(torch.nn.functional, function)(x, weight, bias, stride, padding, 1, groups)
        return y.movedim(1, -1) if last else y

    def with_jax(x: Any, weight: Any, bias: Any) -> Any:
        import jax

        steps, edges = (stride,) * len(sizes), ((padding, padding),) * len(sizes)
        y = jax.lax.conv_general_dilated(x, weight, steps, edges, feature_group_count=groups)
        return y + bias.reshape(-1, *(1 for _ in sizes))

    options = {"data_format": "channels_last" if last else "channels_first"}
    return Case(
        name=f"conv {name} N={n}" + (" channels last" if last else ""),
        make=lambda rng: (
            normal(rng, n, *((*sizes, c) if last else (c, *sizes))),
            normal(rng, k, c // groups, *kernel, scale=depth**-0.5),
            normal(rng, k),
        ),
        run=lambda x, weight, bias: getattr(ops, function)(x, weight, bias, stride, padding, 1, groups, **options),
        torch=theirs,
        peers={} if last else {"jax": with_jax},
        flops=2.0 * n * k * depth * positions,
    )


CASES = [*(case(*layer) for layer in LAYERS), *(case(*layer, last=True) for layer in LAST)]
