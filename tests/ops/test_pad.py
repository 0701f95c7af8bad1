"""pad: values and gradients of torch, any number of axes, second derivatives, other dtypes, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.testing import check_gradient

from ..conftest import Library
from .against_torch import check_against_torch

# Shape of x, pad: what torch has in every mode.
CASES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((3, 4), (1, 2)),
    ((2, 3, 4), (3, 0)),
    ((2, 3, 4), (0, 3)),
    ((2, 3, 4), (-1, 2)),
    ((2, 3, 4), (2, -2)),
    ((2, 3, 4, 5), (1, 2, 2, 3)),
    ((2, 3, 4, 5), (-1, -1, 0, 2)),
    ((1, 2, 3, 4, 5), (2, 1, 0, 3, 2, 1)),
    ((0, 3, 4), (1, 1)),
]
MODES = ("constant", "reflect", "replicate", "circular")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("shape", "amounts"), CASES, ids=str)
def test_values_and_gradients_of_torch(
    lib: Library, shape: tuple[int, ...], amounts: tuple[int, ...], mode: str
) -> None:
    def theirs(x: Any) -> Any:
        import torch

        return torch.nn.functional.pad(x, amounts, mode, value)

    value = 2.5 if mode == "constant" else None
    x = np.random.default_rng(0).normal(size=shape)
    check_against_torch(lib, lambda x: ops.pad(x, amounts, mode, value), theirs, (x,))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(4,), (3, 4, 2), (2, 3, 2, 4, 3)])
def test_any_number_of_axes_as_numpy_pads_them(lib: Library, shape: tuple[int, ...], mode: str) -> None:
    """Also all of them, the batch's among them, for which torch has no reflection."""
    x = np.random.default_rng(0).normal(size=shape)
    pairs = [(1, 0) if i % 2 else (1, 1) for i in range(len(shape))]
    amounts = [n for pair in reversed(pairs) for n in pair]
    words = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    expected = np.pad(x, pairs, words[mode])
    np.testing.assert_array_equal(lib.to_numpy(ops.pad(lib.asarray(x), amounts, mode)), expected)


@pytest.mark.parametrize("mode", MODES)
def test_second_derivatives(lib: Library, mode: str) -> None:
    x = lib.asarray(np.random.default_rng(0).normal(size=(2, 3, 4)))
    check_gradient(lambda x: ops.pad(x, (2, -1, 1, 2), mode) ** 3, x, order=2)


def test_more_than_all_is_cut_off_a_mirrored_axis_as_in_torch(lib: Library) -> None:
    """Elements that were cut off are mirrored all the same."""
    x = lib.asarray(np.arange(4.0))
    np.testing.assert_array_equal(lib.to_numpy(ops.pad(x, (-4, 3), "reflect")), [2, 1, 0])
    np.testing.assert_array_equal(lib.to_numpy(ops.pad(x, (-4, 3), "replicate")), [3, 3, 3])
    np.testing.assert_array_equal(lib.to_numpy(ops.pad(x, (-4, 3), value=7)), [7, 7, 7])
    assert ops.pad(x, (-2, -2)).shape == (0,)


@pytest.mark.parametrize("dtype", ["int64", "bool", "float32", "complex128"])
@pytest.mark.parametrize("mode", MODES)
def test_every_dtype_is_kept(lib: Library, mode: str, dtype: str) -> None:
    x = np.arange(6).reshape(2, 3).astype(dtype)
    y = lib.to_numpy(ops.pad(lib.asarray(x), (1, 2), mode, 1 if mode == "constant" else None))
    words = {"constant": {"constant_values": 1}, "reflect": {}, "replicate": {}, "circular": {}}
    name = {"replicate": "edge", "circular": "wrap"}.get(mode, mode)
    expected: Any = np.pad(x, [(0, 0), (1, 2)], name, **words[mode])
    np.testing.assert_array_equal(y, expected, strict=True)


def test_nothing_to_do_gives_x(lib: Library) -> None:
    x = lib.asarray(np.ones((2, 3)))
    assert ops.pad(x, ()) is x and ops.pad(x, (0, 0), "circular") is x


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda x: ops.pad(x, (4, 0), "reflect"),
            r"at most 3 for axis 1 of x \(3, 4\) in mode .reflect., got \(4, 0\)",
        ),
        (lambda x: ops.pad(x, (0, 5), "circular"), "at most 4 for axis 1"),
        (lambda x: ops.pad(x, (-3, 3), "circular"), r"at most 1 for axis 1 of x \(3, 1\)"),
        (lambda x: ops.pad(x[:, :0], (1, 0), "replicate"), "at most 0 for axis 1"),
        (lambda x: ops.pad(x, (-2, -3)), "cut off the 4 elements of axis 1"),
        (lambda x: ops.pad(x, (1, 2, 3)), "two for each axis from the last one on"),
        (lambda x: ops.pad(x, (1, 2) * 3), "two integers for each axis of x"),
        (lambda x: ops.pad(x, 3), "pad: expected integers"),
        (lambda x: ops.pad(x, (1, 1), "mirror"), "mode: expected"),
        (lambda x: ops.pad(x, (1, 1), "reflect", 1.0), 'value: expected none with mode "reflect", got 1.0'),
    ],
)
def test_errors_name_the_argument(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(np.ones((3, 4)))
