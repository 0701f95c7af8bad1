"""Dropout: the share of zeros, the scale, the same mask everywhere, the gradient."""

from __future__ import annotations

import array_api_compat.numpy
import numpy as np
import pytest

import xpnn
from xpnn import ops
from xpnn.random import Key, dropout_mask

from ..conftest import Library


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
def test_share_of_zeros_and_mean(p: float) -> None:
    x = np.ones(100_000, np.float32)
    y = ops.dropout(x, p, key=Key(1))
    zeros = np.mean(y == 0)
    assert abs(zeros - p) < 5 * np.sqrt(p * (1 - p) / x.size) + 1e-12
    np.testing.assert_allclose(y[y != 0], 1 / (1 - p), rtol=1e-6)
    assert y.dtype == np.float32


def test_the_mask_is_the_same_on_every_library_and_in_the_gradient(lib: Library) -> None:
    x = np.linspace(1, 2, 35).reshape(5, 7)
    mask = dropout_mask(Key(3), (5, 7), 0.6, xp=array_api_compat.numpy)
    y, pullback = xpnn.vjp(lambda x: ops.dropout(x, 0.4, key=Key(3)), lib.asarray(x))
    np.testing.assert_allclose(lib.to_numpy(y), x * mask / 0.6, rtol=1e-15)
    g = np.arange(35.0).reshape(5, 7)
    np.testing.assert_allclose(lib.to_numpy(pullback(lib.asarray(g))[0]), g * mask / 0.6, rtol=1e-15)


def test_everything_dropped_and_bad_probability() -> None:
    assert not ops.dropout(np.ones(4), 1.0, key=Key(0)).any()
    with pytest.raises(ValueError, match=r"p: expected a probability in \[0, 1\], got 1.5"):
        ops.dropout(np.ones(4), 1.5, key=Key(0))


def test_whole_channels_have_the_mask_of_their_shape(lib: Library) -> None:
    x = np.linspace(1, 2, 2 * 5 * 3 * 4).reshape(2, 5, 3, 4)
    mask = dropout_mask(Key(3), (2, 5), 0.6, xp=array_api_compat.numpy)[:, :, None, None]
    y, pullback = xpnn.vjp(lambda x: ops.feature_dropout(x, 0.4, key=Key(3)), lib.asarray(x))
    np.testing.assert_allclose(lib.to_numpy(y), x * mask / 0.6, rtol=1e-15)
    np.testing.assert_allclose(lib.to_numpy(pullback(lib.asarray(x))[0]), x * mask / 0.6, rtol=1e-15)


@pytest.mark.parametrize("features", [False, True])
def test_alpha_dropout_by_torchs_formula(lib: Library, features: bool) -> None:
    """x mask a + (mask - 1) alpha a + alpha a p, the mask of torch's code given."""
    f = ops.feature_alpha_dropout if features else ops.alpha_dropout
    x, p, alpha = np.linspace(-1, 1, 2 * 5 * 3).reshape(2, 5, 3), 0.3, 1.7580993408473766
    mask = dropout_mask(Key(3), (2, 5, 1) if features else x.shape, 1 - p, xp=array_api_compat.numpy) * 1.0
    a = 1 / np.sqrt((alpha**2 * p + 1) * (1 - p))
    y, pullback = xpnn.vjp(lambda x: f(x, p, key=Key(3)), lib.asarray(x))
    np.testing.assert_allclose(lib.to_numpy(y), x * mask * a + (mask - 1) * alpha * a + alpha * a * p, rtol=1e-13)
    np.testing.assert_allclose(lib.to_numpy(pullback(lib.asarray(x))[0]), x * mask * a, rtol=1e-13)
    assert not lib.to_numpy(f(lib.asarray(x), 1.0, key=Key(3))).any()


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    x = xpnn.random.normal(Key(1), 200_000, dtype="float32")
    y = ops.alpha_dropout(x, 0.3, key=Key(2))
    assert y.dtype == np.float32
    assert abs(y.mean()) < 0.01 and abs(y.var() - 1) < 0.02


def test_channels_need_two_axes() -> None:
    with pytest.raises(ValueError, match=r"x: expected shape \(N, C, \*S\), got \(4,\)"):
        ops.feature_dropout(np.ones(4), 0.5, key=Key(0))
