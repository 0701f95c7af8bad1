"""Shuffled batches of arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import random, tree
from ..namespace.libraries import array_device, is_array, raw_namespace

__all__ = ["Batches", "batches"]


class Batches:
    """What ``batches`` returns: iterate over it as often as wanted; each pass is shuffled anew. len() counts the batches."""

    def __init__(self, data: Any, batch_size: int, shuffle: bool, drop_last: bool) -> None:
        self.data = data
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.size = _size(data)

    def __len__(self) -> int:
        return self.size // self.batch_size if self.drop_last else -(-self.size // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        order = random.permutation(random.next_key(), self.size) if self.shuffle else None
        for i in range(len(self)):
            start, stop = i * self.batch_size, min((i + 1) * self.batch_size, self.size)
            yield tree.map(_picker(order, start, stop), self.data)


def batches(*data: Any, batch_size: int, shuffle: bool = False, drop_last: bool = False) -> Batches:
    """Batches along the first axis of all arrays: ``for x, y in batches(xs, ys, batch_size=64, shuffle=True)``.

    data: arrays, or trees of arrays, with the same first dimension; one alone is yielded as it is, several as a tuple. The
    order of a shuffled pass comes from the global random stream: xpnn.seed(n) repeats it, on any device. drop_last leaves
    out a last batch that is smaller.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size: expected a positive integer, got {batch_size!r}")
    return Batches(data[0] if len(data) == 1 else data, batch_size, shuffle, drop_last)


def _size(data: Any) -> int:
    sizes = {x.shape[0] if x.ndim else None for _, x in tree.flatten(data) if is_array(x)}
    if len(sizes) != 1 or None in sizes:
        raise ValueError(
            f"data: expected arrays with the same first dimension, got first dimensions {sorted(map(str, sizes))}"
        )
    return next(int(size) for size in sizes if size is not None)


def _picker(order: Any, start: int, stop: int) -> Any:
    def pick(x: Any) -> Any:
        if not is_array(x):
            return x
        if order is None:
            return x[start:stop, ...]
        xp = raw_namespace(x)
        return xp.take(x, xp.asarray(order[start:stop], device=array_device(x)), axis=0)

    return pick
