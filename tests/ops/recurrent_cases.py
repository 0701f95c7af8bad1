"""Arrays for the tests of lstm, gru and rnn, and how torch runs rows of different lengths."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["LENGTHS", "SHAPES", "arrays", "fused_cases", "row_by_row"]

# T, N, I, H
SHAPES = [
    (1, 1, 1, 1),
    (5, 3, 2, 4),
    (7, 1, 3, 5),
    (2, 5, 4, 1),
    (3, 0, 2, 2),
    (0, 2, 3, 2),
    (4, 2, 0, 3),
    (40, 6, 5, 8),
]
# for the shape (5, 3, 2, 4)
LENGTHS = [None, (5, 5, 5), (2, 5, 3), (0, 1, 5), (0, 0, 0), (4, 0, 2)]


def arrays(
    gates: int, states: int, shape: Sequence[int], dtype: Any = np.float64, missing: str = ""
) -> tuple[Any, ...]:
    """x, the states, w_ih, w_hh, b_ih, b_hh; those named in ``missing`` ("states", "b_ih", "b_hh") are None."""
    steps, batch, inputs, hidden = shape
    rng = np.random.default_rng(sum(shape))
    shapes = [(steps, batch, inputs)] + [(batch, hidden)] * states
    shapes += [(gates * hidden, inputs), (gates * hidden, hidden), (gates * hidden,), (gates * hidden,)]
    own = [(rng.normal(size=s) * 0.7).astype(dtype) for s in shapes]
    if "states" in missing:
        own[1 : 1 + states] = [None] * states
    if "b_ih" in missing:
        own[-2] = None
    if "b_hh" in missing:
        own[-1] = None
    return tuple(own)


def fused_cases(gates: int, states: int, dtype: Any, **options: Any) -> Iterator[tuple[Any, Any]]:
    """Cases for check_primitive: shapes, lengths, directions, absent arrays, strided ones."""
    for shape in SHAPES:
        yield (*arrays(gates, states, shape, dtype), None), {**options, "reverse": shape[0] % 2 == 0}
    for lengths in LENGTHS:
        for reverse in (False, True):
            given = None if lengths is None else np.array(lengths)
            yield (*arrays(gates, states, (5, 3, 2, 4), dtype), given), {**options, "reverse": reverse}
    rng = np.random.default_rng(0)
    yield (*arrays(gates, states, (31, 17, 3, 6), dtype), rng.integers(0, 32, size=17)), options
    for missing in ("states", "b_ih", "b_hh", "states b_ih b_hh"):
        yield (*arrays(gates, states, (5, 3, 2, 4), dtype, missing), np.array([3, 5, 1], np.uint8)), options
    x, *rest = arrays(gates, states, (3, 5, 2, 4), dtype)
    yield (x.swapaxes(0, 1), *(h[:3] for h in rest[:states]), *(w[::-1] for w in rest[states:]), None), options


def row_by_row(
    run: Callable[..., tuple[Any, ...]], lengths: Sequence[int] | None, reverse: bool, states: int
) -> Callable[..., Any]:
    """A function of all arrays that runs each row alone over its own elements, as torch would, and pads the result.

    run(x (T, 1, I), states (1, H), weights) -> y (T, 1, H), last states (1, H).
    """

    def theirs(x: Any, *rest: Any) -> tuple[Any, ...]:
        import torch

        outputs = []
        for n, length in enumerate(lengths or [x.shape[0]] * x.shape[1]):
            first = [h[n : n + 1] for h in rest[:states]]
            y, last = x.new_zeros(0, 1, first[0].shape[1]), first
            if length:
                own = x[:length, n : n + 1]
                y, *last = run(own.flip(0) if reverse else own, first, rest[states:])
                y = y.flip(0) if reverse else y
            outputs.append((torch.cat([y, y.new_zeros(x.shape[0] - length, *y.shape[1:])]), *last))
        y, *last = zip(*outputs, strict=True)
        return (torch.cat(y, 1), *(torch.cat(h) for h in last))

    return theirs
