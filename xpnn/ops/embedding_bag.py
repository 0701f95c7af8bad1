"""embedding_bag: the sum, mean or maximum of the rows of a table that each bag of integers picks."""

from __future__ import annotations

from typing import Any

from ..gradients import custom_vjp, vjp
from ..namespace import namespace
from ..namespace.array import unbox
from ..namespace.libraries import array_device, library_name, raw_namespace
from ._checks import check_array, check_floating, check_whole
from .embedding import embedding, embedding_rows

__all__ = ["embedding_bag"]


def embedding_bag(
    indices: Any, weight: Any, offsets: Any = None, max_norm: float | None = None, norm_type: float = 2.0,
    scale_grad_by_freq: bool = False, mode: str = "mean", per_sample_weights: Any = None,
    include_last_offset: bool = False, padding_idx: int | None = None,
) -> Any:  # fmt: skip
    """y[b] = the sum, mean or maximum of weight[i] over the indices i of bag b; 0 for an empty bag.

    weight (V, D); indices (B, N), whose rows are the bags, or (L,) with offsets (B,), where each bag begins; with
    include_last_offset (B + 1,), the end of the last bag too -> y (B, D). mode: "sum", "mean" or "max". per_sample_weights:
    of the shape of the indices, factors of the rows of a sum. padding_idx: an index that counts as not there. max_norm and
    scale_grad_by_freq as in embedding_rows. Offsets are looked at on NumPy only: on a GPU that would have to be waited for.
    """
    _check(indices, weight, offsets, mode, per_sample_weights, scale_grad_by_freq, padding_idx)
    rows = embedding_rows(indices, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq)
    kept = None if padding_idx is None else unbox(indices) != padding_idx % weight.shape[0]
    xp = namespace(rows, per_sample_weights)
    if per_sample_weights is not None:
        rows = rows * xp.astype(xp.expand_dims(per_sample_weights, axis=-1), rows.dtype, copy=False)
    if kept is not None and mode != "max":
        rows = xp.where(xp.expand_dims(kept, axis=-1), rows, xp.zeros_like(rows))
    bags = _Rows(indices) if offsets is None else _Runs(indices, offsets, include_last_offset)
    if mode == "max":
        return bags.largest(rows, kept)
    total = bags.sums(rows)
    return total if mode == "sum" else total / bags.divisors(kept, rows.dtype)


class _Rows:
    """Bags that are the rows of a matrix of indices."""

    def __init__(self, indices: Any) -> None:
        raw = unbox(indices)
        self.xp = raw_namespace(raw)
        self.count, self.length = raw.shape
        self.starts = self._numbers(raw, self.count) * self.length
        self.ends = self.starts + self.length
        self.of = self._numbers(raw, self.count * self.length) // max(self.length, 1)
        self.longest = self.length

    def _numbers(self, raw: Any, count: int) -> Any:
        return self.xp.arange(count, dtype=self.xp.int64, device=array_device(raw))

    def sums(self, rows: Any) -> Any:
        return namespace(rows).sum(rows, axis=1)

    def divisors(self, kept: Any, dtype: Any) -> Any:
        """How many indices of each bag are there, at least 1: a number, or (B, 1)."""
        return max(self.length, 1) if kept is None else _at_least_one(self._counts(kept, dtype))

    def _counts(self, kept: Any, dtype: Any) -> Any:
        return self.xp.sum(self.xp.astype(kept, dtype), axis=1, keepdims=True)

    def largest(self, rows: Any, kept: Any) -> Any:
        xp = namespace(rows)
        flat = xp.reshape(rows, (self.count * self.length, rows.shape[-1]))
        if kept is None:
            return _largest(flat, None, self, self.xp.expand_dims(self.ends > self.starts, axis=-1))
        there = self._counts(kept, unbox(rows).dtype) > 0
        return _largest(flat, self.xp.reshape(kept, (-1,)), self, there)


class _Runs:
    """Bags that lie one behind the other, and begin at offsets."""

    def __init__(self, indices: Any, offsets: Any, include_last: bool) -> None:
        offsets = unbox(offsets)
        xp = self.xp = raw_namespace(offsets)
        device, length = array_device(offsets), indices.shape[0]
        _check_offsets(offsets, length, include_last)
        end = [] if include_last else [xp.full((1,), length, dtype=offsets.dtype, device=device)]
        bounds = xp.concat([offsets, *end])
        self.starts, self.ends = bounds[:-1], bounds[1:]
        self.count = self.starts.shape[0]
        # Bags that end where they begin are passed over; what lies behind the last end is in a bag of its own.
        self.of = xp.searchsorted(self.ends, xp.arange(length, dtype=offsets.dtype, device=device), side="right")

    @property
    def longest(self) -> int:
        """On a GPU the host would have to wait for it: a few rounds in vain are cheaper."""
        if library_name(self.ends) == "cupy":
            return int(self.of.shape[0])
        return int(self.xp.max(self.ends - self.starts))

    def sums(self, rows: Any) -> Any:
        raw = unbox(rows)
        xp = raw_namespace(raw)
        zeros = xp.zeros((self.count + 1, rows.shape[-1]), dtype=raw.dtype, device=array_device(raw))
        return _sums_of_runs(rows, self.of, zeros)[: self.count, :]

    def divisors(self, kept: Any, dtype: Any) -> Any:
        """How many indices of each bag are there, at least 1: (B, 1)."""
        return _at_least_one(self._counts(kept, dtype))

    def _counts(self, kept: Any, dtype: Any) -> Any:
        if kept is None:
            return self.xp.astype(self.xp.expand_dims(self.ends - self.starts, axis=-1), dtype)
        return self.sums(self.xp.astype(self.xp.expand_dims(kept, axis=-1), dtype))

    def largest(self, rows: Any, kept: Any) -> Any:
        return _largest(rows, kept, self, self._counts(kept, unbox(rows).dtype) > 0)


def _at_least_one(count: Any) -> Any:
    xp = raw_namespace(count)
    return xp.where(count > 0, count, xp.ones_like(count))


def _run_sums(rows: Any, bags: Any, zeros: Any) -> tuple[Any, Any]:
    """The transpose of a look-up: on a GPU the kernels of embedding's gradient."""
    return vjp(lambda table: embedding(bags, table), zeros)[1](rows)[0], bags


def _run_sums_back(bags: Any, g: Any) -> tuple[Any, None, None]:
    return embedding(bags, g), None, None


_sums_of_runs = custom_vjp(_run_sums, _run_sums_back)


def _largest(rows: Any, kept: Any, bags: Any, there: Any) -> Any:
    """The largest elements of each bag: rows (L, D) -> (B, D); 0 where a bag is not ``there`` (B, 1)."""
    raw = unbox(rows)
    xp = raw_namespace(raw)
    if not raw.shape[0] or not bags.count:
        return xp.zeros((bags.count, raw.shape[1]), dtype=raw.dtype, device=array_device(raw))
    if kept is not None:
        raw = xp.where(xp.expand_dims(kept, axis=-1), raw, xp.full_like(raw, -float("inf")))
    last = xp.where(bags.ends > bags.starts, bags.ends - 1, xp.zeros_like(bags.ends))
    places = xp.take(_places_of_largest(xp, raw, bags.of, bags.longest), last, axis=0)
    found = _picked(rows, places, xp.where(bags.of < bags.count, bags.of, xp.zeros_like(bags.of)))
    return namespace(rows).where(there, found, namespace(rows).zeros_like(found))


def _places_of_largest(xp: Any, best: Any, of: Any, longest: int) -> Any:
    """Where the largest of those elements is that lie before each element in its bag, itself included; of equals the first.

    By doubling reach: each knows the best of as many as it reaches back to, and looks at what the last one of those before
    knows. A nan is larger than everything. best (L, D), of (L,) -> (L, D)
    """
    numbers = xp.arange(best.shape[0], dtype=xp.int64, device=array_device(best))
    places = xp.broadcast_to(xp.expand_dims(numbers, axis=-1), best.shape)
    reach = 1
    while reach < longest:
        before, here = best[:-reach, :], best[reach:, :]
        taken = xp.expand_dims(of[reach:] == of[:-reach], axis=-1) & ((before >= here) | (before != before))
        best = xp.concat([best[:reach, :], xp.where(taken, before, here)])
        places = xp.concat([places[:reach, :], xp.where(taken, places[:-reach, :], places[reach:, :])])
        reach *= 2
    return places


def _pick(rows: Any, places: Any, of: Any) -> tuple[Any, Any]:
    return namespace(rows).take_along_axis(rows, places, axis=0), (places, of)


def _pick_back(residuals: Any, g: Any) -> tuple[Any, None, None]:
    """A row's gradient is that of its bag, where it is the one that was picked."""
    places, of = map(unbox, residuals)
    xp = namespace(g)
    raw = raw_namespace(of)
    numbers = raw.arange(of.shape[0], dtype=raw.int64, device=array_device(of))
    chosen = raw.take(places, of, axis=0) == raw.expand_dims(numbers, axis=-1)
    whole = xp.take(g, of, axis=0)
    return xp.where(chosen, whole, xp.zeros_like(whole)), None, None


_picked = custom_vjp(_pick, _pick_back)


def _check(indices: Any, weight: Any, offsets: Any, mode: Any, factors: Any, by_freq: bool, padding_idx: Any) -> None:
    check_array("indices", indices)
    check_array("weight", weight)
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f'mode: expected "sum", "mean" or "max", got {mode!r}')
    if indices.ndim not in (1, 2) or (indices.ndim == 2) != (offsets is None):
        given = "without offsets" if offsets is None else "with offsets"
        raise ValueError(f"indices: expected shape (B, N), or (L,) with offsets, got {tuple(indices.shape)} {given}")
    if by_freq and mode == "max":
        raise ValueError('scale_grad_by_freq: expected False with mode "max", got True')
    if padding_idx is not None:
        check_whole("padding_idx", padding_idx)
    if factors is None:
        return
    if mode != "sum":
        raise ValueError(f'per_sample_weights: expected none with mode "{mode}", got some')
    check_floating("per_sample_weights", factors)
    if factors.shape != indices.shape:
        raise ValueError(f"per_sample_weights: expected shape {tuple(indices.shape)}, got {tuple(factors.shape)}")


def _check_offsets(offsets: Any, length: int, include_last: bool) -> None:
    """Of their values only on NumPy, where looking at them costs no synchronisation."""
    check_array("offsets", offsets)
    if offsets.ndim != 1 or not raw_namespace(offsets).isdtype(offsets.dtype, "integral"):
        raise ValueError(f"offsets: expected integers of shape (B,), got {offsets.dtype} of {tuple(offsets.shape)}")
    if include_last and not offsets.shape[0]:
        raise ValueError("offsets: expected one or more with include_last_offset, got none")
    if library_name(offsets) != "numpy" or not offsets.size:
        return
    if offsets[0] != 0 or (offsets[1:] < offsets[:-1]).any() or offsets[-1] > length:
        raise ValueError(f"offsets: expected to rise from 0 to {length} at most, got {' '.join(map(str, offsets[:9]))}")
