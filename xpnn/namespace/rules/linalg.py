"""The extension ``linalg``: solving, determinants, norms, products. (Decompositions have their own file.)

Where a function reads only one triangle of a symmetric or Hermitian argument, the gradient is that of the function of
the whole matrix, as in torch: symmetric or Hermitian itself.
"""

from __future__ import annotations

import math
from typing import Any

from ..array import Array
from ..rule import Composite, Joint, Rule
from . import linear_algebra
from .helpers import adjoint, conj, is_complex, keep_axes, one_where


def _matrix(xp: Any, g: Any) -> Any:
    """One number a matrix, with two axes to broadcast against it."""
    return xp.reshape(g, (*g.shape, 1, 1))


def _diagonal(xp: Any, g: Any, _out: Any, _x: Any, offset: int) -> Any:
    rows, columns = _x.shape[-2:]
    size = g.shape[-1]
    # every row gets the element of g that belongs on its diagonal, all others are masked
    above, below = max(-offset, 0), rows - size - max(-offset, 0)
    parts = [xp.zeros((*g.shape[:-1], n), dtype=g.dtype, device=g.device) for n in (above, below)]
    column = xp.expand_dims(xp.concat([parts[0], g, parts[1]], axis=-1), axis=-1)
    mask = xp.eye(rows, columns, k=offset, dtype=xp.bool, device=g.device)
    column = xp.broadcast_to(column, _x.shape)
    return xp.where(mask, column, xp.zeros_like(column))


def _trace(xp: Any, g: Any, _out: Any, _x: Any, offset: int, _dtype: Any) -> Any:
    return _matrix(xp, g) * xp.eye(*_x.shape[-2:], k=offset, dtype=g.dtype, device=g.device)


def _det(xp: Any, g: Any, out: Any, x: Any) -> Any:
    """g times the transposed adjugate."""
    if x.shape[-1] == 0:
        return xp.zeros_like(x)
    if not xp.any(out == 0):
        return _matrix(xp, g * out) * xp.matrix_transpose(xp.linalg.inv(x))
    if type(x) is Array:
        return _matrix(xp, g) * xp.matrix_transpose(_adjugate(xp, x))
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    n = s.shape[-1]
    others = xp.where(xp.eye(n, dtype=xp.bool, device=s.device), xp.ones_like(s[..., None, :]), s[..., None, :])
    others = xp.astype(xp.prod(others, axis=-1), u.dtype)
    # adj(U S V) = det(U V) V^H adj(S) U^H, and adj(S) holds the products of all other singular values
    unit = _matrix(xp, g * xp.linalg.det(u) * xp.linalg.det(vh))
    return unit * conj(xp, xp.matmul(u * xp.expand_dims(others, axis=-2), vh))


def _adjugate(xp: Any, x: Any) -> Any:
    """By the algorithm of Faddeev and Leverrier: a polynomial of x, and so with derivatives of every order."""
    n = x.shape[-1]
    eye = xp.eye(n, dtype=x.dtype, device=x.device)
    adjugate = xp.zeros_like(x) + eye
    for k in range(1, n):
        product = xp.matmul(x, adjugate)
        adjugate = product - _matrix(xp, xp.linalg.trace(product) / k) * eye
    return adjugate if n % 2 else -adjugate


def _slogdet(xp: Any, gs: Any, outs: Any, x: Any) -> Any:
    sign, _ = outs
    g_sign, g_log = gs
    g = xp.astype(g_log, x.dtype) if g_log is not None else None
    if g_sign is not None and is_complex(xp, x):
        turned = xp.astype(xp.imag(g_sign * sign), x.dtype) * 1j
        g = turned if g is None else g + turned
    if g is None:  # the sign of a real determinant is a step
        return xp.zeros_like(x)
    return _matrix(xp, g) * xp.matrix_transpose(xp.linalg.inv(x))


def _cross(xp: Any, x: Any, y: Any, like: Any, axis: int) -> Any:
    if axis >= 0 and like.ndim != max(x.ndim, y.ndim):
        raise TypeError(f"cross: arrays of different dimensions have a gradient only for a negative axis, got {axis}")
    return xp.linalg.cross(x, y, axis=axis)


def _inv(xp: Any, g: Any, out: Any, _x: Any) -> Any:
    back = xp.matrix_transpose(out)
    return -xp.matmul(xp.matmul(back, g), back)


def _solve_x1(xp: Any, g: Any, out: Any, x: Any, _y: Any) -> Any:
    g = _solve_x2(xp, g, out, x, _y)
    if out.ndim < x.ndim:
        return -xp.expand_dims(g, axis=-1) * xp.expand_dims(out, axis=-2)
    return -xp.matmul(g, xp.matrix_transpose(out))


def _solve_x2(xp: Any, g: Any, _out: Any, x: Any, _y: Any) -> Any:
    back = xp.matrix_transpose(x)
    if 1 < g.ndim < x.ndim:  # a stack of vectors: solve takes only a single one as a vector
        return xp.linalg.solve(back, xp.expand_dims(g, axis=-1))[..., 0]
    return xp.linalg.solve(back, g)


def _pinv(xp: Any, g: Any, out: Any, x: Any, _rtol: Any) -> Any:
    """For matrices of constant rank (Golub and Pereyra, 1973)."""
    back, gt = xp.matrix_transpose(out), xp.matrix_transpose(g)
    gx = -xp.matmul(xp.matmul(back, g), back)
    rows, columns = x.shape[-2:]
    left = xp.eye(rows, dtype=x.dtype, device=x.device) - xp.matmul(x, out)
    right = xp.eye(columns, dtype=x.dtype, device=x.device) - xp.matmul(out, x)
    outh = adjoint(xp, out)
    gx = gx + conj(xp, xp.matmul(xp.matmul(left, gt), xp.matmul(out, outh)))
    return gx + conj(xp, xp.matmul(xp.matmul(xp.matmul(outh, out), gt), right))


def _matrix_power(xp: Any, x: Any, n: int) -> Any:
    """By repeated squaring."""
    if n == 0:
        return xp.zeros_like(x) + xp.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    power, result, n = (x, None, n) if n > 0 else (xp.linalg.inv(x), None, -n)
    while n:
        if n % 2:
            result = power if result is None else xp.matmul(result, power)
        n //= 2
        if n:
            power = xp.matmul(power, power)
    return result


def _vector_norm(xp: Any, g: Any, out: Any, x: Any, axis: Any, keepdims: bool, ord: float) -> Any:
    """At points with a kink a subgradient: 0 in the origin, equal shares among extreme elements."""
    g, out = keep_axes(xp, g, x, axis, keepdims), keep_axes(xp, out, x, axis, keepdims)
    if ord == 0:
        return xp.zeros_like(x)
    if ord == 2:
        return g / one_where(xp, out == 0, out) * conj(xp, x)
    size = xp.abs(x)
    unit = conj(xp, x) / one_where(xp, size == 0, size)
    if math.isinf(ord):
        chosen = xp.astype(size == out, g.dtype)
        return g * chosen / xp.sum(chosen, axis=axis, keepdims=True) * unit
    if ord == 1:
        return g * unit
    share = one_where(xp, size == 0, size) / one_where(xp, out == 0, out)
    return xp.where(size == 0, xp.zeros_like(x), g * share ** (ord - 1) * unit)


def _matrix_norm(xp: Any, x: Any, keepdims: bool, ord: Any) -> Any:
    if ord in ("fro", None):
        return xp.linalg.vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord in ("nuc", 2, -2):
        s = xp.linalg.svdvals(x)
        norm = xp.sum(s, axis=-1) if ord == "nuc" else xp.max(s, axis=-1) if ord == 2 else xp.min(s, axis=-1)
        return _matrix(xp, norm) if keepdims else norm
    if ord not in (1, -1, math.inf, -math.inf):
        raise ValueError(f"ord: expected 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, got {ord!r}")
    summed, other = (-2, -1) if abs(ord) == 1 else (-1, -2)
    sums = xp.sum(xp.abs(x), axis=summed, keepdims=True)
    norm = (xp.max if ord > 0 else xp.min)(sums, axis=other, keepdims=True)
    return norm if keepdims else norm[..., 0, 0]


RULES: dict[str, Any] = {
    **{f"linalg.{name}": rule for name, rule in linear_algebra.RULES.items()},
    "linalg.cross": Rule(
        "x1, x2, /, *, axis=-1",
        x1=lambda xp, g, _out, _x, y, axis: _cross(xp, y, g, _x, axis),
        x2=lambda xp, g, _out, x, _y, axis: _cross(xp, g, x, _y, axis),
    ),
    "linalg.det": Rule("x, /", x=_det),
    "linalg.diagonal": Rule("x, /, *, offset=0", x=_diagonal),
    "linalg.inv": Rule("x, /", x=_inv),
    "linalg.matrix_norm": Composite("x, /, *, keepdims=False, ord='fro'", _matrix_norm),
    "linalg.matrix_power": Composite("x, n, /", _matrix_power),
    "linalg.outer": Rule(
        "x1, x2, /",
        x1=lambda xp, g, _out, _x, y: xp.matmul(g, y),
        x2=lambda xp, g, _out, x, _y: xp.matmul(x, g),
    ),
    "linalg.pinv": Rule("x, /, *, rtol=None", constant="rtol", x=_pinv),
    "linalg.slogdet": Joint("x, /", _slogdet),
    "linalg.solve": Rule("x1, x2, /", x1=_solve_x1, x2=_solve_x2),
    "linalg.trace": Rule("x, /, *, offset=0, dtype=None", x=_trace),
    "linalg.vector_norm": Rule("x, /, *, axis=None, keepdims=False, ord=2", x=_vector_norm),
}
