"""adaptive_max_pool in front of a classifier: to a grid that the input is no multiple of, and to one that it is."""

from __future__ import annotations

from typing import Any

from xpnn import ops

from ..case import Case, normal

SIZES = [((32, 256, 13, 13), 6), ((16, 64, 56, 56), 7), ((64, 512, 7, 7), 1)]


def case(shape: tuple[int, ...], output: int) -> Case:
    def theirs(x: Any) -> Any:
        import torch

        return torch.nn.functional.adaptive_max_pool2d(x, output)

    return Case(
        name=f"adaptive_max_pool to {output}x{output} {shape}",
        make=lambda rng: (normal(rng, *shape),),
        run=lambda x: ops.adaptive_max_pool2d(x, output),
        torch=theirs,
    )


CASES = [case(*size) for size in SIZES]
