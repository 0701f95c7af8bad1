"""max_pool after the convolutions of small and large networks."""

from __future__ import annotations

from typing import Any

from xpnn import ops

from ..case import Case, normal

SIZES = [((128, 32, 26, 26), 2, 2, 0), ((32, 64, 56, 56), 3, 2, 1)]


def case(shape: tuple[int, ...], kernel: int, stride: int, padding: int) -> Case:
    def theirs(x: Any) -> Any:
        import torch

        return torch.nn.functional.max_pool2d(x, kernel, stride, padding)

    return Case(
        name=f"max_pool {kernel}x{kernel} stride {stride} {shape}",
        make=lambda rng: (normal(rng, *shape),),
        run=lambda x: ops.max_pool2d(x, kernel, stride, padding),
        torch=theirs,
    )


CASES = [case(*size) for size in SIZES]
