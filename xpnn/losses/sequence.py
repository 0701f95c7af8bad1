"""Connectionist temporal classification: a sequence of labels against a longer one of frames, without an alignment."""

from __future__ import annotations

import math
from typing import Any

from ..backend import follow
from ..namespace import namespace
from ..namespace.array import unbox
from ..namespace.libraries import library_name
from ._checks import check_float, check_integer, is_kind, on_numpy
from ._reduce import check_reduction, reduced

__all__ = ["ctc_loss"]


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """-log of the probability of all alignments of the frames with the labels (Graves et al. 2006).

    log_probs (T, N, C) or (T, C), of log_softmax; targets: labels (N, S), the rows one after the other (sum of
    target_lengths,), or (S,) without batch; input_lengths, target_lengths (N,) or (), arrays or lists. No label is blank.
    "mean" divides each loss by the number of its labels, or 1, before the mean over the batch. zero_infinity: losses of
    targets that are too long for their frames become 0.
    """
    check_float("log_probs", log_probs)
    check_reduction(reduction)
    if log_probs.ndim not in (2, 3) or not log_probs.shape[-1]:
        raise ValueError(f"log_probs: expected shape (T, N, C) or (T, C), got {tuple(log_probs.shape)}")
    check_integer("blank", blank, 0, log_probs.shape[-1] - 1)
    single = log_probs.ndim == 2
    if single:
        log_probs = namespace(log_probs).expand_dims(log_probs, axis=1)
    frames, _ = _lengths("input_lengths", input_lengths, log_probs, single, log_probs.shape[0])
    rows, counts = _rows(targets, target_lengths, log_probs, single, blank)
    losses = -_log_likelihood(log_probs, rows, frames, counts, blank)
    xp = namespace(losses, counts)
    if zero_infinity:
        losses = xp.where(losses == math.inf, xp.zeros_like(losses), losses)
    if reduction == "mean":
        losses = losses / xp.astype(xp.maximum(counts, xp.ones_like(counts)), losses.dtype)
    return reduced(xp, xp.squeeze(losses, axis=0) if single and reduction == "none" else losses, reduction)


def _log_likelihood(log_probs: Any, rows: Any, frames: Any, counts: Any, blank: int) -> Any:
    """The forward algorithm over the states blank, label, blank, label, …, blank: (N,)."""
    xp = namespace(log_probs, rows, frames, counts)
    steps, batch, _ = log_probs.shape
    states = _states(xp, rows, blank)
    size = states.shape[1]
    never = xp.full((batch, size), -math.inf, dtype=log_probs.dtype, device=log_probs.device)
    # from a label to the next one without a blank between, unless they are equal; blanks always are
    leaps = xp.concat([states[:, :2] != states[:, :2], states[:, 2:] != states[:, :-2]], axis=1)
    emitted = xp.take_along_axis(log_probs, xp.broadcast_to(states, (steps, batch, size)), axis=2)
    alpha = xp.where(xp.arange(size, device=log_probs.device) == 0, xp.zeros_like(never), never)
    for step, here in enumerate(xp.unstack(emitted, axis=0)):
        arrived = xp.logaddexp(alpha, _moved(xp, alpha, never, 1))
        arrived = xp.logaddexp(arrived, xp.where(leaps, _moved(xp, alpha, never, 2), never))
        alpha = xp.where(xp.expand_dims(frames > step, axis=1), arrived + here, alpha)
    last = xp.expand_dims(2 * counts, axis=1)
    ends = xp.take_along_axis(alpha, xp.concat([last, xp.maximum(last - 1, xp.zeros_like(last))], axis=1), axis=1)
    return xp.logaddexp(ends[:, 0], xp.where(counts > 0, ends[:, 1], never[:, 0]))


def _states(xp: Any, rows: Any, blank: int) -> Any:
    """Labels (N, S), S > 0, with a blank before each and one at the end: (N, 2 S + 1)."""
    batch, width = rows.shape
    pairs = xp.reshape(xp.stack([xp.full_like(rows, blank), rows], axis=-1), (batch, 2 * width))
    return xp.concat([pairs, xp.full((batch, 1), blank, dtype=rows.dtype, device=rows.device)], axis=1)


def _moved(xp: Any, alpha: Any, never: Any, by: int) -> Any:
    """alpha (N, L) moved up by some states."""
    return xp.concat([never[:, :by], alpha[:, : alpha.shape[1] - by]], axis=1)


def _lengths(name: str, lengths: Any, log_probs: Any, single: bool, most: int) -> tuple[Any, list[int] | None]:
    """Lengths (N,) as int64, where log_probs is, and as numbers where those can be had without waiting."""
    known = _known(name, lengths)
    lengths = follow(lengths, log_probs, name)
    if not is_kind(lengths, "integral"):
        raise TypeError(f"{name}: expected integers, got dtype {lengths.dtype}")
    shape, batch = tuple(lengths.shape), log_probs.shape[1]
    if shape != (batch,) and not (single and shape == ()):
        raise ValueError(f"{name}: expected shape {() if single else (batch,)}, got {shape}")
    for number in known or ():
        if not 0 <= number <= most:
            raise ValueError(f"{name}: expected lengths in 0..{most}, got {number}")
    xp = namespace(lengths)
    return xp.astype(xp.reshape(lengths, (batch,)), xp.int64, copy=False), known


def _known(name: str, lengths: Any) -> list[int] | None:
    raw = unbox(lengths)
    if isinstance(raw, int):
        return [raw]
    if isinstance(raw, list | tuple):
        if not all(isinstance(x, int) for x in raw):
            raise TypeError(f"{name}: expected integers, got {raw!r}")
        return list(raw)
    return raw.reshape(-1).tolist() if library_name(raw) == "numpy" else None


def _rows(targets: Any, target_lengths: Any, log_probs: Any, single: bool, blank: int) -> tuple[Any, Any]:
    """The labels (N, S), blank beyond the length of each row, and these lengths (N,)."""
    targets = follow(targets, log_probs, "targets")
    if not is_kind(targets, "integral"):
        raise TypeError(f"targets: expected integers, got dtype {targets.dtype}")
    steps, batch, classes = log_probs.shape
    if targets.ndim not in ((1,) if single else (1, 2)) or (targets.ndim == 2 and targets.shape[0] != batch):
        expected = "(S,)" if single else f"({batch}, S) or (sum of target_lengths,)"
        raise ValueError(f"targets: expected shape {expected}, got {tuple(targets.shape)}")
    width = targets.shape[-1]
    counts, known = _lengths("target_lengths", target_lengths, log_probs, single, width)
    xp = namespace(targets, counts)
    if single:
        targets = xp.expand_dims(targets, axis=0)
    elif targets.ndim == 1:
        if known is not None and sum(known) != width:
            raise ValueError(f"targets: expected the sum of target_lengths, {sum(known)}, of labels, got {width}")
        # more labels than frames have no alignment, however many there are
        longest = min(width, steps + 1) if known is None else max(known, default=0)
        targets = _split(xp, targets, counts, longest)
    counts = xp.minimum(counts, xp.full_like(counts, targets.shape[1]))
    if not targets.shape[1]:  # a column that no row has, for the states to have a second and a third
        targets = xp.full((batch, 1), blank, dtype=xp.int64, device=log_probs.device)
    inside = _numbers(xp, targets) < xp.expand_dims(counts, axis=1)
    _check_labels(targets, inside, classes, blank)
    targets = xp.astype(targets, xp.int64, copy=False)
    return xp.where(inside, targets, xp.full_like(targets, blank)), counts


def _split(xp: Any, targets: Any, counts: Any, longest: int) -> Any:
    """Rows of labels that come one after the other, as (N, longest)."""
    batch = counts.shape[0]
    if not targets.shape[0]:
        return xp.zeros((batch, 0), dtype=targets.dtype, device=targets.device)
    first = xp.expand_dims(xp.cumulative_sum(counts) - counts, axis=1)
    places = first + xp.arange(longest, dtype=counts.dtype, device=counts.device)
    places = xp.minimum(places, xp.full_like(places, targets.shape[0] - 1))
    return xp.reshape(xp.take(targets, xp.reshape(places, (-1,)), axis=0), (batch, longest))


def _numbers(xp: Any, rows: Any) -> Any:
    return xp.arange(rows.shape[1], dtype=xp.int64, device=rows.device)


def _check_labels(rows: Any, inside: Any, classes: int, blank: int) -> None:
    """On NumPy, raises unless all labels inside of their rows are classes other than blank."""
    if on_numpy(rows):
        labels = unbox(rows)[unbox(inside)]
        wrong = labels[(labels < 0) | (labels >= classes) | (labels == blank)]
        if wrong.size:
            raise ValueError(f"targets: expected labels in 0..{classes - 1} other than blank {blank}, got {wrong[0]}")
