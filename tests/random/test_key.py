"""Keys: derivation, values, errors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from xpnn import random
from xpnn.random import Key, philox


def test_children_are_philox_blocks_that_no_draw_reaches():
    key = Key(0x1122334455667788, 0x99AABBCCDDEEFF00)
    stream = (key.stream & 0xFFFFFFFF, key.stream >> 32)
    w = philox.block((5, 0x80000000, *stream), key.seed)
    assert key.split(6)[5] == Key(w[0] | w[1] << 32, w[2] | w[3] << 32)
    w = philox.block((0x9ABCDEF0, 0xC0000000 | 0x12345678, *stream), key.seed)
    assert key.fold(0x123456789ABCDEF0) == Key(w[0] | w[1] << 32, w[2] | w[3] << 32)


def test_children_never_change():
    assert Key(0).split() == (
        Key(0x51408772A2B20CCF, 0xB688835A94FCF7EF),
        Key(0xF5AA260B4D789CC1, 0x2141220D943FEF7C),
    )


def test_children_are_distinct():
    parents = [Key(s, t) for s in range(5) for t in range(5)]
    keys = [*parents, *(k for p in parents for k in (*p.split(20), *map(p.fold, range(20))))]
    assert len(set(keys)) == len(keys) == 25 * 41


def test_the_first_children_do_not_depend_on_their_number():
    assert Key(4).split(7)[:2] == Key(4).split()
    assert Key(4).split(0) == ()


def test_a_key_is_a_value():
    key = Key(np.int64(3), np.uint64(2**63))
    assert type(key.seed) is type(key.stream) is int
    assert key == Key(3, 2**63)
    assert hash(key) == hash(Key(3, 2**63))
    assert pickle.loads(pickle.dumps(key)) == key == copy.deepcopy(key)
    with pytest.raises(AttributeError):
        key.seed = 4


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Key(-1), ValueError, r"seed: expected 0 <= seed < 2\*\*64, got -1"),
        (lambda: Key(0, 2**64), ValueError, "stream: expected 0 <= stream"),
        (lambda: Key(1.5), TypeError, "seed: expected an integer, got float"),
        (lambda: Key(0).fold(-1), ValueError, "i: expected 0 <= i"),
        (lambda: Key(0).fold(2**62), ValueError, "i: expected 0 <= i"),
        (lambda: random.uniform(0, 3), TypeError, "key: expected an xpnn.random.Key, got int; make one with Key"),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()
