"""Calls of the chapters manipulation, indexing, searching, sorting, sets, utilities and creation."""

from __future__ import annotations

import numpy as np

from tests.namespace.cases.call import Call, apart, b, call, i, r, z

MANIPULATION: dict[str, list[Call]] = {
    "broadcast_arrays": [call(r(3, 1), r(4), r()), call(r(2, 0), r(1)), call(z(2, 1), r(3))],
    "broadcast_to": [call(r(3, 1), (2, 3, 4)), call(r(), (3,)), call(r(0), (2, 0)), call(r(3), (3,))],
    "concat": [
        call([r(2, 3), r(1, 3)]),
        call([r(2, 3), r(2, 1), r(2, 0)], axis=-1),
        call([r(2, 3), r()[None], r(2)], axis=None),
        call([r(2)]),
        call([z(2), z(1)]),
    ],
    "expand_dims": [call(r(2, 3), 1), call(r(2, 3), axis=-1), call(r(), axis=0), call(r(2, 3), axis=(0, -1))],
    "flip": [call(r(2, 3)), call(r(2, 3), axis=1), call(r(2, 3, 2), axis=(0, -1)), call(r(0))],
    "meshgrid": [
        call(r(2), r(3)),
        call(r(2), r(3), r(1), indexing="ij"),
        call(r(2), r(3), r(4)),
        call(r(3)),
        call(r(0), r(2)),
    ],
    "moveaxis": [call(r(2, 3, 4), 0, -1), call(r(2, 3, 4), (0, 1), (2, 0)), call(r(2), 0, 0)],
    "permute_dims": [call(r(2, 3, 4), (2, 0, 1)), call(r(), ()), call(r(2, 3, 4), (-1, 0, 1)), call(r(0, 2), (1, 0))],
    "repeat": [
        call(r(2, 3), 2),
        call(r(2, 3), 3, axis=0),
        call(r(2, 3), i(1, 0, 2), axis=-1),
        call(r(3), i(2, 0, 1)),
        call(r(0), 2),
        call(r(2, 3), 0, axis=1),
    ],
    "reshape": [call(r(2, 6), (3, -1)), call(r(), (1, 1)), call(r(0, 3), (0,)), call(r(4), (2, 2), copy=True)],
    "roll": [
        call(r(2, 3), 1),
        call(r(2, 3), -2, axis=1),
        call(r(2, 3), (1, 2), axis=(0, 1)),
        call(r(0), 1),
    ],
    "squeeze": [call(r(2, 1, 3), 1), call(r(1, 2, 1), axis=(0, -1)), call(r(1), axis=0)],
    "stack": [call([r(2, 3), r(2, 3)]), call([r(2), r(2), r(2)], axis=-1), call([r(), r()]), call([r(2, 0)], axis=1)],
    "tile": [
        call(r(2, 3), (2,)),
        call(r(2), (2, 1, 3)),
        call(r(2, 3), (1, 2)),
        call(r(), (3,)),
        call(r(2), (0,)),
        call(r(2), ()),
    ],
    "unstack": [call(r(3, 2)), call(r(3, 2), axis=-1), call(r(2, 0, 2), axis=2), call(r(3))],
}

SELECTION: dict[str, list[Call]] = {
    "sort": [
        call(apart(5)),
        call(apart(3, 4), axis=0),
        call(apart(3, 4), descending=True),
        call(apart(2, 3, 2), axis=1, stable=False),
        call(r(0)),
    ],
    "take": [
        call(r(5), i(0, 2, 2, 4, 2)),
        call(r(5, 3), i(1, 1, 4), axis=0),
        call(r(2, 5, 3), i(4, 0, 4, 4, 4, 0, 1), axis=1),
        call(r(2, 3), i([2, 2]), axis=-1),
        call(r(4, 2), np.zeros(0, dtype=np.int64), axis=0),
        call(z(3), i(0, 0)),
        call(r(3, 2), i([[0, 1], [2, 2]]), axis=0, only="numpy"),
        call(r(3, 2), i([[0, 1], [2, 2]]), only="numpy"),
    ],
    "take_along_axis": [
        call(r(3, 4), i([[0, 0], [1, 3], [2, 2]])),
        call(r(3, 4), i([[2, 0, 1, 0]] * 2), axis=0),
        call(r(3, 4), i([[-1, 0], [1, -4], [2, 2]]), axis=1),
        call(r(1, 4), i([[0, 0], [1, 3]]), only="numpy"),
        call(r(5), i(4, 4, 4)),
    ],
    "unique_all": [call(apart(2, 3)), call(np.asarray([3.0, 1.0, 2.0]))],
    "unique_counts": [call(apart(2, 3))],
    "unique_inverse": [call(apart(2, 3))],
    "unique_values": [call(apart(5), after=lambda xp, x: xp.sort(x))],
    "where": [
        call(b(True, False, True), r(3), r(3)),
        call(b(True, False), r(3, 1), r(2)),
        call(b(True, False), r(2), 1.5),
        call(b(True, False), 1.5, r(2)),
        call(b(True, False), z(2), z(2)),
        call(np.asarray(True), r(), r(0)),
    ],
    "diff": [
        call(r(5)),
        call(r(3, 4), axis=0),
        call(r(3, 5), n=2),
        call(r(3, 4), n=0),
        call(r(4), prepend=r(2), append=r(1)),
        call(r(1)),
    ],
}

CREATION: dict[str, list[Call]] = {
    "asarray": [
        call(r(3)),
        call(r(3), copy=True),
        call([r(), r(), 2.0], only="numpy"),
        call([[r(), 1.0], [r(), r()]], only="numpy"),
    ],
    "astype": [call(r(3), "float64"), call(r(3), "complex128")],
    "full": [call((2, 3), r(), only="numpy"), call((), r(), only="numpy")],
    "full_like": [call(r(2, 3), r(), only="numpy")],
    "linspace": [
        call(r(), r(), 5, only="numpy"),
        call(r(), 2.0, 4, endpoint=False, only="numpy"),
        call(1.0, r(), 1, only="numpy"),
        call(r(), r(), 0, only="numpy"),
        call(z(), z(), 3, only="numpy"),
    ],
    "tril": [call(r(3, 4)), call(r(2, 3, 3), k=1), call(r(3, 3), k=-1), call(r(0, 2))],
    "triu": [call(r(3, 4)), call(r(2, 3, 3), k=1), call(r(3, 3), k=-1)],
}
