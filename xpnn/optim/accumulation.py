"""Gradients of several small batches in place of those of a large one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import tree
from ..namespace.libraries import is_array, raw_namespace
from .optimizer import is_short

__all__ = ["accumulate"]


def accumulate(grads: Iterable[Any]) -> Any:
    """The mean of gradients of one form: that of the mean loss of all batches, if these are equally large.

    grads: trees from value_and_grad; a generator of them keeps few in memory. float16 and bfloat16 are summed in float32.
    """
    if not isinstance(grads, Iterable):
        raise TypeError(f"grads: expected gradients of one batch or more, got {type(grads).__name__}")
    first, total, count = None, None, 0
    for g in grads:
        first = g if count == 0 else first
        total = tree.map(_wide, g) if count == 0 else tree.map(_add, total, g)
        count += 1
    if count == 0:
        raise ValueError("grads: expected gradients of one batch or more, got none")
    return tree.map(lambda x, like: _divided(x, count, like), total, first)


def _wide(x: Any) -> Any:
    return raw_namespace(x).astype(x, raw_namespace(x).float32) if is_array(x) and is_short(x) else x


def _add(x: Any, y: Any) -> Any:
    return x + _wide(y) if is_array(x) else x


def _divided(x: Any, count: int, like: Any) -> Any:
    return raw_namespace(x).astype(x / count, like.dtype, copy=False) if is_array(x) else x
