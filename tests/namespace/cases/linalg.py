"""Calls of linear algebra; ``before`` and ``after`` make decompositions well-defined."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.namespace.cases.call import Call, apart, call, p, r, well, well_z, z


def symmetric(xp: Any, x: Any) -> Any:
    return x + xp.matrix_transpose(xp.conj(x) if xp.isdtype(x.dtype, "complex floating") else x)


def positive_definite(xp: Any, x: Any) -> Any:
    y = xp.matmul(x, xp.matrix_transpose(xp.conj(x) if xp.isdtype(x.dtype, "complex floating") else x))
    return symmetric(xp, y) + xp.eye(x.shape[-1], dtype=x.dtype, device=x.device)


def weigh(xp: Any, x: Any) -> Any:
    """The sum of the squared absolute values times 1, 2, 3, ... of the rows: what depends on directions, not on phases."""
    size = xp.real(xp.conj(x) * x) if xp.isdtype(x.dtype, "complex floating") else x * x
    rows = xp.arange(1, x.shape[-2] + 1, dtype=xp.float64, device=x.device)
    return xp.sum(size * xp.expand_dims(rows, axis=-1), axis=-2)


def no_phase(xp: Any, result: Any) -> Any:
    """Of decompositions of complex matrices only what does not depend on the phases of vectors."""
    return tuple(weigh(xp, x) if x.ndim > 1 and xp.isdtype(x.dtype, "complex floating") else x for x in result)


def sorted_values(xp: Any, result: Any) -> Any:
    """Of eigenvalues in no particular order: sums of powers."""
    values = result[0] if isinstance(result, tuple) else result
    powers = [xp.sum(values**k, axis=-1) for k in (1, 2, 3)]
    return tuple(powers) if not isinstance(result, tuple) else (*powers, xp.sum(weigh(xp, result[1]), axis=-1))


LINEAR_ALGEBRA: dict[str, list[Call]] = {
    "matmul": [
        call(r(2, 3), r(3, 4)),
        call(r(3), r(3)),
        call(r(2, 3), r(3)),
        call(r(3), r(3, 2)),
        call(r(5, 2, 3), r(3, 4)),
        call(r(2, 1, 2, 3), r(3, 3, 2)),
        call(r(3), r(5, 3, 2)),
        call(r(5, 2, 3), r(3)),
        call(z(2, 3), z(3, 2)),
        call(r(2, 0), r(0, 3)),
    ],
    "matrix_transpose": [call(r(2, 3)), call(r(2, 3, 4)), call(z(2, 3))],
    "tensordot": [
        call(r(2, 3, 4), r(3, 4, 2)),
        call(r(2, 3), r(3, 4), axes=1),
        call(r(2, 3), r(4), axes=0),
        call(r(2, 3, 4), r(4, 2, 5), axes=((0, 2), (1, 0))),
        call(r(2, 3, 4), r(3, 4, 2), axes=((1, -1, 0), (0, 1, 2))),
        call(z(2, 3), z(3), axes=1),
        call(r(2, 0), r(0, 3), axes=1),
    ],
    "vecdot": [
        call(r(2, 3), r(2, 3)),
        call(r(3), r(2, 3)),
        call(r(3, 2), r(3, 1), axis=-2),
        call(z(3), z(2, 3)),
        call(r(0), r(0)),
    ],
}

LINALG: dict[str, list[Call]] = {
    **{f"linalg.{name}": calls for name, calls in LINEAR_ALGEBRA.items()},
    "linalg.cholesky": [
        call(well(3, 3), before=positive_definite),
        call(well(2, 3, 3), before=positive_definite, upper=True),
        call(well_z(3, 3), before=positive_definite),
        call(well_z(3, 3), before=positive_definite, upper=True),
        call(well(1, 1), before=positive_definite),
    ],
    "linalg.cross": [
        call(r(3), r(3)),
        call(r(2, 3), r(3)),
        call(r(2, 3, 4), r(3, 1), axis=-2),
        call(z(3), z(3)),
        call(r(3, 2), r(3, 2), axis=0, only="numpy"),
    ],
    "linalg.det": [
        call(well(3, 3)),
        call(well(2, 4, 4)),
        call(well_z(3, 3)),
        call(r(1, 1)),
        call(r(0, 3, 3)),
        call(np.asarray([[1.0, 2.0], [2.0, 4.5]])),
    ],
    "linalg.diagonal": [
        call(r(3, 3)),
        call(r(2, 3, 4), offset=1),
        call(r(4, 3), offset=-2),
        call(r(2, 3), offset=5),
        call(z(2, 2)),
    ],
    "linalg.eig": [
        call(well(4, 4), after=sorted_values, only="numpy"),
        call(well_z(2, 3, 3), after=sorted_values, only="numpy"),
        call(r(3, 3) + np.asarray([[0, -3.0, 0], [3, 0, 0], [0, 0, 5]]), after=sorted_values, only="numpy"),
    ],
    "linalg.eigh": [
        call(well(4, 4), before=symmetric),
        call(well(2, 3, 3), before=symmetric),
        call(well_z(3, 3), before=symmetric, after=no_phase),
        call(r(1, 1), before=symmetric),
    ],
    "linalg.eigvals": [
        call(well(4, 4), after=sorted_values, only="numpy"),
        call(well_z(3, 3), after=sorted_values, only="numpy"),
    ],
    "linalg.eigvalsh": [call(well(4, 4), before=symmetric), call(well_z(2, 3, 3), before=symmetric)],
    "linalg.inv": [call(well(3, 3)), call(well(2, 3, 3)), call(well_z(3, 3)), call(p(1, 1))],
    "linalg.matrix_norm": [
        *(call(well(3, 4), ord=ord) for ord in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)),
        call(well(2, 3, 3), keepdims=True),
        *(call(well(2, 3, 3), keepdims=True, ord=ord) for ord in ("nuc", 1, 2)),
        call(well_z(3, 3)),
        call(well_z(3, 3), ord="nuc"),
        call(well_z(3, 3), ord=1),
    ],
    "linalg.matrix_power": [
        *(call(0.5 * well(3, 3), n) for n in (0, 1, 2, 3, 5, -1, -2)),
        call(well_z(2, 2, 2), 3),
    ],
    "linalg.outer": [call(r(2), r(3)), call(z(2), z(3)), call(r(0), r(3))],
    "linalg.pinv": [
        call(well(4, 3)),
        call(well(2, 3, 4)),
        call(well(3, 3)),
        call(well_z(4, 3)),
        call(well(4, 3), rtol=1e-10),
    ],
    "linalg.qr": [
        call(well(3, 3)),
        call(well(2, 4, 3)),
        call(well(3, 5)),
        call(well(3, 3), mode="complete"),
        call(well(4, 3), mode="complete", after=lambda xp, result: result[1]),
        call(well_z(4, 3), after=no_phase),
        call(well_z(3, 5), after=no_phase),
    ],
    "linalg.slogdet": [call(well(3, 3)), call(-well(2, 3, 3)), call(well_z(3, 3)), call(r(1, 1))],
    "linalg.solve": [
        call(well(3, 3), r(3)),
        call(well(3, 3), r(3, 2)),
        call(well(2, 3, 3), r(3, 2)),
        call(well(3, 3), r(2, 3, 1)),
        call(well(2, 3, 3), r(3)),
        call(well_z(3, 3), z(3, 2)),
    ],
    "linalg.svd": [
        call(well(3, 3)),
        call(well(4, 3), full_matrices=False),
        call(well(2, 3, 4), full_matrices=False),
        call(well(4, 3), after=lambda xp, result: result[1]),
        call(well_z(4, 3), full_matrices=False, after=no_phase),
        call(well_z(3, 4), full_matrices=False, after=no_phase),
        call(well_z(3, 3), after=lambda xp, result: xp.matmul(result[0], result[2])),
    ],
    "linalg.svdvals": [call(well(4, 3)), call(well(2, 3, 4)), call(well_z(3, 3))],
    "linalg.trace": [call(r(3, 3)), call(r(2, 3, 4), offset=1), call(r(4, 3), offset=-1), call(z(3, 3)), call(r(0, 0))],
    "linalg.vector_norm": [
        *(call(apart(3, 4), ord=ord) for ord in (2, 1, 3, 0.5, -1, np.inf, -np.inf)),
        call(apart(3, 4), axis=1),
        call(apart(3, 4, 2), axis=(0, -1), keepdims=True, ord=3),
        call(apart(3, 4), axis=0, ord=np.inf, keepdims=True),
        call(apart(3, 4), axis=-1, ord=0),
        call(r()),
        *(call(z(4), ord=ord) for ord in (2, 1, 3, np.inf)),
    ],
}
