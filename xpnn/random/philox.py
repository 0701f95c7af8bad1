"""Philox4x32-10, the counter-based generator behind every random number of xpnn.

Block b of a key is the Philox permutation of the counter (b low, b high, stream low, stream high) under the key words
(seed low, seed high); it gives four 32-bit words. So word i is word i % 4 of block i // 4, whatever the length of the
draw, and any thread of any device can compute it alone. cuRAND's Philox4_32_10 gives the same words for
`curand_init(seed, stream, 0)`.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_compat

ROUNDS = 10
MASK = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)

# NOTE: blocks computed at once on a host. Its three work arrays then fill 768 KiB, which a second-level cache holds:
# a million words take half the time of one undivided pass. A GPU gets one launch per operation for far more blocks.
HOST_BLOCKS = 1 << 14
DEVICE_BLOCKS = 1 << 24

Four = tuple[int, int, int, int]


def round_keys(seed: int) -> list[tuple[int, int]]:
    """The two key words of each round for a 64-bit seed."""
    low, high = seed & MASK, seed >> 32
    return [((low + r * WEYL[0]) & MASK, (high + r * WEYL[1]) & MASK) for r in range(ROUNDS)]


def block(counter: Four, seed: int) -> Four:
    """The four words of one counter, in Python integers: the derivation of keys, too small for arrays."""
    x0, x1, x2, x3 = counter
    for k0, k1 in round_keys(seed):
        p0, p1 = x0 * MULTIPLIERS[0], x2 * MULTIPLIERS[1]
        x0, x1, x2, x3 = (p1 >> 32) ^ x1 ^ k0, p1 & MASK, (p0 >> 32) ^ x3 ^ k1, p0 & MASK
    return x0, x1, x2, x3


def blocks(seed: int, stream: int, first: int, count: int, xp: Any, device: Any = None) -> tuple[Any, Any]:
    """The words of `count` counters from block `first` on, as 32-bit values in uint64.

    -> even (2, count), rows are words 0 and 2; odd (2, count), rows are words 1 and 3.

    The two halves of a round stay rows of one array: five operations a round for both. A round also swaps the halves;
    here the rows stay, and the multipliers and keys change sides in every other round.
    """
    even, odd = _counters(stream, first, count, xp, device)
    multiplier = _columns([MULTIPLIERS, MULTIPLIERS[::-1]], xp, device)
    key = _columns([(k0, k1) if r % 2 else (k1, k0) for r, (k0, k1) in enumerate(round_keys(seed))], xp, device)
    for r in range(ROUNDS):
        even *= multiplier[r % 2, ...]  # below 2**64: no overflow, so the same on every library
        high = even >> 32
        high ^= odd[::-1, :]
        high ^= key[r, ...]
        even &= MASK
        even, odd = high, even
    return even, odd


def fill(
    out_dtype: Any, seed: int, stream: int, size: int, wide: bool, convert: Callable[[Any], Any], xp: Any, device: Any
) -> Any:
    """`convert` of the first `size` words of a key, in order. -> (size,) of `out_dtype`

    With `wide` an element is made of two words, the first one low: 64-bit words 0 and 1 of a block are its words (0, 1)
    and (2, 3). `convert` maps a uint64 array to an array of `out_dtype`, element by element; it may overwrite its
    argument.
    """
    lanes = 2 if wide else 4
    total = -(-size // lanes)
    step = block_step(xp)
    out = xp.empty((total, lanes), dtype=out_dtype, device=device)
    for first in range(0, total, step):
        last = min(first + step, total)
        even, odd = blocks(seed, stream, first, last - first, xp, device)
        if wide:
            odd <<= 32
            even |= odd
            out[first:last, :] = xp.permute_dims(convert(even), (1, 0))
        else:
            out[first:last, 0::2] = xp.permute_dims(convert(even), (1, 0))
            out[first:last, 1::2] = xp.permute_dims(convert(odd), (1, 0))
    return xp.reshape(out, (-1,))[:size]


def block_step(xp: Any) -> int:
    """How many blocks are computed at once; results do not depend on it."""
    return DEVICE_BLOCKS if array_api_compat.is_cupy_namespace(xp) else HOST_BLOCKS


def _counters(stream: int, first: int, count: int, xp: Any, device: Any) -> tuple[Any, Any]:
    """Counters of the blocks. -> (block low, stream low) as (2, count), (block high, stream high) as (2, count)"""
    index = xp.arange(count, dtype=xp.uint64, device=device)
    index += first
    ones = xp.ones(count, dtype=xp.uint64, device=device)
    low = xp.stack([index & MASK, ones * (stream & MASK)])
    high = xp.stack([index >> 32, ones * (stream >> 32)])
    return low, high


def _columns(rows: list[tuple[int, int]], xp: Any, device: Any) -> Any:
    """Pairs as columns that broadcast over blocks. -> (len(rows), 2, 1) uint64"""
    return xp.asarray([[[a], [b]] for a, b in rows], dtype=xp.uint64, device=device)
