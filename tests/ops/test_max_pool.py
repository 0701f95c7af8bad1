"""max_pool: the reference against torch, the fused form against the reference, ties, nan, errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import ops
from xpnn.primitive import use_reference
from xpnn.testing import check_primitive

from ..conftest import Library
from .against_torch import check_against_torch


def with_ties(shape: tuple[int, ...], dtype: Any = np.float64) -> Any:
    """Few different values, so that windows have several largest elements, as after a relu."""
    return np.random.default_rng(sum(shape)).integers(-2, 3, size=shape).astype(dtype)


TORCH_CASES: list[tuple[tuple[int, ...], tuple[Any, ...]]] = [
    ((2, 3, 9), (2,)),
    ((2, 3, 10), (3, 2, 1, 2, True)),
    ((2, 3, 6, 8), (2,)),
    ((2, 2, 7, 9), (3, 2, 1)),
    ((2, 2, 7, 8), ((3, 2), (2, 1), (1, 0), (1, 3))),
    ((2, 2, 7, 8), (2, 2, 0, 1, True)),
    ((1, 2, 5, 5), (2, 3, 1, 1, True)),  # a last window that would lie in the padding alone
    ((1, 2, 5, 4, 6), (2, None, (0, 1, 0))),
]


@pytest.mark.parametrize(("shape", "args"), TORCH_CASES)
def test_reference_agrees_with_torch(lib: Library, shape: tuple[int, ...], args: tuple[Any, ...]) -> None:
    name = f"max_pool{len(shape) - 2}d"

    def theirs(x: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(x, *args)

    check_against_torch(lib, lambda x: getattr(ops, name)(x, *args), theirs, (with_ties(shape),))


def cases(dtype: Any) -> Iterator[tuple[Any, Any]]:
    for shape, kernel, stride, pad, dilation in [
        ((1, 1, 1), (1,), (1,), (0,), (1,)),
        ((2, 3, 17), (3,), (2,), (1,), (2,)),
        ((4, 3, 8, 6), (2, 2), (2, 2), (0, 0), (1, 1)),
        ((4, 3, 9, 7), (2, 2), (2, 2), (0, 0), (1, 1)),
        ((2, 5, 11, 13), (3, 3), (2, 2), (1, 1), (1, 1)),
        ((2, 1, 11, 13), (3, 2), (1, 3), (1, 0), (2, 1)),
        ((2, 1, 7, 7), (1, 3), (2, 1), (0, 1), (1, 1)),
        ((2, 2, 5, 6, 7), (2, 2, 3), (2, 1, 2), (0, 1, 1), (1, 1, 1)),
        ((0, 2, 4, 4), (2, 2), (2, 2), (0, 0), (1, 1)),
    ]:
        static = {"kernel": kernel, "stride": stride, "padding": tuple((p, p) for p in pad), "dilation": dilation}
        x = with_ties(shape, dtype)
        yield (x,), static
        yield (np.moveaxis(x, 1, -1),), {**static, "data_format": "channels_last"}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_form_agrees_with_the_reference(dtype: Any) -> None:
    assert check_primitive(ops.max_pool, cases(dtype)) == 18


def test_of_several_largest_elements_the_first_gets_the_gradient() -> None:
    x = np.array([[[[0.0, 1.0], [1.0, 0.0]]]])
    _, pullback = xpnn.vjp(lambda x: ops.max_pool2d(x, 2), x)
    np.testing.assert_array_equal(pullback(np.ones((1, 1, 1, 1)))[0], [[[[0, 1], [0, 0]]]])


def test_nan_wins(lib: Library) -> None:
    x = np.array([[[3.0, np.nan, 1.0, 2.0, np.nan, 7.0]]])
    y = ops.max_pool1d(lib.asarray(x), 2)
    np.testing.assert_array_equal(lib.to_numpy(y), [[[np.nan, 2, np.nan]]])


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 1), (3, 2)])
def test_nan_gets_the_gradient(kernel: int, stride: int) -> None:
    x = with_ties((2, 3, 7, 8))
    x[np.random.default_rng(1).random(x.shape) < 0.1] = np.nan
    g = np.random.default_rng(2).integers(1, 9, (2, 3, (7 - kernel) // stride + 1, (8 - kernel) // stride + 1)) * 1.0
    _, ours = xpnn.vjp(lambda x: ops.max_pool2d(x, kernel, stride), x)
    with use_reference():
        _, theirs = xpnn.vjp(lambda x: ops.max_pool2d(x, kernel, stride), x)
        expected = theirs(g)[0]
    np.testing.assert_array_equal(ours(g)[0], expected)
    assert expected[np.isnan(x)].sum() > 0


def test_an_image_without_a_batch(lib: Library) -> None:
    x = with_ties((3, 6, 7))
    np.testing.assert_array_equal(lib.to_numpy(ops.max_pool2d(lib.asarray(x), 2)), ops.max_pool2d(x[None], 2)[0])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((7,), "are smaller than the window"),
        ((2, 2, 2), "padding: expected at most half of the window of 2, got 2"),
        ((0,), "kernel_size: expected an integer or 2 of them, each at least 1, got 0"),
        (((2, 2, 2),), "kernel_size: expected an integer or 2"),
    ],
)
def test_errors_name_the_argument(args: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ops.max_pool2d(np.ones((1, 1, 6, 6)), *args)
    with pytest.raises(ValueError, match="data_format: expected"):
        ops.max_pool2d(np.ones((1, 1, 6, 6)), 2, data_format="NHWC")


@pytest.mark.parametrize(
    ("shape", "args"), [*TORCH_CASES, ((2, 9), (2,)), ((3, 5, 6), (2, 1, 1)), ((2, 1, 6, 6), (3, 3, 1, 2, True))]
)
def test_places_of_torch(lib: Library, shape: tuple[int, ...], args: tuple[Any, ...]) -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    dims = len(shape) - 2 if len(shape) > 3 and shape != (3, 5, 6) else (1 if shape != (3, 5, 6) else 2)
    x = with_ties(shape)
    kernel, stride, padding, dilation, ceil = (*args, *(None, 0, 1, False)[len(args) - 1 :])
    name = f"max_pool{dims}d"
    expected = getattr(torch.nn.functional, name)(
        torch.tensor(x), kernel, stride, padding, dilation, ceil, return_indices=True
    )
    found = getattr(ops, name)(lib.asarray(x), kernel, stride, padding, dilation, ceil, True)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(lib.to_numpy(a), b.numpy(), strict=True)


def test_places_with_the_channels_last() -> None:
    x = with_ties((2, 3, 5, 6))
    y, places = ops.max_pool2d(x, 3, 2, 1, return_indices=True)
    last = ops.max_pool2d(np.moveaxis(x, 1, -1), 3, 2, 1, return_indices=True, data_format="channels_last")
    np.testing.assert_array_equal(np.moveaxis(last[0], -1, 1), y)
    np.testing.assert_array_equal(np.moveaxis(last[1], -1, 1), places)


UNPOOLED: list[tuple[tuple[int, ...], tuple[Any, ...], Any]] = [
    ((2, 3, 10), (2,), None),
    ((2, 3, 6, 8), (2,), None),
    ((3, 6, 8), (2,), None),
    ((2, 3, 7, 9), (2,), (7, 9)),
    ((2, 3, 7, 9), (3, 2, 1), (2, 3, 7, 9)),  # windows that overlap
    ((2, 2, 4, 6, 4), (2,), None),
]


@pytest.mark.parametrize(("shape", "args", "size"), UNPOOLED)
def test_unpooling_of_torch(lib: Library, shape: tuple[int, ...], args: tuple[Any, ...], size: Any) -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    dims = 2 if shape == (3, 6, 8) else len(shape) - 2
    x = np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape) * 1.0
    y, places = getattr(torch.nn.functional, f"max_pool{dims}d")(torch.tensor(x), *args, return_indices=True)

    def ours(y: Any, places: Any) -> Any:
        return getattr(ops, f"max_unpool{dims}d")(y, places, *args, output_size=size)

    def theirs(y: Any, places: Any) -> Any:
        return getattr(torch.nn.functional, f"max_unpool{dims}d")(y, places, *args, output_size=size)

    check_against_torch(lib, ours, theirs, (y.numpy(), places.numpy()))


def test_unpooling_names_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="indices: expected the shape of x"):
        ops.max_unpool2d(np.ones((1, 1, 2, 2)), np.zeros((1, 1, 2), int), 2)
    with pytest.raises(ValueError, match="output_size: expected sizes nearer to"):
        ops.max_unpool2d(np.ones((1, 1, 2, 2)), np.zeros((1, 1, 2, 2), int), 2, output_size=(6, 4))
