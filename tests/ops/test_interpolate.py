"""interpolate: values and gradients of torch in every mode; errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnn import ops

from ..conftest import Library
from .against_torch import check_against_torch

LINE, IMAGE, CUBE = (2, 3, 7), (2, 3, 5, 4), (1, 2, 3, 4, 3)
CASES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    *(
        (shape, {**options, "mode": mode})
        for mode in ("nearest", "nearest-exact", "area")
        for shape, options in (
            (LINE, {"size": 11}),
            (LINE, {"size": 3}),
            (LINE, {"scale_factor": 1.7}),
            (IMAGE, {"size": (3, 9)}),
            (IMAGE, {"scale_factor": (2, 0.6), "recompute_scale_factor": True}),
            (CUBE, {"scale_factor": 2.0}),
        )
    ),
    *(
        (shape, {**options, "mode": mode, "align_corners": align})
        for align in (None, False, True)
        for shape, mode, options in (
            (LINE, "linear", {"size": 12}),
            (LINE, "linear", {"size": 1}),
            (LINE, "linear", {"scale_factor": 1.7}),
            (IMAGE, "bilinear", {"size": (3, 9)}),
            (IMAGE, "bilinear", {"scale_factor": (2.3, 0.6)}),
            (IMAGE, "bilinear", {"scale_factor": (2.3, 0.6), "recompute_scale_factor": True}),
            (IMAGE, "bicubic", {"size": (11, 3)}),
            (IMAGE, "bicubic", {"scale_factor": 1.6}),
            (CUBE, "trilinear", {"size": (4, 3, 7)}),
        )
    ),
    ((0, 3, 5, 4), {"size": 7, "mode": "bilinear"}),
    (IMAGE, {"size": (5, 4), "mode": "bicubic"}),
]


@pytest.mark.parametrize(("shape", "options"), CASES, ids=str)
def test_values_and_gradients_of_torch(lib: Library, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    def theirs(x: Any) -> Any:
        import torch

        return torch.nn.functional.interpolate(x, **options)

    x = np.random.default_rng(0).normal(size=shape)
    check_against_torch(lib, lambda x: ops.interpolate(x, **options), theirs, (x,))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_nearest_elements_are_those_of_torch_for_many_sizes(dtype: Any) -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    for old in (1, 3, 7, 29, 100):
        x = np.arange(old, dtype=dtype).reshape(1, 1, old)
        for options in [*({"size": n} for n in range(1, 130, 3)), *({"scale_factor": k / 7} for k in range(7, 40))]:
            for mode in ("nearest", "nearest-exact"):
                y = torch.nn.functional.interpolate(torch.tensor(x), mode=mode, **options).numpy()
                np.testing.assert_array_equal(ops.interpolate(x, mode=mode, **options), y, err_msg=f"{old} {options}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "size, scale_factor: expected one of the two, got None and None"),
        ({"size": 2, "scale_factor": 2}, "size, scale_factor: expected one of the two, got 2 and 2"),
        ({"size": 0}, "size: expected 1 or more, got 0"),
        ({"size": 2, "recompute_scale_factor": True}, "recompute_scale_factor: expected a scale_factor, got a size"),
        ({"scale_factor": (2, 2, 2)}, "scale_factor: expected a number or 2 of them, got"),
        ({"scale_factor": 0.1}, r"scale_factor: expected at least 1 element on each axis, got \(0, 0\) of \(5, 4\)"),
        ({"size": 2, "mode": "cubic"}, 'mode: expected "nearest", "nearest-exact", "linear"'),
        ({"size": 2, "mode": "linear"}, "with 1 axes S for mode 'linear', got"),
        ({"size": 2, "align_corners": True}, "align_corners: expected None for mode 'nearest', got True"),
    ],
)
def test_errors_name_the_argument(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ops.interpolate(np.ones(IMAGE), **options)
