"""Images brought to twice the size."""

from __future__ import annotations

from typing import Any

from xpnn import ops

from ..case import Case, normal


def case(mode: str) -> Case:
    def theirs(x: Any) -> Any:
        import torch

        return torch.nn.functional.interpolate(x, scale_factor=2, mode=mode)

    return Case(
        name=f"interpolate {mode} (8, 32, 32, 32)",
        make=lambda rng: (normal(rng, 8, 32, 32, 32),),
        run=lambda x: ops.interpolate(x, scale_factor=2, mode=mode),
        torch=theirs,
    )


CASES = [case(mode) for mode in ("nearest", "bilinear")]
