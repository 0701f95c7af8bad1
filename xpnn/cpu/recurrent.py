"""What the recurrent implementations for NumPy share: their conditions, buffers of states, and gradients of weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .dtypes import refuse_dtypes
from .packing import Packing

__all__ = [
    "add_biases",
    "chunks",
    "cleared",
    "fresh_rows",
    "gradients",
    "initial",
    "refuse_recurrent",
    "sorted_or_zeros",
]

# NOTE: what backward prepares for several steps at once stays in the second-level cache.
_CHUNK_BYTES = 1 << 19


def refuse_recurrent(
    gates: int, x: Any, states: Sequence[Any], weights: Sequence[Any], lengths: Any, reset: Any, w_hr: Any = None
) -> str | None:
    """Why the arrays of a recurrent layer are not for these implementations, or None."""
    w_ih, w_hh, b_ih, b_hh = weights
    if x.ndim != 3 or w_hh.ndim != 2:
        return "shapes"
    batch, hidden, width = x.shape[1], w_hh.shape[0] // gates, w_hh.shape[1]
    wanted: list[tuple[Any, tuple[int, ...]]] = [(w_ih, (gates * hidden, x.shape[2])), (w_hh, (gates * hidden, width))]
    wanted += [(b, (gates * hidden,)) for b in (b_ih, b_hh)]
    wanted += [(h, (batch, size)) for h, size in zip(states, (width, hidden), strict=False)]
    wanted += [(w_hr, (width, hidden))]
    if (w_hr is None and width != hidden) or any(a is not None and a.shape != shape for a, shape in wanted):
        return "shapes"
    if lengths is not None:
        lengths = np.asarray(lengths)
        if lengths.shape != x.shape[1:2] or lengths.dtype.kind not in "iu":
            return "lengths"
    if reset is not None and (reset.shape != x.shape[:2] or reset.dtype != bool):
        return "reset"
    return refuse_dtypes(x, *states, *weights, w_hr)


def add_biases(gates: Any, *biases: Any) -> None:
    """Adds biases (G,), where they are not None, to gates (M, G)."""
    given = [b for b in biases if b is not None]
    if given:
        gates += sum(given[1:], given[0])


def initial(packing: Packing, h0: Any, hidden: int, dtype: Any) -> Any:
    """An array (N + M, H) for all states, that of step 0 filled in."""
    states = np.empty((packing.batch + packing.rows, hidden), dtype)
    states[: packing.batch] = 0 if h0 is None else packing.sort(h0)
    return states


def fresh_rows(packing: Packing, reset: Any) -> Any:
    """reset (T, N) by rows of the packing (M, 1); None if no state is ever reset."""
    return None if reset is None or not reset.any() else packing.pack(reset[:, :, None])


def cleared(states: Any, fresh: Any, at: int) -> Any:
    """The states (n, H) before the n steps whose rows begin at ``at``: 0 where a row begins anew."""
    return states if fresh is None else np.where(fresh[at : at + len(states)], states.dtype.type(0), states)


def sorted_or_zeros(packing: Packing, h: Any, hidden: int, dtype: Any) -> Any:
    """A state (N, H) or its gradient, or zeros, in the order of the packing, as an array to write into."""
    return np.zeros((packing.batch, hidden), dtype) if h is None else np.array(packing.sort(h), dtype)


def chunks(steps: list[tuple[int, int, int]], row_bytes: int) -> list[list[tuple[int, int, int]]]:
    """The steps, last first, in groups whose rows fit into the cache together."""
    groups: list[list[tuple[int, int, int]]] = []
    size = 0
    for step in reversed(steps):
        size += step[2] * row_bytes
        if not groups or size > _CHUNK_BYTES:
            groups.append([])
            size = step[2] * row_bytes
        groups[-1].append(step)
    return groups


def gradients(
    packing: Packing, dz: Any, dz_hidden: Any, rows: Any, before: Any, w_ih: Any, need: Sequence[bool]
) -> tuple[Any, ...]:
    """dx, dw_ih, dw_hh, db_ih, db_hh from the gradients of the gates' inputs, all steps at once.

    dz (M, G): of what comes from x; dz_hidden (M, G): of what comes from the state before; need: for these five.
    """
    dx = packing.unpack(np.matmul(dz, w_ih)) if need[0] else None
    dw_ih = np.matmul(dz.T, rows) if need[1] else None
    dw_hh = np.matmul(dz_hidden.T, before) if need[2] else None
    db_ih = np.add.reduce(dz, axis=0) if need[3] else None
    db_hh = np.add.reduce(dz_hidden, axis=0) if need[4] else None
    return dx, dw_ih, dw_hh, db_ih, db_hh
