"""Philox4x32-10 against published vectors and against big integers."""

from __future__ import annotations

import array_api_compat.numpy as np
import pytest

from tests.random.reference import reference, reference_words
from xpnn import random
from xpnn.random import Key, philox

# Random123, tests/kat_vectors, lines "philox4x32 10": counter, key, output.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_known_answers(lib, counter, key, expected):
    low, high, stream_low, stream_high = counter
    seed, stream, first = key[0] | key[1] << 32, stream_low | stream_high << 32, low | high << 32
    even, odd = map(lib.to_numpy, philox.blocks(seed, stream, first, 1, lib.xp, lib.device))
    assert (even[0, 0], odd[0, 0], even[1, 0], odd[1, 0]) == expected
    assert philox.block(counter, seed) == expected
    assert reference(sum(word << 32 * i for i, word in enumerate(counter)), seed) == list(expected)


def test_ten_thousandth_word_of_the_cpp_standard():
    # ISO C++26 [rand.predef]: the 10000th invocation of a default-constructed std::philox4x32 gives 1955073260.
    assert random.words(Key(20111115), 10_000, xp=np)[-1] == 1955073260


@pytest.mark.parametrize("first", [0, 2**32 - 2, 2**32, 2**63 - 4])
def test_blocks_equal_big_integers(lib, first):
    key = Key(0x0123456789ABCDEF, 0xFEDCBA9876543210)
    even, odd = map(lib.to_numpy, philox.blocks(key.seed, key.stream, first, 4, lib.xp, lib.device))
    words = [[even[0, i], odd[0, i], even[1, i], odd[1, i]] for i in range(4)]
    assert np.reshape(words, -1).tolist() == reference_words(key, 16, first)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 22])
def test_words_come_in_order(lib, count):
    key = Key(2**64 - 1, 5)
    words = random.words(key, count, xp=lib.xp, device=lib.device)
    assert words.dtype == lib.xp.uint32
    assert lib.to_numpy(words).tolist() == reference_words(key, count)


@pytest.mark.parametrize("step", [1, 7, 64])
@pytest.mark.parametrize("draw", [random.uniform, random.normal, random.words])
def test_the_step_does_not_show(monkeypatch, draw, step):
    whole = draw(Key(3), 333, xp=np)
    monkeypatch.setattr(philox, "HOST_BLOCKS", step)
    np.testing.assert_array_equal(draw(Key(3), 333, xp=np), whole)


def test_bits_are_balanced_and_uncorrelated():
    words = random.words(Key(1), 1 << 16, xp=np)
    bits = (words[:, None] >> np.arange(32, dtype=np.uint32)) & 1
    # Means and correlations of 65536 fair bits have a standard deviation of 1/512 and 1/256: five of them.
    assert np.max(np.abs(bits.mean(axis=0) - 0.5)) < 5 / 512
    signs = 2.0 * bits - 1.0
    assert np.max(np.abs(signs.T @ signs / len(words) - np.eye(32))) < 5 / 256
    assert np.max(np.abs(signs[1:].T @ signs[:-1] / len(words))) < 5 / 256


@pytest.mark.parametrize("other", [Key(2), Key(1, 1), Key(1).fold(0), Key(1).split()[0]])
def test_neighbouring_keys_are_uncorrelated(other):
    a, b = (random.uniform(key, 1 << 16, dtype="float64", xp=np) for key in (Key(1), other))
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / 256
