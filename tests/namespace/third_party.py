"""Functions of array-api-extra and SciPy, called as they are, on the tape: the table, and a program that tries all of it.

SciPy looks at SCIPY_ARRAY_API when it is imported, so that this runs in a process of its own:
``SCIPY_ARRAY_API=1 python -m tests.namespace.third_party`` prints a JSON object, name -> what went wrong ("" if nothing).
An entry works if its values are those of NumPy arrays and its gradient is that of central differences.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from typing import Any

os.environ["SCIPY_ARRAY_API"] = "1"

import array_api_compat.numpy
import array_api_extra as xpx
import numpy as np
import scipy.cluster.vq
import scipy.constants
import scipy.differentiate
import scipy.fft
import scipy.integrate
import scipy.linalg
import scipy.optimize
import scipy.signal
import scipy.special
import scipy.stats
from scipy.spatial.transform import RigidTransform, Rotation

from xpnn import check_gradient, diff, tree, vjp
from xpnn.namespace.array import Array

Entry = tuple[Callable[..., Any], tuple[Any, ...]]

_random = np.random.default_rng(7)


def _r(*shape: int) -> Any:
    return np.asarray(_random.normal(size=shape))


def _p(*shape: int) -> Any:
    return np.asarray(_random.uniform(0.5, 2, shape))


def _z(*shape: int) -> Any:
    return _r(*shape) + 1j * _r(*shape)


def _xp(x: Any) -> Any:
    return array_api_compat.numpy if isinstance(x, np.ndarray) else x.__array_namespace__()


EXTRA: dict[str, Entry] = {
    "angle": (xpx.angle, (_z(3, 4),)),
    "apply_where": (lambda x: xpx.apply_where(x > 0, x, lambda x: x * x, lambda x: -(x**3)), (_r(3, 4),)),
    "argpartition": (lambda x: _xp(x).take(x, xpx.argpartition(x, 2)), (_r(7),)),
    "at.add": (lambda x, y: xpx.at(x * 1)[1, ...].add(y), (_r(3, 4), _r(4))),
    "at.min": (lambda x: xpx.at(x * 1)[1, ...].min(0.1), (_r(3, 4),)),
    "at.multiply": (lambda x: xpx.at(x * 1)[1, ...].multiply(3.0), (_r(3, 4),)),
    "at.set": (lambda x: xpx.at(x * 1, (0, slice(None))).set(2.0), (_r(3, 4),)),
    "atleast_nd": (lambda x: xpx.atleast_nd(x, ndim=3), (_r(3, 4),)),
    "cov": (xpx.cov, (_r(3, 5),)),
    "create_diagonal": (lambda x: xpx.create_diagonal(x, offset=-2), (_r(3),)),
    "deg2rad": (xpx.deg2rad, (_r(3),)),
    "diag_indices": (lambda x: x[xpx.diag_indices(4, xp=_xp(x))], (_r(4, 4),)),
    "expand_dims": (lambda x: xpx.expand_dims(x, axis=(0, 2)), (_r(3, 4),)),
    "isclose": (lambda x: _xp(x).where(xpx.isclose(x, x[0]), x, x * x), (_r(3),)),
    "isin": (lambda x: _xp(x).where(xpx.isin(x, x[:2]), x, x * x), (_r(5),)),
    "kron": (xpx.kron, (_r(3, 2), _r(2, 2))),
    "nan_to_num": (xpx.nan_to_num, (_r(3, 4),)),
    "nanmax": (xpx.nanmax, (_r(3, 4),)),
    "nanmean": (lambda x: xpx.nanmean(x + np.asarray([0, np.nan, 0, 0])), (_r(3, 4),)),
    "nanmin": (xpx.nanmin, (_r(3, 4),)),
    "nansum": (xpx.nansum, (_r(3, 4),)),
    "nunique": (lambda x: x * xpx.nunique(x), (_r(4),)),
    "one_hot": (lambda x: x * xpx.one_hot(_xp(x).argmax(x, axis=-1), 4, dtype=x.dtype), (_r(3, 4),)),
    "pad": (lambda x: xpx.pad(x, ((1, 0), (0, 2)), constant_values=3.0), (_r(3, 4),)),
    "partition": (lambda x: xpx.partition(x, 2)[2], (_r(7),)),
    "rad2deg": (xpx.rad2deg, (_r(3),)),
    "searchsorted": (lambda x: x * xpx.searchsorted(_xp(x).sort(x), x), (_r(5),)),
    "setdiff1d": (xpx.setdiff1d, (_r(5), _r(4))),
    "sinc": (xpx.sinc, (_r(3, 4),)),
    "tril_indices": (lambda x: x[xpx.tril_indices(4, xp=_xp(x))], (_r(4, 4),)),
    "triu_indices": (lambda x: x[xpx.triu_indices(4, offset=1, xp=_xp(x))], (_r(4, 4),)),
    "union1d": (xpx.union1d, (_r(5), _r(4))),
    "unravel_index": (lambda x: x[xpx.unravel_index(_xp(x).asarray([1, 6]), (2, 4))], (_r(2, 4),)),
}

SPECIAL: dict[str, Entry] = {
    **{name: (getattr(scipy.special, name), (_p(3, 4),)) for name in ("erf", "erfc", "expit", "gammaln", "ndtr")},
    **{name: (getattr(scipy.special, name), (_p(3, 4), _p(4))) for name in ("rel_entr", "xlogy")},
    "log_softmax": (lambda x: scipy.special.log_softmax(x, axis=1), (_r(3, 4),)),
    "logsumexp": (lambda x: scipy.special.logsumexp(x, axis=0), (_r(3, 4),)),
    "logsumexp b": (lambda x, b: scipy.special.logsumexp(x, axis=0, b=b), (_r(3, 4), _p(3, 4))),
    "softmax": (lambda x: scipy.special.softmax(x, axis=1), (_r(3, 4),)),
}

_MEANS = "gmean hmean circmean circstd circvar variation skew kurtosis sem tmean tvar tstd tmin tmax tsem gstd iqr"
_OTHER_STATISTICS = "kstat kstatvar median_abs_deviation mode zscore gzscore lmoment describe"

STATS: dict[str, Entry] = {
    **{name: (getattr(scipy.stats, name), (_p(6, 4),)) for name in f"{_MEANS} {_OTHER_STATISTICS}".split()},
    "kurtosistest": (lambda x: scipy.stats.kurtosistest(x).statistic, (_r(30),)),
    "skewtest": (lambda x: scipy.stats.skewtest(x).statistic, (_r(30),)),
    "boxcox_llf": (lambda x: scipy.stats.boxcox_llf(0.5, x), (_p(6, 4),)),
    "circmean axis": (lambda x: scipy.stats.circmean(x, axis=0), (_p(6, 4),)),
    "differential_entropy": (scipy.stats.differential_entropy, (_r(20),)),
    "directional_stats": (lambda x: scipy.stats.directional_stats(x).mean_direction, (_p(6, 3),)),
    "entropy": (scipy.stats.entropy, (_p(6), _p(6))),
    "false_discovery_control": (scipy.stats.false_discovery_control, (_p(6) / 4,)),
    "kurtosis unbiased": (lambda x: scipy.stats.kurtosis(x, bias=False, axis=1), (_p(3, 7),)),
    "moment": (lambda x: scipy.stats.moment(x, order=3), (_p(6, 4),)),
    "pmean": (lambda x: scipy.stats.pmean(x, 2.5), (_p(6, 4),)),
    "quantile": (lambda x: scipy.stats.quantile(x, 0.3), (_p(6, 4),)),
    "sigmaclip": (lambda x: scipy.stats.sigmaclip(x)[0], (_r(7),)),
    "skew unbiased": (lambda x: scipy.stats.skew(x, bias=False, axis=1), (_p(3, 7),)),
    "trim_mean": (lambda x: scipy.stats.trim_mean(x, 0.2), (_p(6, 4),)),
    "yeojohnson_llf": (lambda x: scipy.stats.yeojohnson_llf(0.5, x), (_p(6, 4),)),
    "zmap": (scipy.stats.zmap, (_p(3, 4), _p(3, 4))),
}

CALCULUS: dict[str, Entry] = {
    "cluster.whiten": (scipy.cluster.vq.whiten, (_r(5, 3),)),
    "constants.convert_temperature": (lambda x: scipy.constants.convert_temperature(x, "C", "F"), (_r(3),)),
    "constants.lambda2nu": (scipy.constants.lambda2nu, (_p(3),)),
    "constants.nu2lambda": (scipy.constants.nu2lambda, (_p(3),)),
    "differentiate.derivative": (lambda x: scipy.differentiate.derivative(lambda t: _xp(t).sin(t), x).df, (_r(3),)),
    "integrate.cubature": (
        lambda x: scipy.integrate.cubature(lambda t: x * t[..., 0] ** 2, 0 * x, 0 * x + 1).estimate,
        (_p(1),),
    ),
    "integrate.cumulative_simpson": (lambda x: scipy.integrate.cumulative_simpson(x, dx=0.5, initial=0), (_r(3, 6),)),
    "integrate.cumulative_trapezoid": (scipy.integrate.cumulative_trapezoid, (_r(3, 6),)),
    "integrate.romb": (scipy.integrate.romb, (_r(3, 5),)),
    "integrate.tanhsinh": (
        lambda a: scipy.integrate.tanhsinh(lambda t, a: a * t**2, 0 * a, 1 + 0 * a, args=(a,)).integral,
        (_p(2),),
    ),
    "integrate.trapezoid": (scipy.integrate.trapezoid, (_r(3, 6), np.sort(_r(6)))),
    "linalg.block_diag": (scipy.linalg.block_diag, (_r(2, 3), _r(1, 2))),
    "linalg.fiedler": (scipy.linalg.fiedler, (_r(4),)),
    "linalg.orthogonal_procrustes": (scipy.linalg.orthogonal_procrustes, (_r(5, 3), _r(5, 3))),
    "optimize.rosen": (scipy.optimize.rosen, (_r(5),)),
    "optimize.rosen_der": (scipy.optimize.rosen_der, (_r(5),)),
    "optimize.rosen_hess": (scipy.optimize.rosen_hess, (_r(5),)),
    "optimize.rosen_hess_prod": (scipy.optimize.rosen_hess_prod, (_r(5), _r(5))),
}

_REAL_TO_COMPLEX = "rfft ihfft rfft2 rfftn fftshift ifftshift"
_COMPLEX = "fft ifft fft2 ifft2 fftn ifftn irfft hfft irfft2 irfftn hfft2"

SIGNALS: dict[str, Entry] = {
    **{f"fft.{name}": (getattr(scipy.fft, name), (_r(3, 4),)) for name in _REAL_TO_COMPLEX.split()},
    **{f"fft.{name}": (getattr(scipy.fft, name), (_z(3, 4),)) for name in _COMPLEX.split()},
    "fft.fht": (lambda x: scipy.fft.fht(x, 0.1, 0.5), (_r(6),)),
    "signal.convolve": (lambda x, y: scipy.signal.convolve(x, y, method="fft"), (_r(7), _r(4))),
    "signal.correlate": (lambda x, y: scipy.signal.correlate(x, y, method="fft"), (_r(7), _r(4))),
    "signal.envelope": (scipy.signal.envelope, (_r(3, 8),)),
    "signal.fftconvolve": (scipy.signal.fftconvolve, (_r(7), _r(4))),
    "signal.freqz": (lambda x: scipy.signal.freqz(x, worN=16)[1], (_r(5),)),
    "signal.hilbert": (scipy.signal.hilbert, (_r(3, 8),)),
    "signal.hilbert2": (scipy.signal.hilbert2, (_r(4, 6),)),
    "signal.lp2hp": (scipy.signal.lp2hp, (_p(3), _p(3))),
    "signal.lp2lp": (scipy.signal.lp2lp, (_p(3), _p(3))),
    "signal.oaconvolve": (scipy.signal.oaconvolve, (_r(7), _r(4))),
    "signal.resample": (lambda x: scipy.signal.resample(x, 10), (_r(7),)),
}

_QUATERNIONS, _VECTORS, _SCREWS = _r(3, 4), _r(3, 3), 0.5 * _r(2, 6)

ROTATIONS: dict[str, Entry] = {
    "align_vectors": (lambda x, y: Rotation.align_vectors(x, y)[0].as_matrix(), (_VECTORS, _VECTORS + 0.1 * _r(3, 3))),
    "apply": (lambda q, x: Rotation.from_quat(q).apply(x), (_QUATERNIONS, _VECTORS)),
    "compose": (lambda q, v: (Rotation.from_quat(q) * Rotation.from_rotvec(v)).as_matrix(), (_QUATERNIONS, _VECTORS)),
    "concatenate": (
        lambda q, v: Rotation.concatenate([Rotation.from_quat(q), Rotation.from_rotvec(v)]).as_matrix(),
        (_QUATERNIONS, _VECTORS),
    ),
    "from_euler": (lambda v: Rotation.from_euler("xyz", v).as_matrix(), (_VECTORS,)),
    "from_matrix": (lambda x: Rotation.from_matrix(x).as_quat(), (Rotation.from_rotvec(_VECTORS).as_matrix() + 0.01,)),
    "from_mrp": (lambda v: Rotation.from_mrp(0.2 * v).as_mrp(), (_VECTORS,)),
    "from_quat": (lambda q: Rotation.from_quat(q).as_matrix(), (_QUATERNIONS,)),
    "from_rotvec": (lambda v: Rotation.from_rotvec(v).as_matrix(), (_VECTORS,)),
    "inv": (lambda q: Rotation.from_quat(q).inv().as_quat(), (_QUATERNIONS,)),
    "magnitude": (lambda q: Rotation.from_quat(q).magnitude(), (_QUATERNIONS,)),
    "mean": (lambda q: Rotation.from_quat(q).mean().as_matrix(), (_QUATERNIONS,)),
    "power": (lambda q: (Rotation.from_quat(q) ** 0.5).as_matrix(), (_QUATERNIONS,)),
    "to_euler": (lambda q: Rotation.from_quat(q).as_euler("xyz"), (_QUATERNIONS,)),
    "to_quat": (lambda v: Rotation.from_rotvec(v).as_quat(), (_VECTORS,)),
    "to_rotvec": (lambda q: Rotation.from_quat(q).as_rotvec(), (_QUATERNIONS,)),
    "rigid apply": (
        lambda x, q: RigidTransform.from_components(x, Rotation.from_quat(q)).apply(x),
        (_VECTORS, _QUATERNIONS),
    ),
    "rigid compose": (
        lambda x, y: (RigidTransform.from_exp_coords(x) * RigidTransform.from_exp_coords(y)).as_matrix(),
        (_SCREWS, 0.5 * _r(2, 6)),
    ),
    "rigid from_dual_quat": (
        lambda x: RigidTransform.from_dual_quat(RigidTransform.from_exp_coords(x).as_dual_quat()).as_matrix(),
        (_SCREWS,),
    ),
    "rigid from_exp_coords": (lambda x: RigidTransform.from_exp_coords(x).as_matrix(), (_SCREWS,)),
    "rigid inv": (lambda x: RigidTransform.from_exp_coords(x).inv().as_matrix(), (_SCREWS,)),
    "rigid to_exp_coords": (lambda x: RigidTransform.from_exp_coords(x).as_exp_coords(), (_SCREWS,)),
}

TABLE: dict[str, Entry] = {
    f"{chapter}.{name}": entry
    for chapter, entries in {
        "array_api_extra": EXTRA,
        "scipy.special": SPECIAL,
        "scipy.stats": STATS,
        "scipy": {**CALCULUS, **SIGNALS},
        "scipy.spatial.transform": ROTATIONS,
    }.items()
    for name, entry in entries.items()
}


def _arrays(y: Any) -> list[Any]:
    return [leaf for _, leaf in tree.flatten(y) if hasattr(leaf, "dtype")]


def failure(name: str) -> str:
    """What is wrong with an entry of the table; "" if nothing is."""
    f, xs = TABLE[name]
    traced: list[Any] = []
    try:
        vjp(lambda *xs: traced.extend(_arrays(f(*xs))) or xs, *xs)
        if not any(type(y) is Array and y._node is not None for y in traced):
            return "the result is not traced"
        for ours, theirs in zip(traced, _arrays(f(*xs)), strict=True):
            np.testing.assert_allclose(getattr(ours, "_value", ours), theirs, rtol=1e-9, atol=1e-11)
        box = diff(array_api_compat.numpy).asarray
        check_gradient(lambda *xs: _arrays(f(*map(box, xs))), *xs)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def main() -> None:
    warnings.simplefilter("ignore")
    print(json.dumps({name: failure(name) for name in TABLE}))  # noqa: T201


if __name__ == "__main__":
    main()
