"""check_gradient: the gradients of a function against central differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import tree
from ..gradients import vjp
from ..namespace.array import Array
from ..namespace.libraries import array_device, raw_namespace
from ..namespace.lift import is_inexact

__all__ = ["check_gradient"]

_STEP = 1e-6


def check_gradient(f: Callable[..., Any], *xs: Any, order: int = 1, rtol: float = 1e-6, seed: int = 0) -> None:
    """Compares the gradient of f at xs, in a random direction, with central differences.

    f: takes the arrays xs, float64 or complex128 of any library, and returns an array or a tree of arrays of any shapes.
    All arguments and outputs are checked at once: outputs are weighted by random numbers, arguments moved in a random
    direction. order=2 checks the gradient and the gradient of the gradient. Integer arguments and outputs are passed over.
    Raises AssertionError that names the order and the numbers seen. f must be smooth within 1e-6 around xs.
    """
    for i, x in enumerate(xs):
        if is_inexact(x) and np.finfo(str(x.dtype).rpartition(".")[2]).bits < 64:
            raise TypeError(f"argument {i}: central differences need float64 or complex128, got {x.dtype}")

    def smooth(*inputs: Any) -> Any:
        given = iter(inputs)
        return f(*(next(given) if is_inexact(x) else x for x in xs))

    inputs = [x for x in xs if is_inexact(x)]
    random = np.random.default_rng(seed)
    name = getattr(f, "__name__", type(f).__name__)
    g = smooth
    for number in range(1, order + 1):
        weights = [_normal(y, random) for y in _arrays(g(*inputs)) if is_inexact(y)]
        _compare(f"{name}: gradient of order {number}", g, inputs, weights, rtol, random)
        g = _gradient(g, weights)


def _gradient(f: Callable[..., Any], weights: Sequence[Any]) -> Callable[..., Any]:
    """The gradient of the weighted sum of the outputs of f, as a function."""

    def gradient(*xs: Any) -> tuple[Any, ...]:
        y, pullback = vjp(f, *xs)
        given = iter(weights)
        return pullback(tree.map(lambda y: next(given) if is_inexact(_raw(y)) else y, y))

    return gradient


def _compare(
    what: str,
    f: Callable[..., Any],
    inputs: Sequence[Any],
    weights: Sequence[Any],
    rtol: float,
    random: np.random.Generator,
) -> None:
    gradients = _gradient(f, weights)(*inputs)
    directions = [_normal(x, random) for x in inputs]
    step = _STEP * max(
        [1.0, *(float(raw_namespace(x).max(raw_namespace(x).abs(x))) for x in inputs if 0 not in x.shape)]
    )
    sums, sizes = [], []
    for sign in (1, -1):
        ys = _arrays(f(*(x + sign * step * v for x, v in zip(inputs, directions, strict=True))))
        ys = [y for y in ys if is_inexact(y)]
        sums.append(sum(_dot(w, y) for w, y in zip(weights, ys, strict=True)))
        sizes.append(sum(_size(w) * _size(y) for w, y in zip(weights, ys, strict=True)))
    numeric = (sums[0] - sums[1]) / (2 * step)
    exact = sum(_dot(g, v) for g, v in zip(gradients, directions, strict=True))
    size = sum(_size(g) * _size(v) for g, v in zip(gradients, directions, strict=True))
    # what differences cannot tell: the rounding of f, and its third derivative
    unsure = (
        8 * np.finfo(float).eps * max(sizes) / step
        + (4 * step) ** 2 * sum(map(_size, weights)) * sum(map(_size, directions)) ** 3
    )
    tolerance = rtol * max(size, abs(numeric)) + unsure
    if not abs(numeric - exact) <= tolerance:
        raise AssertionError(
            f"{what}: {exact!r} along a random direction, but central differences give {numeric!r} "
            f"(difference {abs(numeric - exact):.2g}, tolerance {tolerance:.2g})"
        )


def _arrays(y: Any) -> list[Any]:
    return [_raw(leaf) for _, leaf in tree.flatten(y)]


def _raw(x: Any) -> Any:
    return x._value if type(x) is Array else x


def _normal(like: Any, random: np.random.Generator) -> Any:
    """Random numbers in an array of the library, shape and dtype of ``like``."""
    xp = raw_namespace(like)
    values = random.standard_normal(like.shape)
    if xp.isdtype(like.dtype, "complex floating"):
        values = values + 1j * random.standard_normal(like.shape)
    return xp.asarray(np.asarray(values), dtype=like.dtype, device=array_device(like))


def _dot(x: Any, y: Any) -> float:
    """The real inner product of two arrays, over real and imaginary parts."""
    xp = raw_namespace(x)
    product = xp.conj(x) * y if xp.isdtype(x.dtype, "complex floating") else x * y
    return float(xp.real(xp.sum(product)) if xp.isdtype(product.dtype, "complex floating") else xp.sum(product))


def _size(x: Any) -> float:
    return math.sqrt(_dot(x, x))
