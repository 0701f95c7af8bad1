"""What CuPy has of NumPy's functions, and with which arguments: as read from CuPy 14.2; the rest is missing there or here.

tests/cupy_double/test_names.py compares it with the CuPy that is installed.
"""

from __future__ import annotations

import inspect
from typing import Any

__all__ = ["FFT", "FUNCTIONS", "LINALG", "UFUNCS"]

UFUNCS = """
    abs absolute acos acosh add arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan atan2 atanh
    bitwise_and bitwise_count bitwise_invert bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift
    bitwise_xor ceil conjugate copysign cos cosh divide equal exp exp2 expm1 floor floor_divide greater
    greater_equal hypot invert isfinite isinf isnan left_shift less less_equal log log10 log1p log2 logaddexp
    logical_and logical_not logical_or logical_xor maximum minimum mod multiply negative nextafter not_equal
    positive pow power reciprocal remainder right_shift rint sign signbit sin sinh sqrt square subtract tan tanh
    true_divide trunc conj divmod
""".split()


def _table(text: str) -> dict[str, inspect.Signature]:
    return {entry.partition("(")[0].strip(): _signature(entry) for entry in text.split(";") if entry.strip()}


def _signature(entry: str) -> inspect.Signature:
    scope: dict[str, Any] = {}
    name = entry.partition("(")[0].strip()
    exec(f"def {entry.strip()}: pass", scope)
    return inspect.signature(scope[name])


FUNCTIONS = _table("""
    all(a, axis=None, out=None, keepdims=False); any(a, axis=None, out=None, keepdims=False);
    arange(start, stop=None, step=1, dtype=None); argmax(a, axis=None, dtype=None, out=None, keepdims=False);
    argmin(a, axis=None, dtype=None, out=None, keepdims=False); argsort(a, axis=-1, kind=None);
    array(obj, dtype=None, copy=True, order='K', subok=False, ndmin=0, *, blocking=False);
    asarray(a, dtype=None, order=None, *, copy=None, blocking=False); ascontiguousarray(a, dtype=None);
    astype(x, dtype, /, *, copy=True); broadcast_arrays(*args); broadcast_shapes(*args);
    broadcast_to(array, shape); can_cast(from_, to, casting='safe'); clip(a, a_min, a_max, out=None);
    concat(tup, axis=0, out=None, *, dtype=None, casting='same_kind');
    concatenate(tup, axis=0, out=None, *, dtype=None, casting='same_kind'); copy(a, order='K');
    count_nonzero(a, axis=None); cross(a, b, axisa=-1, axisb=-1, axisc=-1, axis=None);
    cumprod(a, axis=None, dtype=None, out=None); cumsum(a, axis=None, dtype=None, out=None);
    cumulative_prod(x, /, *, axis=None, dtype=None, out=None, include_initial=False);
    cumulative_sum(x, /, *, axis=None, dtype=None, out=None, include_initial=False); diag(v, k=0);
    diagonal(a, offset=0, axis1=0, axis2=1); diff(a, n=1, axis=-1, prepend=None, append=None); dot(a, b, out=None);
    empty(shape, dtype=float, order='C'); empty_like(prototype, dtype=None, order='K', subok=None, shape=None);
    expand_dims(a, axis); eye(N, M=None, k=0, dtype=float, order='C'); flip(a, axis=None);
    full(shape, fill_value, dtype=None, order='C');
    full_like(a, fill_value, dtype=None, order='K', subok=None, shape=None); imag(val);
    isclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False); iscomplexobj(x); isdtype(dtype, kind);
    isin(element, test_elements, assume_unique=False, invert=False); isneginf(x, out=None); isposinf(x, out=None);
    isrealobj(x); isscalar(element);
    linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0); matrix_transpose(x, /);
    max(a, axis=None, out=None, keepdims=False); mean(a, axis=None, dtype=None, out=None, keepdims=False);
    meshgrid(*xi, **kwargs); min(a, axis=None, out=None, keepdims=False); moveaxis(a, source, destination);
    nanmax(a, axis=None, out=None, keepdims=False); nanmin(a, axis=None, out=None, keepdims=False); ndim(a);
    nonzero(a); ones(shape, dtype=float, order='C'); ones_like(a, dtype=None, order='K', subok=None, shape=None);
    outer(a, b, out=None); permute_dims(a, axes=None); prod(a, axis=None, dtype=None, out=None, keepdims=False);
    ravel(a, order='C'); real(val); repeat(a, repeats, axis=None); reshape(a, newshape, order='C', *, copy=None);
    result_type(*arrays_and_dtypes); roll(a, shift, axis=None); round(a, decimals=0, out=None);
    searchsorted(a, v, side='left', sorter=None); shape(a); sort(a, axis=-1, kind=None);
    split(ary, indices_or_sections, axis=0); squeeze(a, axis=None);
    stack(tup, axis=0, out=None, *, dtype=None, casting='same_kind');
    std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False);
    sum(a, axis=None, dtype=None, out=None, keepdims=False); swapaxes(a, axis1, axis2);
    take(a, indices, axis=None, out=None); take_along_axis(a, indices, axis); tensordot(a, b, axes=2);
    tile(A, reps); trace(a, offset=0, axis1=0, axis2=1, dtype=None, out=None); transpose(a, axes=None);
    tril(m, k=0); triu(m, k=0);
    unique(ar, return_index=False, return_inverse=False, return_counts=False, axis=None, *, equal_nan=True);
    unique_all(x); unique_counts(x); unique_inverse(x); unique_values(x);
    var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False); vdot(a, b); where(condition, x=None, y=None);
    zeros(shape, dtype=float, order='C'); zeros_like(a, dtype=None, order='K', subok=None, shape=None);
""")
LINALG = _table("""
    cholesky(a); cross(x1, x2, /, *, axis=-1); det(a); eig(a); eigh(a, UPLO='L'); eigvals(a);
    eigvalsh(a, UPLO='L'); inv(a); lstsq(a, b, rcond=None);
    matrix_power(M, n); matrix_rank(M, tol=None); matrix_transpose(a);
    norm(x, ord=None, axis=None, keepdims=False); pinv(a, rcond=1e-15); qr(a, mode='reduced'); slogdet(a);
    solve(a, b); svd(a, full_matrices=True, compute_uv=True);
""")
FFT = _table("""
    fft(a, n=None, axis=-1, norm=None); fftfreq(n, d=1.0); fftn(a, s=None, axes=None, norm=None);
    fftshift(x, axes=None); hfft(a, n=None, axis=-1, norm=None); ifft(a, n=None, axis=-1, norm=None);
    ifftn(a, s=None, axes=None, norm=None); ifftshift(x, axes=None); ihfft(a, n=None, axis=-1, norm=None);
    irfft(a, n=None, axis=-1, norm=None); irfftn(a, s=None, axes=None, norm=None);
    rfft(a, n=None, axis=-1, norm=None); rfftfreq(n, d=1.0); rfftn(a, s=None, axes=None, norm=None);
""")
