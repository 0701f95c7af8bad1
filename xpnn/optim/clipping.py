"""Gradient clipping."""

from __future__ import annotations

from typing import Any

from .. import tree
from ..namespace.libraries import is_array, raw_namespace

__all__ = ["clip_grad_norm"]


def clip_grad_norm(grads: Any, max_norm: float) -> tuple[Any, Any]:
    """(grads scaled so that the norm of all together is at most max_norm, that norm before as a 0-d array).

    Nothing is fetched to the host: on a GPU the training step stays free of synchronisation.
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm: expected a positive number, got {max_norm}")
    arrays = [g for g in tree.leaves(grads) if is_array(g)]
    xp = raw_namespace(arrays[0])
    norm = xp.sqrt(sum(xp.astype(xp.sum(xp.abs(g) ** 2), arrays[0].dtype) for g in arrays))
    scale = xp.minimum(max_norm / (norm + 1e-6), 1.0)  # array-api-compat's clip waits for the GPU
    return tree.map(lambda g: g * xp.astype(scale, g.dtype) if is_array(g) else g, grads), norm
