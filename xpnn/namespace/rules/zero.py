"""Functions whose gradient is zero wherever it is defined: steps, comparisons, places, counts, integers, data types."""

from __future__ import annotations

from typing import Any

from ..rule import Zero

_ONE = "x, /"
_TWO = "x1, x2, /"
_AXIS = "x, /, *, axis=None, keepdims=False"

RULES: dict[str, Any] = {
    # ---- steps
    **{name: Zero(_ONE) for name in ("ceil", "floor", "round", "trunc")},
    "floor_divide": Zero(_TWO),
    # ---- comparisons and tests
    **{name: Zero(_TWO) for name in ("equal", "greater", "greater_equal", "less", "less_equal", "not_equal")},
    **{name: Zero(_ONE) for name in ("isfinite", "isinf", "isnan", "signbit")},
    "isin": Zero("x1, x2, /, *, invert=False"),
    "all": Zero(_AXIS),
    "any": Zero(_AXIS),
    # ---- integers and booleans
    **{name: Zero(_TWO) for name in ("logical_and", "logical_or", "logical_xor")},
    **{
        name: Zero(_TWO)
        for name in ("bitwise_and", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor")
    },
    **{name: Zero(_ONE) for name in ("bitwise_invert", "logical_not")},
    # ---- places and counts
    "argmax": Zero(_AXIS),
    "argmin": Zero(_AXIS),
    "argsort": Zero("x, /, *, axis=-1, descending=False, stable=True"),
    "count_nonzero": Zero(_AXIS),
    "nonzero": Zero(_ONE),
    "searchsorted": Zero("x1, x2, /, *, side='left', sorter=None"),
    # ---- data types and shapes
    "broadcast_shapes": Zero("*shapes"),
    "can_cast": Zero("from_, to, /"),
    "finfo": Zero("type, /"),
    "iinfo": Zero("type, /"),
    "isdtype": Zero("dtype, kind"),
    "result_type": Zero("*arrays_and_dtypes"),
    # ---- extensions
    "linalg.matrix_rank": Zero("x, /, *, rtol=None"),
}
