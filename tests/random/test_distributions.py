"""Distributions: bits, laws, limits and errors."""

from __future__ import annotations

import math
from fractions import Fraction

import array_api_compat.numpy as np
import pytest
import scipy.stats

from tests.random.reference import reference_words
from xpnn import random
from xpnn.random import Key

KEY = Key(0x0123456789ABCDEF, 42)
MANY = 200_000

DRAWS = {
    "uniform": lambda **where: random.uniform(KEY, (7, 11), **where),
    "uniform, scaled": lambda **where: random.uniform(KEY, (7, 11), low=-0.3, high=1.7, **where),
    "uniform, float64": lambda **where: random.uniform(KEY, (7, 11), low=-0.3, high=1.7, dtype="float64", **where),
    "normal": lambda **where: random.normal(KEY, (400, 50), **where),
    "normal, scaled": lambda **where: random.normal(KEY, (400, 50), mean=-0.3, std=1.7, **where),
    "normal, float64": lambda **where: random.normal(KEY, (400, 50), dtype="float64", **where),
    "truncated": lambda **where: random.truncated_normal(KEY, (400, 50), **where),
    "truncated, tail": lambda **where: random.truncated_normal(KEY, (400, 50), 6.0, math.inf, dtype="float64", **where),
    "bernoulli": lambda **where: random.bernoulli(KEY, 0.3, (7, 11), **where),
    "dropout_mask": lambda **where: random.dropout_mask(KEY, (7, 11), 0.9, **where),
    "randint": lambda **where: random.randint(KEY, (7, 11), -3, 1000, **where),
    "permutation": lambda **where: random.permutation(KEY, 1001, **where),
    "words": lambda **where: random.words(KEY, 77, **where),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWS)
def test_same_bits_on_every_library(lib, name):
    there = DRAWS[name](xp=lib.xp, device=lib.device)
    here = DRAWS[name](xp=np)
    if lib.device is not None:
        assert there.device == lib.device
    values = lib.to_numpy(there)
    assert values.dtype == here.dtype
    assert values.shape == here.shape
    assert values.tobytes() == here.tobytes()


def test_uniform_is_made_of_the_top_bits(lib):
    key, where = Key(5, 6), {"xp": lib.xp, "device": lib.device}
    words = reference_words(key, 10)
    assert lib.to_numpy(random.uniform(key, 10, **where)).tolist() == [(w >> 8) / 2**24 for w in words]
    wide = [(low | high << 32) >> 11 for low, high in zip(words[::2], words[1::2], strict=True)]
    assert lib.to_numpy(random.uniform(key, 5, dtype="float64", **where)).tolist() == [w / 2**53 for w in wide]


def test_uniform_in_half_precision():
    x = random.uniform(Key(5), 10_000, dtype="float16", xp=np)
    words = random.words(Key(5), 10_000, xp=np)
    np.testing.assert_array_equal(x.astype(np.float64) * 2048, words >> 21)
    assert np.max(x) < 1.0


def test_normal_is_the_inverse_of_the_word_centres(lib):
    words = np.asarray(reference_words(KEY, 1000), dtype=np.uint64)
    where = {"xp": lib.xp, "device": lib.device}
    x = lib.to_numpy(random.normal(KEY, 1000, **where))
    np.testing.assert_allclose(x, scipy.stats.norm.ppf((words + 0.5) / 2.0**32), rtol=6e-8)
    wide = (words[::2] | words[1::2] << 32) >> 12
    x = lib.to_numpy(random.normal(KEY, 500, dtype="float64", mean=2.0, std=3.0, **where))
    np.testing.assert_allclose(x, 2.0 + 3.0 * scipy.stats.norm.ppf((wide + 0.5) / 2.0**52), rtol=1e-14, atol=1e-14)


def test_frozen_bits():
    """Numbers of a key are a promise: models must come out the same after an update."""
    assert [x.hex() for x in random.uniform(Key(0), 3, xp=np).tolist()] == [
        "0x1.989fa00000000p-2",
        "0x1.c2d38a0000000p-1",
        "0x1.78af580000000p-1",
    ]
    assert [x.hex() for x in random.normal(Key(0), 3, xp=np).tolist()] == [
        "-0x1.05f4a00000000p-2",
        "0x1.2d769e0000000p+0",
        "0x1.42a76e0000000p-1",
    ]
    assert [x.hex() for x in random.normal(Key(0), 3, dtype="float64", xp=np).tolist()] == [
        "0x1.2d769e93cb51fp+0",
        "0x1.11fbd69d8e301p-2",
        "-0x1.69580971eeeebp-2",
    ]
    assert random.permutation(Key(0), 12, xp=np).tolist() == [10, 3, 5, 4, 11, 2, 6, 7, 1, 8, 0, 9]
    assert random.randint(Key(0), 8, 0, 100, xp=np).tolist() == [88, 60, 36, 3, 31, 27, 41, 42]


LAWS = {
    "uniform": (lambda **kind: random.uniform(KEY, MANY, low=-1.0, high=3.0, **kind), scipy.stats.uniform(-1, 4)),
    "normal": (lambda **kind: random.normal(KEY, MANY, mean=1.0, std=2.0, **kind), scipy.stats.norm(1, 2)),
    "truncated": (lambda **kind: random.truncated_normal(KEY, MANY, **kind), scipy.stats.truncnorm(-2, 2)),
    "scaled": (
        lambda **kind: random.truncated_normal(KEY, MANY, 2.0, 2.5, mean=1.0, std=0.5, **kind),
        scipy.stats.truncnorm(2, 3, 1, 0.5),
    ),
    "upper": (lambda **kind: random.truncated_normal(KEY, MANY, 5.0, **kind, upper=9.0), scipy.stats.truncnorm(5, 9)),
    "half": (lambda **kind: random.truncated_normal(KEY, MANY, -1.0, math.inf, **kind), scipy.stats.truncnorm(-1, 99)),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("law", LAWS)
def test_laws(law, dtype):
    draw, expected = LAWS[law]
    x = draw(dtype=dtype, xp=np)
    assert x.dtype == dtype
    assert scipy.stats.kstest(x.astype(np.float64), expected.cdf).pvalue > 0.01
    assert abs(x.mean(dtype=np.float64) - expected.mean()) < 4 * expected.std() / math.sqrt(MANY)
    assert x.std(dtype=np.float64) == pytest.approx(expected.std(), rel=0.01)
    assert expected.support()[0] <= np.min(x)
    assert np.max(x) <= expected.support()[1]


def test_normal_moments_and_tails():
    x = random.normal(KEY, 1_000_000, dtype="float64", xp=np)
    # Standard deviations of the third and fourth moment of n normals: sqrt(15 / n) and sqrt(96 / n).
    assert abs(np.mean(x**3)) < 4 * math.sqrt(15e-6)
    assert abs(np.mean(x**4) - 3.0) < 4 * math.sqrt(96e-6)
    expected = 2e6 * scipy.stats.norm.sf(4.0)
    assert abs(np.sum(np.abs(x) > 4.0) - expected) < 4 * math.sqrt(expected)


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0 + 2.0**-22), (-1.0, 1.0), (3.0, 3.0)])
def test_rounding_does_not_reach_high(lib, low, high):
    x = lib.to_numpy(random.uniform(KEY, 1000, low=low, high=high, dtype="float32", xp=lib.xp, device=lib.device))
    assert np.min(x) >= low
    assert np.max(x) < high or low == high
    if high - low < 1.0 and low < high:
        assert set(x.tolist()) == {1.0, 1.0 + 2.0**-23}


def test_the_narrowest_and_the_farthest_interval():
    x = random.truncated_normal(KEY, 1000, 1.0, 1.0 + 1e-9, dtype="float64", xp=np)
    assert np.min(x) >= 1.0
    assert np.max(x) <= 1.0 + 1e-9
    assert len(set(x.tolist())) > 990
    x = random.truncated_normal(KEY, MANY, -math.inf, -35.0, dtype="float64", xp=np)
    assert np.mean(-x) == pytest.approx(35.0 + 1 / 35.0, abs=2e-4)  # the mean of the tail, up to 2 / 35**3


@pytest.mark.parametrize("keep_prob", [0.0, 2.0**-32, 0.1, 0.5, 0.9, 1.0])
def test_dropout_mask_keeps_the_words_from_the_threshold_on(lib, keep_prob):
    words = np.asarray(reference_words(KEY, 1001))
    threshold = math.ceil((1 - Fraction(keep_prob)) * 2**32)
    assert random.dropout_threshold(keep_prob) == threshold
    mask = random.dropout_mask(KEY, (7, 11, 13), keep_prob, xp=lib.xp, device=lib.device)
    assert mask.dtype == lib.xp.bool
    np.testing.assert_array_equal(lib.to_numpy(mask), np.reshape(words >= threshold, (7, 11, 13)))


def test_dropout_frequency():
    kept = np.sum(random.dropout_mask(KEY, MANY, 0.9, xp=np))
    assert scipy.stats.binomtest(int(kept), MANY, 0.9).pvalue > 0.01


def test_bernoulli_of_an_array_of_probabilities(lib):
    p = np.asarray([[0.0, 0.1, 0.5, 1.0 - 2.0**-32, 1.0]])
    for dtype in ("float32", "float64"):
        drawn = lib.to_numpy(random.bernoulli(KEY, lib.asarray(p, dtype), (1000, 5)))
        words = np.reshape(np.asarray(reference_words(KEY, 5000)), (1000, 5))
        thresholds = [random.dropout_threshold(float(q)) for q in p.astype(dtype)[0]]
        np.testing.assert_array_equal(drawn, words >= np.asarray(thresholds))
    assert random.bernoulli(KEY, lib.asarray(p)).shape == (1, 5)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-5, 2), (0, 10**9 + 7), (-(2**31), 2**31), (2**63 - 9, 2**63)])
def test_randint_is_exact(lib, low, high):
    words = reference_words(KEY, 400)
    wide = [a | b << 32 for a, b in zip(words[::2], words[1::2], strict=True)]
    x = lib.to_numpy(random.randint(KEY, 200, low, high, xp=lib.xp, device=lib.device))
    assert x.dtype == np.int64
    assert x.tolist() == [low + (w * (high - low) >> 64) for w in wide]


def test_randint_frequencies_and_dtype(lib):
    x = random.randint(KEY, 3000, -2, 4, dtype="int8", xp=lib.xp, device=lib.device)
    assert x.dtype == lib.xp.int8
    values, counts = np.unique_counts(lib.to_numpy(x))
    assert values.tolist() == [-2, -1, 0, 1, 2, 3]
    assert scipy.stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("n", [0, 1, 2, 3, 64, 65, 60_000])
def test_permutation_sorts_by_words(lib, n):
    words = random.words(KEY, 2 * n, xp=np).astype(np.uint64)
    expected = np.argsort((words[::2] | words[1::2] << 32) >> 17, stable=True)
    x = random.permutation(KEY, n, xp=lib.xp, device=lib.device)
    assert x.dtype == lib.xp.int64
    np.testing.assert_array_equal(lib.to_numpy(x), expected)


def test_all_permutations_are_equally_frequent():
    drawn = [tuple(random.permutation(KEY.fold(i), 4, xp=np).tolist()) for i in range(4800)]
    counts = [drawn.count(p) for p in sorted(set(drawn))]
    assert len(counts) == 24
    assert scipy.stats.chisquare(counts).pvalue > 0.01


def test_shapes(lib):
    where = {"xp": lib.xp, "device": lib.device}
    assert random.uniform(KEY, (), **where).shape == ()
    assert random.normal(KEY, (3, 0, 2), **where).shape == (3, 0, 2)
    assert random.dropout_mask(KEY, [2, 3], 0.5, **where).shape == (2, 3)
    flat = random.normal(KEY, 24, **where)
    np.testing.assert_array_equal(
        lib.to_numpy(random.normal(KEY, (2, 3, 4), **where)), np.reshape(lib.to_numpy(flat), (2, 3, 4))
    )


def test_the_differentiable_namespace_gives_raw_arrays(lib):
    from xpnn.namespace.diff import diff

    drawn = random.normal(KEY, 5, xp=diff(lib.xp))
    assert type(drawn) is type(lib.xp.zeros(1))
    np.testing.assert_array_equal(lib.to_numpy(drawn), random.normal(KEY, 5, xp=np))


@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (lambda: random.uniform(KEY, -1), ValueError, "shape: expected 0 <= shape"),
        (lambda: random.uniform(KEY, 2.0), TypeError, "shape: expected an integer, got float"),
        (lambda: random.uniform(KEY, 2, low=1.0, high=0.0), ValueError, "low, high: expected finite numbers"),
        (lambda: random.uniform(KEY, 2, high=math.nan), ValueError, "low, high: expected finite"),
        (lambda: random.uniform(KEY, 2, dtype="int32"), TypeError, "dtype: expected a real floating-point dtype"),
        (lambda: random.uniform(KEY, 2, dtype="float31"), ValueError, "dtype: expected a dtype of .*numpy, got"),
        (lambda: random.normal(KEY, 2, std=-1.0), ValueError, "mean, std: expected finite numbers"),
        (lambda: random.truncated_normal(KEY, 2, 1.0, 1.0), ValueError, "lower, upper: expected lower < upper"),
        (lambda: random.truncated_normal(KEY, 2, 50.0, 60.0), ValueError, "no probability to speak of"),
        (lambda: random.truncated_normal(KEY, 2, std=0.0), ValueError, "mean, std: expected finite numbers"),
        (lambda: random.bernoulli(KEY, 1.5), ValueError, "keep_prob: expected a probability"),
        (lambda: random.bernoulli(KEY, np.asarray([0.5, 1.5])), ValueError, "p: expected probabilities"),
        (lambda: random.dropout_mask(KEY, 3, math.nan), ValueError, "keep_prob: expected a probability"),
        (lambda: random.randint(KEY, 2, 3, 3), ValueError, "low, high: expected low < high"),
        (lambda: random.randint(KEY, 2, 0, 2**32 + 1), ValueError, "low, high: expected low < high"),
        (lambda: random.randint(KEY, 2, 0, 1.5), TypeError, "high: expected an integer, got float"),
        (lambda: random.randint(KEY, 2, 0, 300, dtype="uint8"), ValueError, "dtype: .*uint8.* does not hold"),
        (lambda: random.permutation(KEY, -1), ValueError, "n: expected 0 <= n"),
    ],
)  # fmt: skip
def test_errors(draw, error, message):
    with pytest.raises(error, match=message):
        draw()
