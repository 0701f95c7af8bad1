"""log and ndtri against references, and the independence of their bits from the library's log2."""

from __future__ import annotations

import math
import statistics
from types import SimpleNamespace

import array_api_compat.numpy as np
import pytest
import scipy.special

from xpnn.random.inverse_normal import log, ndtri, normal_cdf


@pytest.fixture
def probabilities(rng):
    """All magnitudes from 2**-1000 to 1 - 2**-53, and the edges of the three regions."""
    small = 2.0 ** -rng.uniform(0.01, 1000.0, 20_000)
    edges = np.asarray([0.075, 0.925, 0.5, math.exp(-25.0), 2.0**-33, 2.0**-53, 1.0 - 2.0**-53])
    edges = np.concat([edges, np.nextafter(edges, 0.0), np.nextafter(edges[:-1], 1.0)])
    return np.concat([small, rng.uniform(0.0, 1.0, 50_000), 1.0 - 2.0 ** -rng.uniform(1.0, 52.0, 5_000), edges])


def test_ndtri(lib, probabilities):
    x = lib.to_numpy(ndtri(lib.asarray(probabilities), 2.0**-1000, lib.xp, lib.device))
    np.testing.assert_allclose(x, scipy.special.ndtri(probabilities), rtol=3e-15)
    inverse = statistics.NormalDist().inv_cdf
    np.testing.assert_allclose(x, [inverse(p) for p in probabilities.tolist()], rtol=2e-15)


@pytest.mark.parametrize("least", [0.3, 0.01, 2.0**-33, 2.0**-53])
def test_what_least_leaves_out_does_not_matter(rng, least):
    p = np.concat([rng.uniform(least, 1.0 - least, 10_000), np.asarray([least, 1.0 - least])])
    np.testing.assert_array_equal(ndtri(p, least, np), ndtri(p, 2.0**-1000, np))


def test_log(lib, rng):
    x = np.concat([2.0 ** -rng.uniform(0.0, 1022.0, 20_000), 2.0 ** -np.arange(1.0, 1023.0)])
    x = x[x < 1.0]
    exact = np.log(x.astype(np.longdouble))
    error = np.abs(lib.to_numpy(log(lib.asarray(x), lib.xp, lib.device)) - exact) / np.spacing(np.abs(np.log(x)))
    assert np.max(error) < 2.0


@pytest.mark.parametrize("ulps", [-8, 8])
def test_an_inexact_log2_changes_no_bit(probabilities, ulps):
    def wrong(x):
        y = np.log2(x)
        return y + ulps * np.spacing(y)

    # Where the exponent changes, an error of log2 takes the other one.
    edges = np.asarray([math.sqrt(0.5) * (1.0 + j * 2.0**-52) * 2.0**-k for k in range(4, 60) for j in range(-9, 10)])
    p = np.concat([probabilities, edges])
    inexact = SimpleNamespace(**{**vars(np), "log2": wrong})
    assert np.any(np.floor(0.5 - wrong(edges)) != np.floor(0.5 - np.log2(edges)))
    np.testing.assert_array_equal(ndtri(p, 2.0**-1000, inexact), ndtri(p, 2.0**-1000, np))


@pytest.mark.parametrize("x", [-math.inf, -37.0, -8.0, -1.0, 0.0, 2.5, math.inf])
def test_normal_cdf(x):
    assert normal_cdf(x) == pytest.approx(scipy.special.ndtr(x), rel=1e-12, abs=0.0)
