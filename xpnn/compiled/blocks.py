"""Pieces of work that call BLAS, dealt to threads: meanwhile each BLAS call keeps to its own thread."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import numpy as np

from .loops import pool, threads

__all__ = ["each", "in_parts"]

Item = TypeVar("Item")


def each(function: Callable[[Any, Any], None], items: Sequence[Any], room: int) -> None:
    """function(item, room) for every item; room: an array of so many float32 elements, one for each thread."""
    some = min(threads(), len(items)) if _controller() else 1
    if some == 1:
        own = np.empty(room, np.float32)
        for item in items:
            function(item, own)
        return
    left = iter(items)
    with _single_threaded():
        others = [pool().submit(_run, function, left, room) for _ in range(some - 1)]
        _run(function, left, room)
        for other in others:
            other.result()


def in_parts(items: Sequence[Item], parts: int, part: int) -> Iterator[Item]:
    """The items of one of several parts that together are all of them."""
    return itertools.islice(items, len(items) * part // parts, len(items) * (part + 1) // parts)


def _run(function: Callable[[Any, Any], None], left: Iterator[Any], room: int) -> None:
    """NOTE: taking the next item of an iterator over a sequence is one step under the interpreter's lock."""
    own = np.empty(room, np.float32)
    for item in left:
        function(item, own)


def _single_threaded() -> AbstractContextManager[Any]:
    controller = _controller()
    return nullcontext() if controller is None else controller.limit(limits=1, user_api="blas")


@functools.cache
def _controller() -> Any:
    from importlib.util import find_spec

    if find_spec("threadpoolctl") is None:
        return None
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
