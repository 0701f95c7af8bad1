"""Sequences of different lengths without their padding: what the recurrent implementations run over.

Step s of a packed batch holds element s of every sequence that has one, longest sequence first, so that the rows of a
step follow from the first rows of the step before. Where sequences are read from their ends, element s is the s-th from
the end: the recurrence itself knows nothing of direction. M is the number of elements of all sequences together.

States are kept in one array (N + M, H), the initial states in front: ``steps`` and the methods say where.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Packing", "pack"]


class Full:
    """The packing of N sequences that all have T elements: M = T * N, nothing is sorted or copied."""

    def __init__(self, steps: int, batch: int, reverse: bool) -> None:
        self.batch = batch
        self.rows = steps * batch
        self._steps = steps
        self._reverse = reverse

    def steps(self) -> list[tuple[int, int, int]]:
        """For each step, where in the array of states its own rows begin and those of the step before, and how many."""
        n = self.batch
        return [(n + s * n, s * n, n) for s in range(self._steps)]

    def pack(self, x: Any) -> Any:
        """x (T, N, F) -> (M, F)."""
        return (x[::-1] if self._reverse else x).reshape(self.rows, x.shape[2])

    def unpack(self, rows: Any) -> Any:
        """(M, F) -> (T, N, F), zeros beyond the ends of the sequences."""
        x = rows.reshape(self._steps, self.batch, rows.shape[1])
        return x[::-1] if self._reverse else x

    def sort(self, h: Any) -> Any:
        """The rows of a state (N, H) in the order of the packing."""
        return h

    def restore(self, h: Any) -> Any:
        """The inverse of sort, as an array of its own."""
        return h.copy()

    def before(self, states: Any) -> Any:
        """The state before each element: (N + M, H) -> (M, H)."""
        return states[: self.rows]

    def last(self, states: Any) -> Any:
        """The state after the last element of each sequence: (N + M, H) -> (N, H) in the caller's order."""
        return states[self.rows :].copy()


class Ragged:
    """The packing of N sequences of given lengths, in any order."""

    def __init__(self, lengths: Any, steps: int, reverse: bool) -> None:
        self.batch = len(lengths)
        self.rows = int(lengths.sum())
        self._order = np.argsort(-lengths, kind="stable")
        self._shape = (steps, self.batch)
        descending = lengths[self._order]
        counts = np.count_nonzero(descending > np.arange(descending.max(initial=0))[:, None], axis=1)
        starts = np.concatenate(([0], self.batch + np.cumsum(counts) - counts))  # of the initial state and of each step
        step = np.repeat(np.arange(len(counts)), counts)
        row = np.arange(self.rows) + self.batch - starts[step + 1]
        time = descending[row] - 1 - step if reverse else step
        self._steps = list(zip(starts[1:].tolist(), starts[:-1].tolist(), counts.tolist(), strict=True))
        self._places = (time, self._order[row])
        self._before = starts[step] + row
        self._last = starts[descending] + np.arange(self.batch)

    def steps(self) -> list[tuple[int, int, int]]:
        return self._steps

    def pack(self, x: Any) -> Any:
        return x[self._places]

    def unpack(self, rows: Any) -> Any:
        x = np.zeros((*self._shape, rows.shape[1]), rows.dtype)
        x[self._places] = rows
        return x

    def sort(self, h: Any) -> Any:
        return h[self._order]

    def restore(self, h: Any) -> Any:
        out = np.empty_like(h)
        out[self._order] = h
        return out

    def before(self, states: Any) -> Any:
        return states[self._before]

    def last(self, states: Any) -> Any:
        return self.restore(states[self._last])


Packing = Full | Ragged


def pack(lengths: Any, steps: int, batch: int, reverse: bool) -> Packing:
    """The packing of a batch (steps, batch, F); lengths (N,) integers in 0..steps, or None."""
    if lengths is None:
        return Full(steps, batch, reverse)
    lengths = np.asarray(lengths)
    if not lengths.size or (lengths == steps).all():
        return Full(steps, batch, reverse)
    if lengths.min() < 0 or lengths.max() > steps:
        raise ValueError(f"lengths: expected integers in 0..{steps}, got {lengths.min()} to {lengths.max()}")
    return Ragged(lengths.astype(np.intp), steps, reverse)
