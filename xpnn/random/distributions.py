"""Random arrays from a key: the same key, shape and dtype give the same bits on every library and device.

Element i, counted in C order, is made of word i of the key (see `philox`), or of words 2i (low) and 2i + 1 where 64
bits are named. All functions end with the same arguments: `dtype` is a dtype or its name (by default the default one);
`xp` is the namespace to make the array with (by default that of the current backend); `device` is a device of `xp`, or
without `xp` the name of one ("cpu", "gpu:1"). They raise TypeError for a key that is none, and ValueError for
impossible parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from xpnn.namespace.array import unbox
from xpnn.namespace.libraries import array_device, raw_namespace
from xpnn.random import philox
from xpnn.random.inverse_normal import ndtri, normal_cdf
from xpnn.random.key import Key, integer, numbers, whole
from xpnn.random.place import float_dtype, named_dtype, place, shape_of

Shape = int | Sequence[int]
_LEAST_MASS = 2.0**-900  # of a truncated normal: with it no probability below leaves the normal floats


def words(key: Key, count: int, *, xp: Any = None, device: Any = None) -> Any:
    """The first `count` words of a key, as they come. -> (count,) uint32"""
    with place(xp, device) as (xp, device):
        return _draw(key, count, xp.uint32, lambda word: xp.astype(word, xp.uint32), xp, device)


def uniform(
    key: Key,
    shape: Shape,
    *,
    low: float = 0.0,
    high: float = 1.0,
    dtype: Any = None,
    xp: Any = None,
    device: Any = None,
) -> Any:
    """Uniform numbers, low <= x < high.

    The top 24 bits of a word in float32, the top 53 of 64 bits in float64 (11 of a word in float16), as multiples of
    2**-24 (2**-53, 2**-11), then scaled in that dtype.
    """
    numbers(low=low, high=high)
    if not (low <= high and math.isfinite(high - low)):
        raise ValueError(f"low, high: expected finite numbers, low <= high, got {low} and {high}")
    with place(xp, device) as (xp, device):
        dtype = float_dtype(xp, dtype)
        digits = _digits(xp, dtype)
        wide = digits > 32
        drop = (64 if wide else 32) - digits

        def convert(word: Any) -> Any:
            word >>= drop
            x = xp.astype(word, dtype)
            x *= 2.0**-digits
            return x

        x = _draw(key, shape, dtype, convert, xp, device, wide=wide)
        return x if (low, high) == (0.0, 1.0) else _scale(x, low, high, xp, device)


def normal(
    key: Key,
    shape: Shape,
    *,
    mean: float = 0.0,
    std: float = 1.0,
    dtype: Any = None,
    xp: Any = None,
    device: Any = None,
) -> Any:
    """Normal numbers, by inversion: mean + std * ndtri(u), computed in float64 and rounded once.

    u is (word + 1/2) / 2**32; in float64 the top 52 of 64 bits, (bits + 1/2) / 2**52.
    """
    numbers(mean=mean, std=std)
    _check_normal(mean, std, std >= 0.0)
    with place(xp, device) as (xp, device):
        return _normal(key, shape, (0.0, 1.0), lambda z: z * std + mean, dtype, xp, device)


def truncated_normal(
    key: Key,
    shape: Shape,
    lower: float = -2.0,
    upper: float = 2.0,
    *,
    mean: float = 0.0,
    std: float = 1.0,
    dtype: Any = None,
    xp: Any = None,
    device: Any = None,
) -> Any:
    """Normal numbers given lower <= x <= upper, by inversion; either bound may be infinite.

    `mean` and `std` are those before the cut. The two end probabilities come from this machine's `math.erfc`; all else
    is as for `normal`.
    """
    numbers(lower=lower, upper=upper, mean=mean, std=std)
    if not lower < upper:
        raise ValueError(f"lower, upper: expected lower < upper, got {lower} and {upper}")
    _check_normal(mean, std, std > 0.0)
    left, right = (lower - mean) / std, (upper - mean) / std
    # In the upper tail probabilities crowd below 1; mirrored they keep all their digits.
    sign = -1.0 if left >= 0.0 else 1.0
    ends = (normal_cdf(-right), normal_cdf(-left)) if sign < 0.0 else (normal_cdf(left), normal_cdf(right))
    if ends[1] - ends[0] < _LEAST_MASS:
        raise ValueError(f"lower, upper: N({mean}, {std}) has no probability to speak of in [{lower}, {upper}]")
    with place(xp, device) as (xp, device):

        def finish(z: Any) -> Any:
            # Inversion rounds, by an ulp or two: the bounds hold nevertheless.
            return xp.minimum(xp.maximum(z * (sign * std) + mean, lower), upper)

        return _normal(key, shape, ends, finish, dtype, xp, device)


def bernoulli(key: Key, p: Any, shape: Shape | None = None, *, xp: Any = None, device: Any = None) -> Any:
    """True with probability p. -> `shape`, bool

    p: a number, or an array of probabilities that broadcasts to `shape` (by default its own shape, and then its library
    and device decide). Element i is `word i >= ceil((1 - p) * 2**32)`, a comparison of integers.
    """
    if isinstance(p, int | float):
        return dropout_mask(key, () if shape is None else shape, p, xp=xp, device=device)
    p = unbox(p)
    xp, device = raw_namespace(p), array_device(p)
    with place(xp, device):
        p = xp.broadcast_to(p, p.shape if shape is None else shape_of(shape)[0])
        if not bool(xp.all((p >= 0) & (p <= 1))):
            raise ValueError("p: expected probabilities, 0 <= p <= 1")
        word = xp.reshape(words(key, math.prod(p.shape), xp=xp, device=device), p.shape)
        return xp.astype(word, xp.float64) >= (1.0 - xp.astype(p, xp.float64)) * 2.0**32


def dropout_mask(key: Key, shape: Shape, keep_prob: float, *, xp: Any = None, device: Any = None) -> Any:
    """True where an element is kept. -> `shape`, bool

    A contract with the kernels, in integers only: element i (in C order) is kept if and only if word i of the key is at
    least `dropout_threshold(keep_prob)`. Word i is word i % 4 of Philox4x32-10 with the key words (seed low, seed high)
    at the counter (i // 4 low, i // 4 high, stream low, stream high), each 32 bits, of `Key(seed, stream)`.
    """
    threshold = dropout_threshold(keep_prob)
    with place(xp, device) as (xp, device):
        return _draw(key, shape, xp.bool, lambda word: word >= threshold, xp, device)


def dropout_threshold(keep_prob: float) -> int:
    """A word below this number drops its element: ceil((1 - keep_prob) * 2**32), from 0 (keep all) to 2**32."""
    if not 0.0 <= keep_prob <= 1.0:
        raise ValueError(f"keep_prob: expected a probability, 0 <= p <= 1, got {keep_prob}")
    return math.ceil((1.0 - keep_prob) * 2.0**32)


def randint(
    key: Key, shape: Shape, low: int, high: int, *, dtype: Any = None, xp: Any = None, device: Any = None
) -> Any:
    """Integers, low <= x < high, high - low <= 2**32. -> `shape`, int64 unless `dtype` says otherwise

    low + floor(w * (high - low) / 2**64), where w is 64 bits: no value is off its probability by more than 2**-64.
    """
    low, high = integer("low", low), integer("high", high)
    span = high - low
    if not 0 < span <= 1 << 32:
        raise ValueError(f"low, high: expected low < high <= low + 2**32, got {low} and {high}")
    with place(xp, device) as (xp, device):
        dtype = xp.int64 if dtype is None else named_dtype(xp, dtype)
        limits = xp.iinfo(dtype)
        if low < max(limits.min, -(1 << 63)) or high > min(limits.max + 1, 1 << 63):
            raise ValueError(f"dtype: {dtype} does not hold the integers from {low} to {high - 1}")

        def convert(word: Any) -> Any:
            # floor(w * span / 2**64) from two 32-bit halves; neither product nor sum passes 2**64.
            carry = (word & philox.MASK) * span >> 32
            word >>= 32
            word *= span
            word += carry
            return xp.astype(word >> 32, xp.int64)

        x = _draw(key, shape, xp.int64, convert, xp, device, wide=True)
        x += low
        return xp.astype(x, dtype, copy=False)


def permutation(key: Key, n: int, *, xp: Any = None, device: Any = None) -> Any:
    """The integers 0 .. n - 1 in random order. -> (n,) int64

    They are sorted by 64 random bits each, the lowest of which give way to the integer itself: no two are equal, so
    every sorting algorithm gives the same order.
    """
    bits = max(whole("n", n, 32) - 1, 0).bit_length()
    with place(xp, device) as (xp, device):
        tickets = _draw(key, n, xp.uint64, lambda word: word, xp, device, wide=True)
        tickets >>= bits
        tickets <<= bits
        tickets |= xp.arange(n, dtype=xp.uint64, device=device)
        return xp.astype(xp.sort(tickets, stable=False) & ((1 << bits) - 1), xp.int64)


def _draw(
    key: Key, shape: Shape, dtype: Any, convert: Callable[[Any], Any], xp: Any, device: Any, *, wide: bool = False
) -> Any:
    """`convert` of the words of a key (see `philox.fill`). -> `shape`, of `dtype`"""
    if not isinstance(key, Key):
        raise TypeError(f"key: expected an xpnn.random.Key, got {type(key).__name__}; make one with Key(seed)")
    sizes, size = shape_of(shape)
    x = philox.fill(dtype, key.seed, key.stream, size, wide, convert, xp, device)
    return xp.reshape(x, sizes)


def _normal(
    key: Key, shape: Shape, ends: tuple[float, float], finish: Callable[[Any], Any], dtype: Any, xp: Any, device: Any
) -> Any:
    """`finish` of ndtri of probabilities between `ends`, rounded to `dtype`. -> `shape`"""
    dtype = float_dtype(xp, dtype)
    wide = _digits(xp, dtype) > 32
    bits = 52 if wide else 32
    start, span = ends[0], ends[1] - ends[0]
    half = span * 2.0 ** -(bits + 1)
    least = min(start + half, max(1.0 - ends[1] + half, 2.0**-53))

    def convert(word: Any) -> Any:
        if wide:
            word >>= 12
        p = xp.astype(word, xp.float64)
        p += 0.5
        p *= 2.0**-bits
        if span != 1.0:
            p = xp.minimum(p * span + start, 1.0 - 2.0**-53)
        return xp.astype(finish(ndtri(p, least, xp, device)), dtype, copy=False)

    return _draw(key, shape, dtype, convert, xp, device, wide=wide)


def _check_normal(mean: float, std: float, fits: bool) -> None:
    if not (fits and math.isfinite(mean) and math.isfinite(std)):
        raise ValueError(f"mean, std: expected finite numbers, std positive, got {mean} and {std}")


def _digits(xp: Any, dtype: Any) -> int:
    """Binary digits of a float: 11, 24 or 53."""
    return 1 - round(math.log2(float(xp.finfo(dtype).eps)))


def _scale(x: Any, low: float, high: float, xp: Any, device: Any) -> Any:
    """low + (high - low) x, kept below `high` where rounding would reach it. x (...) -> (...)"""
    x *= high - low
    x += low
    if low < high:
        top = xp.asarray(high, dtype=x.dtype, device=device)
        bottom = xp.asarray(low, dtype=x.dtype, device=device)
        x = xp.where(x < top, x, xp.maximum(xp.nextafter(top, bottom), bottom))
    return x
