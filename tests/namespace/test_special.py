"""Special functions against SciPy, and where SciPy is less exact against published values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special

import xpnn.special
from tests.conftest import Library
from xpnn import diff, grad, namespace

_SPECIAL_POINTS = np.asarray([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e300, -1e300, 5e-324, 1.0, -1.0])
_POINTS = np.concatenate(
    [np.linspace(-6, 6, 961), np.linspace(-1.02, 1.02, 409), [-30.0, -12.5, 9.5, 12.25, 20.0], np.logspace(-300, 0, 61)]
)
_UNARY = ["erf", "erfc", "ndtr", "expit", "log_expit", "gammaln"]


def _relative(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> float:
    error = np.abs(ours - theirs)
    return float(np.max(error[error != 0] / np.abs(theirs[error != 0]), initial=0.0))


@pytest.mark.parametrize("name", _UNARY)
def test_values_are_scipy_s_to_rounding(name: str, lib: Library) -> None:
    x = _POINTS if name != "gammaln" else _POINTS[_POINTS > 0.05]
    ours = lib.to_numpy(getattr(xpnn.special, name)(lib.asarray(x)))
    # SciPy's erfc and ndtr lose digits with x**2, and its gammaln next to the zeros
    bound = {"erfc": 1e-13, "ndtr": 1e-12}.get(name, 1e-15)
    np.testing.assert_allclose(
        ours, getattr(scipy.special, name)(x), rtol=bound, atol=1e-15 if name == "gammaln" else 0
    )


# Computed with 40 digits (mpmath 1.3).
_EXACT = {
    "erf": [
        (0.5, 0.5204998778130465),
        (1.0, 0.8427007929497149),
        (2.0, 0.9953222650189527),
        (1e-20, 1.1283791670955126e-20),
    ],
    "erfc": [
        (0.5, 0.4795001221869535),
        (5.0, 1.5374597944280349e-12),
        (10.0, 2.0884875837625446e-45),
        (26.0, 5.663192408856143e-296),
        (-3.0, 1.9999779095030015),
    ],
    "ndtr": [
        (-1.0, 0.15865525393145707),
        (-10.0, 7.6198530241605261e-24),
        (-37.5, 4.6053530095819548e-308),
        (2.0, 0.9772498680518208),
    ],
    "gammaln": [
        (1.0 + 2**-30, -5.3757397843110445e-10),
        (2.0 - 2**-30, -3.9374859519130207e-10),
        (0.5, 0.5723649429247001),
        (8.0, 8.525161361065415),
        (100.5, 361.43554046777762),
        (-0.5, 1.2655121234846454),
        (-4.25, -2.0700724342573241),
    ],
    "log_expit": [(40.0, -4.248354255291589e-18), (-40.0, -40.0), (0.0, -0.6931471805599453)],
    "expit": [(-700.0, 9.859676543759770e-305), (0.5, 0.6224593312018546)],
}


@pytest.mark.parametrize("name", _EXACT)
def test_values_are_exact_to_a_few_units_in_the_last_place(name: str, lib: Library) -> None:
    x, exact = (np.asarray(column) for column in zip(*_EXACT[name], strict=True))
    ours = lib.to_numpy(getattr(xpnn.special, name)(lib.asarray(x)))
    assert _relative(ours, exact) < 1e-15


@pytest.mark.parametrize("name", _UNARY)
def test_infinite_and_undefined_points(name: str, lib: Library) -> None:
    ours = lib.to_numpy(getattr(xpnn.special, name)(lib.asarray(_SPECIAL_POINTS)))
    with np.errstate(all="ignore"):
        theirs = getattr(scipy.special, name)(_SPECIAL_POINTS)
    if name == "gammaln":  # C's lgamma and torch say inf at -inf, and SciPy's has no subnormal numbers
        theirs[1], theirs[7] = np.inf, 744.4400719213812
    np.testing.assert_allclose(ours, theirs, rtol=1e-15)


def test_gammaln_has_poles_at_integers_below_one(lib: Library) -> None:
    ours = lib.to_numpy(xpnn.special.gammaln(lib.asarray([0.0, -1.0, -2.0, -170.0])))
    assert np.isposinf(ours).all()


@pytest.mark.parametrize("name", _UNARY)
def test_single_precision(name: str, lib: Library) -> None:
    x = np.linspace(-6, 6, 961) if name != "gammaln" else np.linspace(0.1, 40, 400)
    ours = getattr(xpnn.special, name)(lib.asarray(x, dtype=np.float32))
    assert ours.dtype == lib.xp.float32
    theirs = getattr(scipy.special, name)(x.astype(np.float32).astype(np.float64))
    np.testing.assert_allclose(lib.to_numpy(ours), theirs, rtol=6e-7, atol=2e-7 if name == "gammaln" else 0)


def test_shapes_and_zero_dimensions(lib: Library) -> None:
    for name in _UNARY:
        f = getattr(xpnn.special, name)
        assert f(lib.asarray(1.5)).shape == ()
        assert f(lib.asarray(np.zeros((2, 0)))).shape == (2, 0)
        assert f(lib.asarray(np.ones((2, 3)))).shape == (2, 3)


def test_xlogy(lib: Library) -> None:
    x = np.asarray([0.0, 0.0, 0.0, 1.0, 2.0, 0.0])
    y = np.asarray([0.0, np.nan, 2.0, 3.0, 0.5, -1.0])
    ours = xpnn.special.xlogy(lib.asarray(x), lib.asarray(y))
    np.testing.assert_allclose(lib.to_numpy(ours), scipy.special.xlogy(x, np.where(y < 0, 0, y)), rtol=1e-15)
    np.testing.assert_allclose(lib.to_numpy(xpnn.special.xlogy(2.0, lib.asarray([3.0]))), 2 * np.log([3.0]), rtol=1e-15)
    np.testing.assert_allclose(lib.to_numpy(xpnn.special.xlogy(lib.asarray([3.0]), 2.0)), 3 * np.log([2.0]), rtol=1e-15)


@pytest.mark.parametrize("options", [{}, {"axis": 0}, {"axis": (0, -1)}, {"axis": 1, "keepdims": True}], ids=str)
def test_logsumexp(options: dict[str, Any], lib: Library, rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 4)) * 500
    x[0, :, 1] = -np.inf
    ours = xpnn.special.logsumexp(lib.asarray(x), **options)
    np.testing.assert_allclose(lib.to_numpy(ours), scipy.special.logsumexp(x, **options), rtol=1e-15)


def test_logsumexp_of_infinities_and_of_nothing(lib: Library) -> None:
    x = np.asarray([[-np.inf, -np.inf], [np.inf, 1.0], [-np.inf, 3.0]])
    assert lib.to_numpy(xpnn.special.logsumexp(lib.asarray(x), axis=1)).tolist() == [-np.inf, np.inf, 3.0]
    assert lib.to_numpy(xpnn.special.logsumexp(lib.asarray(np.zeros((2, 0))), axis=1)).tolist() == [-np.inf, -np.inf]


def test_integers_are_refused(lib: Library) -> None:
    with pytest.raises(TypeError, match="erf: expected a real floating-point array, got dtype"):
        xpnn.special.erf(lib.asarray([1, 2]))


def test_the_public_functions_record_inside_a_trace(lib: Library) -> None:
    x = lib.asarray([0.3, -1.2, 2.5])
    for name in _UNARY:
        mine, module = (
            grad(lambda x, f=f: namespace(x).sum(f(x)))(x)
            for f in (getattr(xpnn.special, name), getattr(diff(lib.xp).special, name))
        )
        np.testing.assert_array_equal(lib.to_numpy(mine), lib.to_numpy(module))
    mixed = grad(lambda x: namespace(x).sum(xpnn.special.xlogy(x, lib.asarray([1.0, 2.0, 3.0]))))(x)
    np.testing.assert_allclose(lib.to_numpy(mixed), np.log([1.0, 2.0, 3.0]), rtol=1e-15)


def test_derivatives_of_gammaln_are_polygammas(lib: Library) -> None:
    points = np.asarray([0.01, 0.3, 0.5, 1.0, 1.4616321449683622, 3.7, 25.0, 1e6, -0.4, -1.6, -7.3])
    f: Any = xpnn.special.gammaln
    for order in range(3):
        f = grad(lambda x, f=f: namespace(x).sum(f(x)))
        expected = scipy.special.polygamma(order, points)
        if order:  # SciPy has polygamma for positive arguments only
            expected, points = expected[points > 0], points[points > 0]
        ours = lib.to_numpy(f(lib.asarray(points)))
        np.testing.assert_allclose(ours, expected, rtol=1e-13, atol=1e-15)


def test_gradients_far_out_are_relatively_exact(lib: Library) -> None:
    x = lib.asarray([-30.0, -8.0, 8.0, 30.0])
    slope = lib.to_numpy(grad(lambda x: namespace(x).sum(xpnn.special.log_expit(x)))(x))
    np.testing.assert_allclose(slope, scipy.special.expit([30.0, 8.0, -8.0, -30.0]), rtol=1e-15)
    slope = lib.to_numpy(grad(lambda x: namespace(x).sum(xpnn.special.erfc(x)))(lib.asarray([5.0])))
    np.testing.assert_allclose(slope, [-2 / np.sqrt(np.pi) * np.exp(-25.0)], rtol=1e-15)
