"""Calls of the functions whose gradient is zero."""

from __future__ import annotations

import numpy as np

from tests.namespace.cases.call import Call, apart, b, call, i, p, r, well


def _comparison(*more: Call) -> list[Call]:
    return [call(r(3, 4), r(4)), call(r(), 0.3), call(i(1, 2), i(2, 2)), *more]


_LOGICAL = [call(b(True, True, False, False), b(True, False, True, False))]
_BITWISE = [call(i(12, 7), i(10, 1)), call(i(5), 1)]
_ROUNDING = [call(r(3, 4)), call(r())]
_PLACES = [call(apart(3, 4)), call(apart(3, 4), axis=1), call(apart(3, 4), axis=0, keepdims=True)]
_NEW = [call((2, 3)), call(3)]
_LIKE = [call(r(2, 3)), call(r())]

STEPS: dict[str, list[Call]] = {
    **dict.fromkeys(("ceil", "floor", "round", "trunc", "isfinite", "isinf", "isnan", "signbit"), _ROUNDING),
    "floor_divide": [call(r(3, 4), p(4)), call(r(3), 0.7), call(i(7, -7), i(2, 2))],
    **{name: _comparison() for name in ("equal", "greater", "greater_equal", "less", "less_equal", "not_equal")},
    "isin": [call(r(4), r(2), only="numpy"), call(i(1, 2, 3), i(3, 1), invert=True)],
    "all": [call(r(3, 4)), call(b(True, False), axis=0, keepdims=True)],
    "any": [call(r(3, 4), axis=1), call(b(True, False))],
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor"), _LOGICAL),
    "logical_not": [call(b(True, False))],
    **dict.fromkeys(
        ("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift"), _BITWISE
    ),
    "bitwise_invert": [call(i(1, -5))],
    "argmax": _PLACES,
    "argmin": _PLACES,
    "argsort": [call(apart(3, 4)), call(apart(5), descending=True)],
    "count_nonzero": [call(apart(3, 4)), call(i(0, 1, 2), axis=0)],
    "nonzero": [call(apart(2, 3)), call(i(0, 1, 2))],
    "searchsorted": [
        call(np.asarray([0.0, 1.0, 2.0]), r(4)),
        call(np.asarray([0.0, 2.0, 1.0]), r(4), side="right", sorter=i(0, 2, 1)),
    ],
    "broadcast_shapes": [call((3, 1), (2, 1, 4))],
    "can_cast": [call("int8", "int16")],
    "finfo": [call("float32"), call(r(2))],
    "iinfo": [call("int8"), call(i(1, 2))],
    "isdtype": [call("float64", "real floating"), call("int8", ("bool", "complex floating"))],
    "result_type": [call("float32", "float64"), call(r(2), i(2), 1.0, only="numpy")],
    "linalg.matrix_rank": [call(well(3, 4)), call(well(2, 3, 3), rtol=1e-3)],
    **dict.fromkeys(("empty", "ones", "zeros"), _NEW),
    **dict.fromkeys(("empty_like", "ones_like", "zeros_like"), _LIKE),
    "eye": [call(3), call(3, 4, k=1)],
    "fft.fftfreq": [call(5), call(4, d=0.5)],
    "fft.rfftfreq": [call(5), call(4, d=0.5)],
}
