"""Activations on a batch of hidden vectors."""

from __future__ import annotations

from typing import Any

from xpnn import ops

from ..case import Case, normal

NAMES = ["tanh", "silu", "gelu", "softplus", "elu", "leaky_relu", "mish", "hardswish", "logsigmoid"]
SHAPE = (256, 512)


def case(name: str) -> Case:
    def theirs(x: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(x)

    return Case(name=f"{name} {SHAPE}", make=lambda rng: (normal(rng, *SHAPE),), run=getattr(ops, name), torch=theirs)


CASES = [case(name) for name in NAMES]
