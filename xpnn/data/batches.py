"""Shuffled batches of arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import random, tree
from ..backend import follow
from ..namespace.libraries import is_array, raw_namespace

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
        orders = self._orders() if self.shuffle else None
        for i in range(len(self)):
            part = slice(i * self.batch_size, min((i + 1) * self.batch_size, self.size))
            if orders is None:
                yield tree.map(lambda x, part=part: x[part, ...] if is_array(x) else x, self.data)
            else:
                yield tree.map(lambda x, order, part=part: _taken(x, order, part), self.data, orders)

    def _orders(self) -> Any:
        """One order for this pass, in the place of each array, in its library and on its device."""
        order = random.permutation(random.next_key(), self.size)
        return tree.map(lambda x: follow(order, x) if is_array(x) else None, self.data)


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
    sizes = {x.shape[0] if x.ndim else None for x in tree.leaves(data) if is_array(x)}
    if len(sizes) != 1 or None in sizes:
        raise ValueError(
            f"data: expected arrays with the same first dimension, got first dimensions {sorted(map(str, sizes))}"
        )
    return next(int(size) for size in sizes if size is not None)


def _taken(x: Any, order: Any, part: slice) -> Any:
    return raw_namespace(x).take(x, order[part], axis=0) if is_array(x) else x
