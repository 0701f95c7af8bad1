"""Philox4x32-10 once more, in Python's big integers."""

from __future__ import annotations

from xpnn.random import Key


def reference(counter: int, key: int) -> list[int]:
    """Philox4x32-10 on one 128-bit counter and one 64-bit key, from the paper's formula, in big integers."""
    left = [counter & 0xFFFFFFFF, counter >> 64 & 0xFFFFFFFF]
    right = [counter >> 32 & 0xFFFFFFFF, counter >> 96]
    for _ in range(10):
        products = [left[0] * 0xD2511F53, left[1] * 0xCD9E8D57]
        left, right = (
            [products[1] // 2**32 ^ right[0] ^ key % 2**32, products[0] // 2**32 ^ right[1] ^ key // 2**32],
            [products[1] % 2**32, products[0] % 2**32],
        )
        key = (key + 0x9E3779B9) % 2**32 + ((key // 2**32 + 0xBB67AE85) % 2**32) * 2**32
    return [left[0], right[0], left[1], right[1]]


def reference_words(key: Key, count: int, first: int = 0) -> list[int]:
    """Words of blocks `first`, `first` + 1, ... of a key."""
    blocks = range(first, first + -(-count // 4))
    return [word for b in blocks for word in reference(b | key.stream << 64, key.seed)][:count]
