"""adaptive_avg_pool: against torch and central differences, its short cuts against the reference, errors."""

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

# Sizes that the output divides, that it does not, larger outputs than inputs, one window, one element, no batch.
TORCH_CASES: list[tuple[tuple[int, ...], Any]] = [
    ((2, 3, 9), 4),
    ((2, 3, 9), (3,)),
    ((2, 3, 5), 7),
    ((3, 11), 1),
    ((2, 3, 7, 10), 3),
    ((2, 3, 8, 6), (4, 2)),
    ((2, 2, 7, 9), (None, 5)),
    ((2, 2, 6, 7), (3, 2)),
    ((1, 1, 1, 1), 3),
    ((2, 5, 7, 3), 1),
    ((0, 2, 5, 4), 3),
    ((2, 2, 5, 4, 7), (2, 3, None)),
    ((1, 2, 4, 6, 2), 2),
    ((2, 5, 4, 7), (5, 1, 4)),  # three axes without a batch
]


def random(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape)


def axes(shape: tuple[int, ...], output_size: Any) -> int:
    return len(output_size) if isinstance(output_size, tuple) else max(len(shape) - 2, 1)


@pytest.mark.parametrize(("shape", "output_size"), TORCH_CASES)
def test_values_and_gradients_of_torch(lib: Library, shape: tuple[int, ...], output_size: Any) -> None:
    name = f"adaptive_avg_pool{axes(shape, output_size)}d"

    def theirs(x: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(x, output_size)

    check_against_torch(lib, lambda x: getattr(ops, name)(x, output_size), theirs, (random(shape),))


@pytest.mark.parametrize(("shape", "output_size"), [case for case in TORCH_CASES if 0 not in case[0]])
def test_gradients_are_those_of_central_differences(lib: Library, shape: tuple[int, ...], output_size: Any) -> None:
    pool = getattr(ops, f"adaptive_avg_pool{axes(shape, output_size)}d")
    check_gradient(lambda x: pool(x, output_size) ** 2, lib.asarray(random(shape)), order=2)


def test_each_window_is_a_mean(lib: Library) -> None:
    """By the definition, in loops."""
    x = random((2, 3, 7, 5))
    expected = np.empty((2, 3, 4, 3))
    for i, j in np.ndindex(4, 3):
        window = x[:, :, i * 7 // 4 : -(-(i + 1) * 7 // 4), j * 5 // 3 : -(-(j + 1) * 5 // 3)]
        expected[:, :, i, j] = window.mean((2, 3))
    y = ops.adaptive_avg_pool2d(lib.asarray(x), (4, 3))
    np.testing.assert_allclose(lib.to_numpy(y), expected, rtol=1e-13)


def test_an_infinite_element_is_seen_by_its_own_windows_only(lib: Library) -> None:
    x = lib.asarray(np.array([[1.0, 2, np.inf, 4, 5]]))
    np.testing.assert_array_equal(lib.to_numpy(ops.adaptive_avg_pool1d(x, 3)), [[1.5, np.inf, 4.5]])
    x = lib.asarray(np.array([[1.0, np.nan, 3, 4, 5]]))
    np.testing.assert_array_equal(lib.to_numpy(ops.adaptive_avg_pool1d(x, 3)), [[np.nan, np.nan, 4.5]])


@pytest.mark.parametrize("output", [(4, 3), (2, 6), (8, 1), (1, 1), (5, 2)])
def test_the_short_cuts_give_what_the_reference_gives(lib: Library, output: tuple[int, int]) -> None:
    x = random((2, 3, 8, 6))
    expected = ops.adaptive_avg_pool.reference(x, output=output)
    np.testing.assert_allclose(lib.to_numpy(ops.adaptive_avg_pool2d(lib.asarray(x), output)), expected, rtol=1e-12)


def test_plain_pooling_does_the_work_where_it_can() -> None:
    x = random((2, 3, 8, 6))
    assert explain(ops.adaptive_avg_pool2d, x, (4, 2)) == ["avg_pool: cpu.avg_pool"]
    assert explain(ops.adaptive_avg_pool2d, x, 1) == []
    assert explain(ops.adaptive_avg_pool2d, x, 5)[0].startswith("adaptive_avg_pool: ")


@pytest.mark.parametrize("output_size", [1, 4, 3, (4, None)])
def test_channels_last(lib: Library, output_size: Any) -> None:
    x = random((2, 3, 8, 6))
    last = lib.asarray(np.ascontiguousarray(np.moveaxis(x, 1, -1)))
    y = ops.adaptive_avg_pool2d(last, output_size, data_format="channels_last")
    expected = np.moveaxis(ops.adaptive_avg_pool2d(x, output_size), 1, -1)
    np.testing.assert_allclose(lib.to_numpy(y), expected, rtol=1e-13)


@pytest.mark.parametrize("output_size", [0, -1, (3,), (3, 3, 3), (3, 0), 2.0, "3", ("a", 3)])
def test_errors_name_the_argument(output_size: Any) -> None:
    message = "output_size: expected an integer or None, or 2 of them, each at least 1, got"
    with pytest.raises(ValueError, match=message):
        ops.adaptive_avg_pool2d(np.ones((1, 1, 6, 6)), output_size)
    with pytest.raises(ValueError, match=message):
        xpnn.nn.AdaptiveAvgPool2d(output_size)


def test_more_errors() -> None:
    with pytest.raises(ValueError, match=r"x: expected axes of at least 1 element to pool over, got \(0, 6\)"):
        ops.adaptive_avg_pool2d(np.ones((1, 1, 0, 6)), 2)
    with pytest.raises(ValueError, match="x: expected 4 axes, or 3 without a batch"):
        ops.adaptive_avg_pool2d(np.ones((6, 6)), 2)
    with pytest.raises(ValueError, match="data_format: expected"):
        ops.adaptive_avg_pool2d(np.ones((1, 1, 6, 6)), 2, data_format="NHWC")
