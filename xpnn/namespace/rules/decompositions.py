"""Matrix decompositions of the extension ``linalg``.

The formulas are written for gradients in the usual sense of complex arrays (dL/da + i dL/db), as they stand in the
literature; the tape's gradients are their conjugates, so that arguments are conjugated on the way in and on the way out.
Singular and eigenvectors have a gradient only in functions that do not depend on the choice among them (sign or phase).
Vectors of equal values have none: where they were used, the gradient is nan, as it is in torch.
"""

from __future__ import annotations

from typing import Any

from ..rule import Composite, Joint, Rule
from .helpers import adjoint, conj, is_complex, one_where


def _lower(xp: Any, x: Any) -> Any:
    """The lower triangle with half of the diagonal."""
    return (xp.tril(x) + xp.tril(x, k=-1)) / 2


def _diagonal_matrix(xp: Any, values: Any) -> Any:
    """values (..., N) -> (..., N, N)"""
    eye = xp.eye(values.shape[-1], dtype=values.dtype, device=values.device)
    return xp.expand_dims(values, axis=-1) * eye


def _hermitian(xp: Any, x: Any) -> Any:
    return (x + adjoint(xp, x)) / 2


def _over_differences(xp: Any, x: Any, values: Any, present: Any) -> Any:
    """x[i, j] / (values[j] - values[i]) off the diagonal; of equal values nan where ``present`` holds, else 0."""
    gaps = xp.expand_dims(values, axis=-2) - xp.expand_dims(values, axis=-1)
    equal = gaps == 0
    quotient = x / xp.astype(xp.where(equal, xp.ones_like(gaps), gaps), x.dtype)
    off_diagonal = ~xp.eye(values.shape[-1], dtype=xp.bool, device=values.device)
    zero = xp.zeros_like(quotient)
    return xp.where(equal, xp.where(present & off_diagonal, zero + xp.nan, zero), quotient)


def _right_divided(xp: Any, x: Any, y: Any) -> Any:
    """x times the inverse of y."""
    return xp.matrix_transpose(xp.linalg.solve(xp.matrix_transpose(y), xp.matrix_transpose(x)))


def _cholesky(xp: Any, g: Any, out: Any, _x: Any, upper: bool) -> Any:
    g = conj(xp, g)
    low, g = (adjoint(xp, out), adjoint(xp, g)) if upper else (out, g)
    lowh = adjoint(xp, low)
    inner = _lower(xp, xp.matmul(lowh, g))
    gx = _right_divided(xp, xp.linalg.solve(lowh, inner), low)
    return conj(xp, _hermitian(xp, gx))


def _eigh(xp: Any, gs: Any, outs: Any, _x: Any) -> Any:
    g_values, g_vectors = gs
    values, vectors = outs
    inner = None
    if g_vectors is not None:
        inner = xp.matmul(adjoint(xp, vectors), conj(xp, g_vectors))
        inner = _over_differences(xp, inner, values, inner != 0)
    if g_values is not None:
        diagonal = _diagonal_matrix(xp, xp.astype(g_values, vectors.dtype))
        inner = diagonal if inner is None else inner + diagonal
    gx = xp.matmul(xp.matmul(vectors, inner), adjoint(xp, vectors))
    return conj(xp, _hermitian(xp, gx))


def _eig(xp: Any, gs: Any, outs: Any, _x: Any) -> Any:
    """The eigenvectors have length 1, and a free phase."""
    g_values, g_vectors = gs
    values, vectors = outs
    inner = None
    if g_vectors is not None:
        vh, g = adjoint(xp, vectors), xp.conj(g_vectors)
        # a change along an eigenvector itself would change its length: its real part does not count
        along = xp.sum(xp.conj(vectors) * g, axis=-2)
        along = xp.astype(xp.real(along), vectors.dtype)
        inner = xp.matmul(vh, g) - xp.matmul(vh, vectors) * xp.expand_dims(along, axis=-2)
        inner = _over_differences(xp, inner, xp.conj(values), inner != 0)
    if g_values is not None:
        diagonal = _diagonal_matrix(xp, xp.conj(g_values))
        inner = diagonal if inner is None else inner + diagonal
    vh = adjoint(xp, vectors)
    return xp.conj(xp.linalg.solve(vh, xp.matmul(inner, vh)))


def _without_completion(xp: Any, g: Any, size: int, advice: str) -> Any:
    """The gradient of the first columns; the others complete a basis in an arbitrary way, and must have none."""
    if g is None:
        return None
    if xp.any(g[..., :, size:] != 0):
        raise TypeError(f"the vectors beyond min(M, N) = {size} that complete a basis have no gradient; {advice}")
    return g[..., :, :size]


def _skew(xp: Any, x: Any) -> Any:
    return x - adjoint(xp, x)


def _svd(xp: Any, gs: Any, outs: Any, _x: Any, full_matrices: bool) -> Any:
    """Townsend, Differentiating the singular value decomposition (2016); for complex matrices Wan and Zhang (2019)."""
    u, s, vh = outs
    g_u, g_s, g_vh = gs
    if full_matrices and _x.shape[-2] != _x.shape[-1]:
        size = s.shape[-1]
        u, vh = u[..., :, :size], vh[..., :size, :]
        g_u = _without_completion(xp, g_u, size, "svd: use full_matrices=False")
        if g_vh is not None:
            g_vh = xp.matrix_transpose(
                _without_completion(xp, xp.matrix_transpose(g_vh), size, "svd: use full_matrices=False")
            )
    uh, v = adjoint(xp, u), adjoint(xp, vh)
    g_u = None if g_u is None else conj(xp, g_u)
    g_v = None if g_vh is None else xp.matrix_transpose(g_vh)
    inner = _svd_inner(xp, uh, vh, s, g_u, g_s, g_v)
    gx = xp.matmul(xp.matmul(u, inner), vh)
    scale = xp.expand_dims(xp.astype(s, u.dtype), axis=-2)
    if g_u is not None and _x.shape[-2] > s.shape[-1]:
        outside = g_u - xp.matmul(u, xp.matmul(uh, g_u))
        gx = gx + xp.matmul(outside / scale, vh)
    if g_v is not None and _x.shape[-1] > s.shape[-1]:
        outside = g_v - xp.matmul(v, xp.matmul(vh, g_v))
        gx = gx + xp.matmul(u, adjoint(xp, outside / scale))
    return conj(xp, gx)


def _svd_inner(xp: Any, uh: Any, vh: Any, s: Any, g_u: Any, g_s: Any, g_v: Any) -> Any:
    """What stands between U and V^H in the gradient.

    That is (L s[j] + s[i] R) / (s[j]**2 - s[i]**2), with L and R what turns U and V, in partial fractions.
    """
    inner = _diagonal_matrix(xp, xp.astype(xp.zeros_like(s) if g_s is None else g_s, uh.dtype))
    if g_u is None and g_v is None:
        return inner
    left = xp.zeros_like(inner) if g_u is None else _skew(xp, xp.matmul(uh, g_u))
    right = xp.zeros_like(inner) if g_v is None else _skew(xp, xp.matmul(vh, g_v))
    present = (left != 0) | (right != 0)
    sums = xp.expand_dims(s, axis=-2) + xp.expand_dims(s, axis=-1)
    apart = (left - right) / xp.astype(one_where(xp, sums == 0, sums), left.dtype)
    return inner + (_over_differences(xp, left + right, s, present) + apart) / 2


def _qr(xp: Any, gs: Any, outs: Any, _x: Any, mode: str) -> Any:
    q, r = outs
    g_q, g_r = (None if g is None else conj(xp, g) for g in gs)
    rows, columns = _x.shape[-2:]
    size = min(rows, columns)
    if mode == "complete" and rows > columns:
        q, r = q[..., :, :size], r[..., :size, :]
        g_q = _without_completion(xp, g_q, size, "qr: use mode='reduced'")
        g_r = None if g_r is None else g_r[..., :size, :]
    g_q = xp.zeros_like(q) if g_q is None else g_q
    g_r = xp.zeros_like(r) if g_r is None else g_r
    if rows >= columns:
        return conj(xp, _qr_tall(xp, q, r, g_q, g_r))
    # a wide matrix [X Y] = Q [U V]: X = Q U is square, and V = Q^H Y
    y = xp.matmul(q, r[..., :, size:])
    g_q = g_q + xp.matmul(y, adjoint(xp, g_r[..., :, size:]))
    left = _qr_tall(xp, q, r[..., :, :size], g_q, g_r[..., :, :size])
    return conj(xp, xp.concat([left, xp.matmul(q, g_r[..., :, size:])], axis=-1))


def _qr_tall(xp: Any, q: Any, r: Any, g_q: Any, g_r: Any) -> Any:
    """Walter, Lehmann and Lamour (2012); the diagonal of R is real."""
    inner = xp.triu(xp.matmul(g_r, adjoint(xp, r)) - xp.matmul(adjoint(xp, q), g_q))
    inner = inner + adjoint(xp, xp.triu(inner, k=1)) - _imaginary_diagonal(xp, inner)
    return _right_divided(xp, g_q + xp.matmul(q, inner), adjoint(xp, r))


def _imaginary_diagonal(xp: Any, x: Any) -> Any:
    if not is_complex(xp, x):
        return xp.zeros_like(x)
    return xp.astype(xp.imag(x), x.dtype) * 1j * xp.eye(x.shape[-1], dtype=x.dtype, device=x.device)


RULES: dict[str, Any] = {
    "linalg.cholesky": Rule("x, /, *, upper=False", x=_cholesky),
    "linalg.eig": Joint("x, /", _eig),
    "linalg.eigh": Joint("x, /", _eigh),
    "linalg.eigvals": Composite("x, /", lambda xp, x: xp.linalg.eig(x)[0]),
    "linalg.eigvalsh": Composite("x, /", lambda xp, x: xp.linalg.eigh(x)[0]),
    "linalg.qr": Joint("x, /, *, mode='reduced'", _qr),
    "linalg.svd": Joint("x, /, *, full_matrices=True", _svd),
    "linalg.svdvals": Composite("x, /", lambda xp, x: xp.linalg.svd(x, full_matrices=False)[1]),
}
