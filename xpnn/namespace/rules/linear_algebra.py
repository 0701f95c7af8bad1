"""Linear algebra of the main namespace: products of arrays. (The extension ``linalg`` has its own file.)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..rule import Rule
from .helpers import conj


def _matmul_x1(xp: Any, g: Any, _out: Any, _x: Any, y: Any) -> Any:
    if y.ndim == 1:  # (..., n) @ (n,) -> (...): the gradient is an outer product
        return xp.expand_dims(g, axis=-1) * y
    if _x.ndim == 1:
        return xp.matmul(y, xp.expand_dims(g, axis=-1))[..., 0]
    return xp.matmul(g, xp.matrix_transpose(y))


def _matmul_x2(xp: Any, g: Any, _out: Any, x: Any, _y: Any) -> Any:
    if x.ndim == 1:
        g = xp.expand_dims(g, axis=-1) if _y.ndim == 1 else xp.expand_dims(g, axis=-2)
        return (x * g) if _y.ndim == 1 else xp.expand_dims(x, axis=-1) * g
    if _y.ndim == 1:
        return xp.matmul(xp.matrix_transpose(x), xp.expand_dims(g, axis=-1))[..., 0]
    return xp.matmul(xp.matrix_transpose(x), g)


def _vecdot_x1(xp: Any, g: Any, _out: Any, _x: Any, y: Any, axis: int) -> Any:
    return conj(xp, xp.expand_dims(g, axis=axis) * y)


def _vecdot_x2(xp: Any, g: Any, _out: Any, x: Any, _y: Any, axis: int) -> Any:
    return xp.expand_dims(g, axis=axis) * conj(xp, x)


def _contracted(ndim1: int, ndim2: int, axes: Any) -> tuple[list[int], list[int], list[int], list[int]]:
    """The axes of both arrays that tensordot sums over, and those that it keeps."""
    if isinstance(axes, int):
        summed1, summed2 = list(range(ndim1 - axes, ndim1)), list(range(axes))
    else:
        summed1, summed2 = [i % ndim1 for i in axes[0]], [i % ndim2 for i in axes[1]]
    kept1 = [i for i in range(ndim1) if i not in summed1]
    return summed1, summed2, kept1, [i for i in range(ndim2) if i not in summed2]


def _ordered(xp: Any, x: Any, axes: Sequence[int]) -> Any:
    """x with its axis number i at the place axes[i]."""
    return xp.permute_dims(x, tuple(axes.index(i) for i in range(x.ndim)))


def _tensordot_x1(xp: Any, g: Any, _out: Any, _x: Any, y: Any, axes: Any) -> Any:
    summed1, summed2, kept1, kept2 = _contracted(_x.ndim, y.ndim, axes)
    gx = xp.tensordot(g, y, axes=(tuple(range(len(kept1), g.ndim)), tuple(kept2)))
    rest = [i for _, i in sorted(zip(summed2, summed1, strict=True))]  # in the order of the axes of y
    return _ordered(xp, gx, kept1 + rest)


def _tensordot_x2(xp: Any, g: Any, _out: Any, x: Any, _y: Any, axes: Any) -> Any:
    summed1, summed2, kept1, kept2 = _contracted(x.ndim, _y.ndim, axes)
    gy = xp.tensordot(x, g, axes=(tuple(kept1), tuple(range(len(kept1)))))
    rest = [i for _, i in sorted(zip(summed1, summed2, strict=True))]
    return _ordered(xp, gy, rest + kept2)


RULES: dict[str, Any] = {
    "matmul": Rule("x1, x2, /", x1=_matmul_x1, x2=_matmul_x2),
    "matrix_transpose": Rule("x, /", x=lambda xp, g, _out, _x: xp.matrix_transpose(g)),
    "tensordot": Rule("x1, x2, /, *, axes=2", x1=_tensordot_x1, x2=_tensordot_x2),
    "vecdot": Rule("x1, x2, /, *, axis=-1", x1=_vecdot_x1, x2=_vecdot_x2),
}
