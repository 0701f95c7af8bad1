"""group_norm over feature maps with few and with many elements in a channel."""

from __future__ import annotations

from typing import Any

from xpnn import ops

from ..case import Case, normal

SIZES = [(8, 32, 8), (32, 64, 28), (8, 64, 112)]


def case(n: int, c: int, h: int, groups: int = 8) -> Case:
    def theirs(x: Any, weight: Any, bias: Any) -> Any:
        import torch

        return torch.nn.functional.group_norm(x, groups, weight, bias)

    return Case(
        name=f"group_norm N={n} C={c} {h}x{h} G={groups}",
        make=lambda rng: (normal(rng, n, c, h, h), normal(rng, c), normal(rng, c)),
        run=lambda x, weight, bias: ops.group_norm(x, weight, bias, num_groups=groups),
        torch=theirs,
    )


CASES = [case(*size) for size in SIZES]
