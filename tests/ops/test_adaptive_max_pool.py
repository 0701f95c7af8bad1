"""adaptive_max_pool: against torch and central differences, its short cut against the reference, ties, nan, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import ops
from xpnn.primitive import explain
from xpnn.testing import check_gradient

from ..conftest import Library
from .against_torch import check_against_torch
from .test_adaptive_avg_pool import TORCH_CASES, axes, random
from .test_max_pool import with_ties


@pytest.mark.parametrize(("shape", "output_size"), TORCH_CASES)
def test_values_and_gradients_of_torch(lib: Library, shape: tuple[int, ...], output_size: Any) -> None:
    """With ties: of several largest elements it is the same one that gets the gradient."""
    name = f"adaptive_max_pool{axes(shape, output_size)}d"

    def theirs(x: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(x, output_size)

    check_against_torch(lib, lambda x: getattr(ops, name)(x, output_size), theirs, (with_ties(shape),))


@pytest.mark.parametrize(("shape", "output_size"), [case for case in TORCH_CASES if 0 not in case[0]])
def test_gradients_are_those_of_central_differences(lib: Library, shape: tuple[int, ...], output_size: Any) -> None:
    pool = getattr(ops, f"adaptive_max_pool{axes(shape, output_size)}d")
    check_gradient(lambda x: pool(x, output_size) ** 2, lib.asarray(random(shape)), order=2)


def test_each_window_is_a_maximum(lib: Library) -> None:
    """By the definition, in loops."""
    x = random((2, 3, 7, 5))
    expected = np.empty((2, 3, 4, 3))
    for i, j in np.ndindex(4, 3):
        window = x[:, :, i * 7 // 4 : -(-(i + 1) * 7 // 4), j * 5 // 3 : -(-(j + 1) * 5 // 3)]
        expected[:, :, i, j] = window.max((2, 3))
    y = ops.adaptive_max_pool2d(lib.asarray(x), (4, 3))
    np.testing.assert_array_equal(lib.to_numpy(y), expected)


def test_of_several_largest_elements_the_first_gets_the_gradient(lib: Library) -> None:
    x = lib.asarray(np.array([[[0.0, 1, 0], [1, 1, 0], [0, 0, 0]]]))
    _, pullback = xpnn.vjp(lambda x: ops.adaptive_max_pool2d(x, 2), x)
    g = lib.asarray(np.array([[[1.0, 2], [4, 8]]]))
    np.testing.assert_array_equal(lib.to_numpy(pullback(g)[0]), [[[0, 3, 0], [4, 8, 0], [0, 0, 0]]])


def test_nan_wins_and_the_last_one_gets_the_gradient(lib: Library) -> None:
    x = lib.asarray(np.array([[3.0, np.nan, np.nan, 1, 7]]))
    y, pullback = xpnn.vjp(lambda x: ops.adaptive_max_pool1d(x, 3), x)
    np.testing.assert_array_equal(lib.to_numpy(y), [[np.nan, np.nan, 7]])
    np.testing.assert_array_equal(lib.to_numpy(pullback(lib.asarray(np.array([[1.0, 2, 4]])))[0]), [[0, 1, 2, 0, 4]])


@pytest.mark.parametrize("output", [(4, 3), (2, 6), (8, 1), (1, 1), (5, 2)])
def test_the_short_cut_gives_what_the_reference_gives(lib: Library, output: tuple[int, int]) -> None:
    x = with_ties((2, 3, 8, 6))
    g = random((2, 3, *output))
    results = []
    for pool, y in [(ops.adaptive_max_pool.reference, x), (ops.adaptive_max_pool2d, lib.asarray(x))]:
        options = {"output": output} if pool is ops.adaptive_max_pool.reference else {"output_size": output}
        out, pullback = xpnn.vjp(lambda x, p=pool, o=options: p(x, **o), y)
        back = pullback(g if y is x else lib.asarray(g))[0]
        results.append((out, back) if y is x else (lib.to_numpy(out), lib.to_numpy(back)))
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_plain_pooling_does_the_work_where_it_can() -> None:
    x = random((2, 3, 8, 6))
    assert explain(ops.adaptive_max_pool2d, x, (4, 2)) == ["max_pool: cpu.max_pool"]
    assert explain(ops.adaptive_max_pool2d, x, 1) == ["max_pool: cpu.max_pool"]
    assert explain(ops.adaptive_max_pool2d, x, 5)[0].startswith("adaptive_max_pool: ")


@pytest.mark.parametrize("output_size", [1, 4, 3, (4, None)])
def test_channels_last(lib: Library, output_size: Any) -> None:
    x = random((2, 3, 8, 6))
    last = lib.asarray(np.ascontiguousarray(np.moveaxis(x, 1, -1)))
    y = ops.adaptive_max_pool2d(last, output_size, data_format="channels_last")
    expected = np.moveaxis(ops.adaptive_max_pool2d(x, output_size), 1, -1)
    np.testing.assert_array_equal(lib.to_numpy(y), expected)


@pytest.mark.parametrize("output_size", [0, (3,), (3, 0), 2.0])
def test_errors_name_the_argument(output_size: Any) -> None:
    message = "output_size: expected an integer or None, or 2 of them, each at least 1, got"
    with pytest.raises(ValueError, match=message):
        ops.adaptive_max_pool2d(np.ones((1, 1, 6, 6)), output_size)
    with pytest.raises(ValueError, match=message):
        xpnn.nn.AdaptiveMaxPool2d(output_size)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((2, 3, 9), 4), ((2, 9), 3), ((2, 3, 7, 6), (3, None)), ((3, 5, 4), 2), ((2, 2, 5, 4, 6), (2, 3, 4))],
)
def test_places_of_torch(lib: Library, shape: tuple[int, ...], size: Any) -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    name = f"adaptive_max_pool{2 if shape == (3, 5, 4) else max(len(shape) - 2, 1)}d"
    x = np.random.default_rng(0).integers(-2, 3, shape) * 1.0
    found = getattr(ops, name)(lib.asarray(x), size, True)
    for a, b in zip(found, getattr(torch.nn.functional, name)(torch.tensor(x), size, return_indices=True), strict=True):
        np.testing.assert_array_equal(lib.to_numpy(a), b.numpy(), strict=True)
