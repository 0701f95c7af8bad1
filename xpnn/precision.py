"""How exactly products of float32 are computed on a GPU: "highest", "high" or "medium"; the page is docs/precision.md.

The process has one setting, as it has one backend; `with precision(...)` overrides it for a thread or task.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from contextvars import ContextVar

__all__ = ["PRECISIONS", "get_precision", "precision", "set_precision"]

PRECISIONS = ("highest", "high", "medium")


class _Process:
    """The setting of this process: by set_precision, or by XPNN_PRECISION at first use."""

    precision: str | None = None


_process = _Process()
_override: ContextVar[str | None] = ContextVar("xpnn_precision", default=None)
_lock = threading.Lock()


def set_precision(name: str) -> None:
    """Compute products of float32 arrays on a GPU in `name` from now on; a `with precision(...)` block around still wins.

    "highest" (at the start): exact float32. "high": three TF32 products, as good as float32. "medium": one TF32 product,
    10 bits of the mantissa of the factors. Raises `ValueError` for another name.
    """
    _process.precision = _checked(name)


def get_precision() -> str:
    """How products of float32 arrays are computed on a GPU now: "highest", "high" or "medium"."""
    return _override.get() or _process.precision or _first()


@contextlib.contextmanager
def precision(name: str) -> Iterator[str]:
    """Use `name` inside the block, and restore what was before, error or not; blocks nest.

    The choice belongs to the context: other threads and other asyncio tasks do not see it. A gradient is computed as
    the forward was, wherever its backward runs.
    """
    token = _override.set(_checked(name))
    try:
        yield name
    finally:
        _override.reset(token)


def _checked(name: str) -> str:
    if name not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {name!r}")
    return name


def _first() -> str:
    """What XPNN_PRECISION says, unless set_precision came before."""
    with _lock:
        if _process.precision is None:
            name = os.environ.get("XPNN_PRECISION") or "highest"
            try:
                _process.precision = _checked(name)
            except ValueError as error:
                raise ValueError(f"XPNN_PRECISION={name}: {error}") from None
        return _process.precision
