"""Gradient clipping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import tree
from ..cuda import clipping as cuda_clipping
from ..fallback import note_fallback
from ..namespace.libraries import is_array, library_name, raw_namespace
from ..ops._checks import check_number
from .optimizer import is_short

__all__ = ["clip_grad_norm", "clip_grad_value"]

# By the library of the arrays: what scales all of them in a few launches.
implementations: dict[str, Any] = {"cupy": cuda_clipping}


def clip_grad_norm(grads: Any, max_norm: float) -> tuple[Any, Any]:
    """(grads scaled so that the norm of all together is at most max_norm, that norm before as a 0-d array).

    The norm of float16 and bfloat16 is computed, and given, in float32. Nothing is fetched to the host: on a GPU the
    training step stays free of synchronisation.
    """
    check_number("max_norm", max_norm)
    if not max_norm > 0:
        raise ValueError(f"max_norm: expected a positive number, got {max_norm}")
    arrays = [g for g in tree.leaves(grads) if is_array(g)]
    if not arrays:
        raise ValueError(f"grads: expected a tree with arrays, got {type(grads).__name__} without any")
    library = library_name(arrays[0])
    kernel = implementations.get(library)
    why = kernel.refusal(arrays) if kernel is not None else "no kernel yet"
    if why is not None and library == "cupy":
        note_fallback("clip_grad_norm", why)
    clip = _clip if kernel is None or why is not None else kernel.clip
    scaled, norm = clip(arrays, max_norm)
    rest = iter(scaled)
    return tree.map(lambda g: next(rest) if is_array(g) else g, grads), norm


def clip_grad_value(grads: Any, clip_value: float) -> Any:
    """grads with every element brought into [-clip_value, clip_value]; nan stays nan."""
    check_number("clip_value", clip_value)
    if not clip_value > 0:
        raise ValueError(f"clip_value: expected a positive number, got {clip_value}")
    if any(is_array(g) and library_name(g) == "cupy" for g in tree.leaves(grads)):
        note_fallback("clip_grad_value", "no kernel yet")
    return tree.map(lambda g: _between(g, clip_value) if is_array(g) else g, grads)


def _between(g: Any, bound: float) -> Any:
    xp = raw_namespace(g)
    return xp.astype(xp.maximum(xp.minimum(g, bound), -bound), g.dtype, copy=False)  # bfloat16 comes as float32


def _clip(arrays: Sequence[Any], max_norm: float) -> tuple[list[Any], Any]:
    xp = raw_namespace(arrays[0])
    wide = [xp.astype(g, xp.float32) if is_short(g) else g for g in arrays]
    norm = xp.sqrt(sum(xp.astype(xp.sum(xp.abs(g) ** 2), wide[0].dtype) for g in wide))
    scale = xp.minimum(max_norm / (norm + 1e-6), 1.0)  # array-api-compat's clip waits for the GPU
    scaled = (g * xp.astype(scale, g.dtype) for g in wide)
    return [xp.astype(x, g.dtype, copy=False) for x, g in zip(scaled, arrays, strict=True)], norm
