"""What the cases of lstm, gru and rnn share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .case import Case, normal

__all__ = ["SIZES", "case"]

# steps, batch, inputs, hidden
SIZES = [(128, 1, 256, 256), (128, 32, 256, 256), (64, 64, 512, 512), (100, 16, 64, 128), (28, 128, 28, 128)]


def case(
    name: str, gates: int, states: int, run: Callable[..., Any], peer: str, size: tuple[int, ...], ragged: bool = False
) -> Case:
    """y of one layer in one direction; ragged: rows of random lengths, which torch gets as a packed sequence."""
    steps, batch, inputs, hidden = size
    scale = hidden**-0.5
    lengths = np.random.default_rng(0).integers(1, steps + 1, size=batch) if ragged else None

    def make(rng: np.random.Generator) -> Sequence[Any]:
        shapes = [(gates * hidden, inputs), (gates * hidden, hidden), (gates * hidden,), (gates * hidden,)]
        first = [normal(rng, batch, hidden, scale=scale) for _ in range(states)]
        return normal(rng, steps, batch, inputs), *first, *(normal(rng, *s, scale=scale) for s in shapes)

    def theirs(x: Any, *rest: Any) -> Any:
        import torch

        function = getattr(torch, peer)
        first = [h[None] for h in rest[:states]]
        state: Any = first if states > 1 else first[0]
        options = (list(rest[states:]), True, 1, 0.0, torch.is_grad_enabled(), False)
        if lengths is None:
            return function(x, state, *options, False)[0]
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
        order = packed.sorted_indices
        state = [h[:, order] for h in first] if states > 1 else first[0][:, order]
        y = function(packed.data, packed.batch_sizes, state, *options)[0]
        packed = torch.nn.utils.rnn.PackedSequence(y, packed.batch_sizes, order, packed.unsorted_indices)
        return torch.nn.utils.rnn.pad_packed_sequence(packed, total_length=steps)[0]

    total = steps * batch if lengths is None else int(lengths.sum())
    return Case(
        name=f"{name} T={steps} N={batch} {inputs}->{hidden}{' ragged' if ragged else ''}",
        make=make,
        run=lambda *arrays: run(*arrays, lengths)[0],
        torch=theirs,
        flops=2.0 * total * gates * hidden * (inputs + hidden),
    )
