"""attention whose scores become weights by compiled loops; everything else is as in cpu/attention.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..cpu import attention as plain
from .loops import refuse, share

__all__ = ["backward", "forward", "refusal"]


def refusal(q: Any, k: Any, v: Any, attn_mask: Any, **static: Any) -> str | None:
    why = plain.refusal(q, k, v, attn_mask, **static)
    return why or refuse(q, v)


def forward(q: Any, k: Any, v: Any, attn_mask: Any, *, need: tuple[bool, ...], **static: Any) -> tuple[Any, Any]:
    return plain.forward(q, k, v, attn_mask, need=need, exponentials=_exponentials, **static)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, ...]:
    return plain.backward(residuals, g, need, probabilities=_probabilities)


def _exponentials(s: Any) -> tuple[Any, Any]:
    from .softmax_loops import exponentials

    largest, total = np.empty((2, *s.shape[:-1], 1), s.dtype)
    share(exponentials, s.size, (s.reshape(-1, s.shape[-1]), largest.reshape(-1), total.reshape(-1)))
    return largest, total


def _probabilities(s: Any, sums: Any) -> None:
    from .softmax_loops import probabilities

    share(probabilities, s.size, (s.reshape(-1, s.shape[-1]), np.ascontiguousarray(sums).reshape(-1)))
