"""linear_scan: batches of short sequences, and few long ones. The peer is torch's loop over time; torch has no scan."""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnn import ops

from ..case import Case, normal

# steps, batch, hidden
SIZES = [(128, 32, 256), (512, 64, 512), (4096, 1, 256)]


def theirs(a: Any, b: Any, h: Any) -> Any:
    import torch

    states = []
    for factor, value in zip(a.unbind(), b.unbind(), strict=True):
        h = torch.addcmul(value, factor, h)
        states.append(h)
    return torch.stack(states)


def case(steps: int, batch: int, hidden: int) -> Case:
    def make(rng: np.random.Generator) -> Any:
        shape = (steps, batch, hidden)
        return rng.random(shape, np.float32), normal(rng, *shape), normal(rng, batch, hidden)

    return Case(
        name=f"linear_scan T={steps} N={batch} H={hidden}",
        make=make,
        run=ops.linear_scan,
        torch=theirs,
        flops=2.0 * steps * batch * hidden,
    )


CASES = [case(*size) for size in SIZES]
