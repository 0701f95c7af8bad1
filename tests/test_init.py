"""Initialisers against torch.nn.init: fans, gains, bounds, deviations, orthogonality."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from xpnn import init, ops
from xpnn.random import Key

KEY = Key(11)
SHAPES = [(300, 200), (64, 32, 3, 5)]

# The half width of a uniform one, or the standard deviation of a normal one, is what torch documents.
SCALED = {
    "xavier_uniform": {"gain": 1.7},
    "xavier_normal": {"gain": 1.7},
    "kaiming_uniform": {"a": math.sqrt(5.0)},
    "kaiming_normal": {"mode": "fan_out", "nonlinearity": "relu"},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SCALED)
def test_scale_is_that_of_torch(name, shape):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = getattr(torch.nn.init, name + "_")(torch.empty(shape, dtype=torch.float64), **SCALED[name]).numpy()
    ours = getattr(init, name)(KEY, shape, **SCALED[name], dtype="float64", xp=np)
    assert ours.std() == pytest.approx(theirs.std(), rel=0.02)
    assert abs(ours.mean()) < 4 * theirs.std() / math.sqrt(ours.size)
    if name.endswith("uniform"):  # 60000 numbers fill their interval up to 1e-4 or so
        assert np.max(np.abs(ours)) == pytest.approx(np.max(np.abs(theirs)), rel=1e-3)
    assert scipy.stats.ks_2samp(ours.ravel(), theirs.ravel()).pvalue > 0.01


@pytest.mark.parametrize("shape", SHAPES)
def test_exact_scale(shape):
    fan_in, fan_out = init.fans(shape)
    units = init.uniform(KEY, shape, -1.0, 1.0, dtype="float64", xp=np)
    normals = init.normal(KEY, shape, dtype="float64", xp=np)
    where = {"dtype": "float64", "xp": np}
    expected = {
        "xavier_uniform": units * 1.7 * math.sqrt(6.0 / (fan_in + fan_out)),
        "xavier_normal": normals * 1.7 * math.sqrt(2.0 / (fan_in + fan_out)),
        "kaiming_uniform": units / math.sqrt(fan_in),
        "kaiming_normal": normals * math.sqrt(2.0 / fan_out),
    }
    for name, weights in expected.items():
        # The uniform ones are scaled after an addition: an absolute rounding error.
        np.testing.assert_allclose(getattr(init, name)(KEY, shape, **SCALED[name], **where), weights, 1e-13, 1e-16)


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 5), (6, 1, 2, 3), (1, 2, 3, 4, 5)])
def test_fans_are_those_of_torch(shape):
    torch = pytest.importorskip("torch")
    assert init.fans(shape) == torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))


def test_gains_are_those_of_torch():
    assert init.calculate_gain is init.gain
    torch = pytest.importorskip("torch")
    kernels = [f"conv{kind}{n}d" for n in (1, 2, 3) for kind in ("", "_transpose")]
    for name in ["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu", *kernels]:
        assert init.gain(name) == torch.nn.init.calculate_gain(name)
    assert init.gain("leaky_relu", 0.2) == torch.nn.init.calculate_gain("leaky_relu", 0.2)


@pytest.mark.parametrize("shape", [(5, 5), (20, 7), (7, 20), (8, 3, 2, 2), (1, 4)])
def test_orthogonal(lib, shape):
    weights = init.orthogonal(KEY, shape, 1.5, xp=lib.xp, device=lib.device, dtype=lib.xp.float64)
    w = np.reshape(lib.to_numpy(weights), (shape[0], -1))
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, 1.5**2 * np.eye(min(w.shape)), atol=1e-13)


def test_orthogonal_is_uniform_over_the_group():
    # For an orthogonal 4 x 4 matrix of the Haar measure: E[w] = 0, E[w**2] = 1/4, E[w**4] = 3 / (4 * 6).
    w = np.stack([init.orthogonal(Key(i), (4, 4), dtype="float64", xp=np) for i in range(2000)])
    for power, expected in ((1, 0.0), (2, 1 / 4), (4, 1 / 8)):
        np.testing.assert_allclose((w**power).mean(axis=0), np.full((4, 4), expected), atol=0.05)
    assert np.mean(np.linalg.det(w) > 0.0) == pytest.approx(0.5, abs=0.05)


def test_trunc_normal():
    w = init.trunc_normal(KEY, (300, 200), 1.0, 0.5, 0.2, 1.5, xp=np)
    expected = scipy.stats.truncnorm(-1.6, 1.0, 1.0, 0.5)
    assert scipy.stats.kstest(w.ravel().astype(np.float64), expected.cdf).pvalue > 0.01
    assert np.float32(0.2) <= np.min(w)
    assert np.max(w) <= np.float32(1.5)


def test_constants(lib):
    where = {"xp": lib.xp, "device": lib.device, "dtype": "float64"}
    for make, value in ((init.zeros, 0.0), (init.ones, 1.0)):
        np.testing.assert_array_equal(lib.to_numpy(make(None, (2, 3), **where)), np.full((2, 3), value))
    np.testing.assert_array_equal(lib.to_numpy(init.constant(None, 4, 2.5, **where)), np.full(4, 2.5))


@pytest.mark.parametrize("shape", [(3, 3), (2, 5), (5, 2), (0, 2)])
def test_eye(lib, shape):
    w = init.eye(None, shape, xp=lib.xp, device=lib.device, dtype="float64")
    np.testing.assert_array_equal(lib.to_numpy(w), np.eye(*shape))


@pytest.mark.parametrize(
    ("shape", "groups"), [((4, 3, 5), 1), ((3, 4, 3, 4), 1), ((6, 2, 3, 3), 2), ((6, 5, 1, 2, 3), 3), ((2, 0, 3), 1)]
)
def test_dirac_is_that_of_torch(lib, shape, groups):
    torch = pytest.importorskip("torch")
    w = init.dirac(None, shape, groups, xp=lib.xp, device=lib.device, dtype="float32")
    np.testing.assert_array_equal(lib.to_numpy(w), torch.nn.init.dirac_(torch.empty(shape), groups).numpy())


def test_a_convolution_of_dirac_weights_keeps_its_inputs():
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 7)).astype(np.float32)
    w = init.dirac(None, (4, 2, 3, 3), 2, xp=np)
    np.testing.assert_array_equal(ops.conv2d(x, w, padding=1, groups=2), x)
    assert init.dirac(None, (2, 2, 0), xp=np).shape == (2, 2, 0)


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.75, 1.0])
def test_sparse(sparsity):
    w = init.sparse(KEY, (301, 40), sparsity, std=0.5, xp=np, dtype="float64")
    zeros = math.ceil(sparsity * 301)
    np.testing.assert_array_equal((w == 0).sum(axis=0), np.full(40, zeros))
    assert not np.signbit(w[w == 0]).any()
    rest = w[w != 0]
    if rest.size:
        assert scipy.stats.kstest(rest / 0.5, "norm").pvalue > 0.01
    if zeros not in (0, 301):  # each row as likely as the others, and columns of their own
        counts = (w == 0).sum(axis=1)
        assert abs(counts - 40 * zeros / 301).max() < 6 * math.sqrt(40 * sparsity * (1 - sparsity))
        assert len({column.tobytes() for column in (w == 0).T}) == 40


ALL = {
    "uniform": {"a": -2.0},
    "normal": {"std": 0.3},
    "trunc_normal": {"std": 0.3},
    "orthogonal": {},
    "constant": {"val": 0.1},
    **SCALED,
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ALL)
def test_same_bits_on_every_library(lib, name, dtype):
    there = getattr(init, name)(KEY, (6, 4, 3), **ALL[name], dtype=dtype, xp=lib.xp, device=lib.device)
    here = getattr(init, name)(KEY, (6, 4, 3), **ALL[name], dtype=dtype, xp=np)
    assert here.flags.c_contiguous
    assert there.dtype == getattr(lib.xp, dtype)
    if lib.device is not None:
        assert there.device == lib.device
    assert lib.to_numpy(there).tobytes() == here.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits_of_sparse_on_every_library(lib, dtype):
    there = init.sparse(KEY, (9, 4), 0.3, dtype=dtype, xp=lib.xp, device=lib.device)
    here = init.sparse(KEY, (9, 4), 0.3, dtype=dtype, xp=np)
    assert there.dtype == getattr(lib.xp, dtype) and lib.to_numpy(there).tobytes() == here.tobytes()


def test_empty_weights():
    assert init.kaiming_uniform(KEY, (4, 0), xp=np).shape == (4, 0)
    assert init.xavier_normal(KEY, (0, 0), xp=np).shape == (0, 0)
    assert init.orthogonal(KEY, (0, 3), xp=np).shape == (0, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: init.kaiming_uniform(KEY, (3,)), "shape: expected a weight of at least 2 axes, got"),
        (lambda: init.orthogonal(KEY, 3), "shape: expected at least 2 axes"),
        (lambda: init.kaiming_normal(KEY, (3, 3), mode="fan"), "mode: expected 'fan_in' or 'fan_out', got 'fan'"),
        (lambda: init.gain("swish"), "nonlinearity: expected 'leaky_relu' or one of linear"),
        (lambda: init.eye(None, (3,)), "shape: expected 2 axes, got"),
        (lambda: init.sparse(KEY, (3, 3, 3), 0.5), "shape: expected 2 axes, got"),
        (lambda: init.sparse(KEY, (3, 3), 1.5), "sparsity: expected a number in"),
        (lambda: init.dirac(None, (3, 3)), "shape: expected a weight of 3, 4 or 5 axes"),
        (lambda: init.dirac(None, (4, 4, 3), groups=3), "groups: expected a divisor of the 4 outputs, got 3"),
        (lambda: init.dirac(None, (4, 4, 3), groups=0), "groups: expected a divisor of the 4 outputs, got 0"),
        (lambda: init.trunc_normal(KEY, (3, 3), std=-1.0), "std: expected"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
