"""dropout for CuPy, in the emulator: the mask bit for bit that of xpnn.random, whatever the length; what it refuses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import array_api_compat.numpy as xp
import ml_dtypes
import numpy as np
import pytest

from tests.emulator import SCHEDULES, build
from tests.random.test_philox import KNOWN
from xpnn.cuda import dropout
from xpnn.ops.dropout import masked, reference
from xpnn.primitive import Primitive
from xpnn.random import Key, dropout_mask, dropout_threshold, words
from xpnn.testing import check_primitive

from .emulated import Emulator, emulating

DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
KEYS = [Key(0), Key(2**64 - 1, 2**63 + 5), Key(0x0123456789ABCDEF, 0xFEDCBA9876543210)]


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with emulating(monkeypatch) as found:
        yield found


def run(x: Any, p: float, key: Key) -> Any:
    assert dropout.refusal(x, p=p, key=key) is None
    return dropout.forward(x, p=p, key=key, need=(False,))[0]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_the_generator_gives_the_known_answers(emulator: Emulator, counter: Any, key: Any, expected: Any) -> None:
    """`emulator` only for skipping where there is no compiler."""
    source = """
    #include "philox.cuh"
    struct Arguments { unsigned* words; unsigned long long block; unsigned k0, k1, s0, s1; };
    __global__ void words(const __grid_constant__ Arguments a) {
        const PhiloxWords w = philox(a.block, {a.k0, a.k1, a.s0, a.s1});
        for (int i = 0; i < 4; ++i) a.words[i] = w.word[i];
    }"""
    numbers = [np.uint64(counter[0] | counter[1] << 32), *map(np.uint32, (*key, *counter[2:]))]
    arguments = {"words": np.zeros(4, np.uint32), **dict(zip("bklst", numbers, strict=True))}
    found = build(source, "words").check((1, 1, 1), (1, 1, 1), arguments)
    assert found["words"].tolist() == list(expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("key", KEYS)
def test_the_mask_is_that_of_numpy(emulator: Emulator, key: Key, dtype: str) -> None:
    for shape, p in itertools.product(
        [(1,), (2,), (3,), (4,), (5, 1), (7,), (8,), (3, 3), (3, 7, 11)], (0.1, 0.5, 0.9)
    ):
        x = np.ones(shape, DTYPES[dtype])
        mask = dropout_mask(key, shape, 1 - p, xp=xp)
        assert np.array_equal(run(x, p, key), mask * DTYPES[dtype](1 / (1 - p)))


def test_a_word_at_the_threshold_is_kept(emulator: Emulator) -> None:
    for i, word in enumerate(words(Key(0), 8, xp=np)):
        x, p = np.ones(8, np.float32), int(word) / 2**32
        assert dropout_threshold(1 - p) == word
        assert run(x, p, Key(0))[i] != 0 and run(x, p + 2.0**-32, Key(0))[i] == 0


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.999, 1 - 2.0**-40, 1.0])
def test_in_float32_it_has_the_bits_of_the_reference(emulator: Emulator, p: float) -> None:
    x = np.random.default_rng(0).normal(size=1003).astype(np.float32)
    x[:6] = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e38]
    with np.errstate(invalid="ignore", over="ignore"):
        expected = reference(x, p=p, key=Key(5))
    found = run(x, p, Key(5))
    np.testing.assert_array_equal(found, expected)
    assert np.array_equal(np.signbit(found[3:]), np.signbit(expected[3:]))


def test_it_agrees_with_the_reference(emulator: Emulator) -> None:
    own = Primitive(reference, name="dropout")
    own.add("numpy", dropout)
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in [(1,), (0, 3), (7, 11), (2, 3, 5)]]
    arrays.append(rng.normal(size=(6, 8)).astype(np.float32).T[::2])
    assert check_primitive(own, [((x,), {"p": 0.3, "key": Key(7)}) for x in arrays]) == 5


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_backward_drops_the_same_elements_and_keeps_no_array(emulator: Emulator, dtype: str) -> None:
    x = np.ones((3, 13), DTYPES[dtype])
    y, residuals = dropout.forward(x, p=0.4, key=Key(3), need=(True,))
    assert residuals == (0.4, Key(3))
    g = np.full((13, 3), 2, DTYPES[dtype]).T
    (dx,) = dropout.backward(residuals, g, (True,))
    assert np.array_equal(dx, 2 * y) and 0 < np.count_nonzero(dx == 0) < dx.size


@pytest.mark.parametrize("dtype", DTYPES)
def test_alignment_and_the_number_of_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    room = np.random.default_rng(0).normal(size=4210).astype(DTYPES[dtype])
    with emulating(monkeypatch, SCHEDULES[:2]) as emulator:
        whole = run(room[1:].copy(), 0.5, Key(1))
        assert run(room[1:], 0.5, Key(1)).tobytes() == whole.tobytes()
        monkeypatch.setattr(dropout, "_MOST_BLOCKS", 1)
        monkeypatch.setattr(dropout, "plan", dropout.plan.__wrapped__)
        assert run(room[1:].copy(), 0.5, Key(1)).tobytes() == whole.tobytes()
    assert emulator.launched[0].grid[0] > 1 == emulator.launched[2].grid[0]


def test_an_array_without_elements_or_axes(emulator: Emulator) -> None:
    assert run(np.ones((0, 3), np.float32), 0.5, Key(0)).shape == (0, 3) and emulator.launched == []
    assert run(np.array(3.0, np.float32), 0.0, Key(0)) == 3


@pytest.mark.parametrize(
    ("x", "key", "reason"),
    [
        (np.ones(3), Key(0), "dtype float64"),
        (np.ones(3, np.int32), Key(0), "dtype int32"),
        (np.ones(3, np.float32), 7, "key of int"),
    ],
)
def test_it_says_what_it_does_not_take(x: Any, key: Any, reason: str) -> None:
    assert dropout.refusal(x, p=0.5, key=key) == reason


def test_ops_dropout_has_it_for_cupy() -> None:
    assert masked.implementations["cupy"] == [dropout]


def test_a_plan_counts_the_bytes_that_must_move_and_is_in_the_table() -> None:
    assert dropout.plan("float16", 1000).bytes == 4000 and dropout.plan("float16", 2**34).grid[0] == 2**15
    listed = {plan.entry for plan in dropout.instantiations()}
    assert {dropout.plan(dtype, count).entry for dtype in DTYPES for count in (0, 1, 9, 2**33)} == listed
