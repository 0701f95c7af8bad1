"""sigmoid on the activations of a dense and of a convolutional layer."""

from __future__ import annotations

from typing import Any

from xpnn import ops

from ..case import Case, normal

SIZES = [(128, 512), (128, 32, 26, 26)]


def theirs(x: Any) -> Any:
    import torch

    return torch.sigmoid(x)


def case(*shape: int) -> Case:
    return Case(name=f"sigmoid {shape}", make=lambda rng: (normal(rng, *shape),), run=ops.sigmoid, torch=theirs)


CASES = [case(*size) for size in SIZES]
