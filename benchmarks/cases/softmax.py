"""softmax and log_softmax: attention scores, classes, a vocabulary, the channels of a map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xpnn import ops

from ..case import Case, normal

SIZES = [((256, 512), -1), ((4096, 10), -1), ((64, 50257), -1), ((8, 21, 64, 64), 1)]


def case(name: str, shape: tuple[int, ...], axis: int) -> Case:
    function: Callable[..., Any] = getattr(ops, name)

    def theirs(x: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(x, axis)

    return Case(
        name=f"{name} {shape} axis {axis}",
        make=lambda rng: (normal(rng, *shape),),
        run=lambda x: function(x, axis=axis),
        torch=theirs,
    )


CASES = [case(name, *size) for name in ("softmax", "log_softmax") for size in SIZES]
