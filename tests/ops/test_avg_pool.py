"""avg_pool: the reference against torch, the fused form against the reference, errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import ops
from xpnn.testing import check_primitive

from ..conftest import Library
from .against_torch import check_against_torch


def random(shape: tuple[int, ...], dtype: Any = np.float64) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(dtype)


TORCH_CASES: list[tuple[tuple[int, ...], tuple[Any, ...]]] = [
    ((2, 3, 9), (2,)),
    ((2, 3, 10), (3, 2, 1, True)),
    ((2, 3, 10), (3, 2, 1, True, False)),
    ((2, 3, 6, 8), (2,)),
    ((2, 2, 7, 9), (3, 2, 1)),
    ((2, 2, 7, 9), (3, 2, 1, False, False)),
    ((2, 2, 7, 8), ((3, 2), (2, 3), (1, 0), True)),
    ((1, 2, 5, 5), (2, 3, 1, True, False)),
    ((2, 2, 7, 9), (3, 2, 1, False, True, 4)),
    ((1, 2, 5, 4, 6), (2, None, (0, 1, 0), True, False)),
]


@pytest.mark.parametrize(("shape", "args"), TORCH_CASES)
def test_reference_agrees_with_torch(lib: Library, shape: tuple[int, ...], args: tuple[Any, ...]) -> None:
    name = f"avg_pool{len(shape) - 2}d"

    def theirs(x: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(x, *args)

    check_against_torch(lib, lambda x: getattr(ops, name)(x, *args), theirs, (random(shape),))


def cases(dtype: Any) -> Iterator[tuple[Any, Any]]:
    for shape, kernel, stride, pad, counted, divisor in [
        ((1, 1, 1), (1,), (1,), (0,), (0,), None),
        ((2, 3, 17), (3,), (2,), (1,), (0,), None),
        ((4, 3, 8, 6), (2, 2), (2, 2), (0, 0), (0, 0), None),
        ((4, 3, 9, 7), (2, 2), (2, 2), (0, 0), (0, 0), 3.0),
        ((2, 5, 11, 13), (3, 3), (2, 2), (1, 1), (1, 1), None),
        ((2, 1, 11, 13), (3, 2), (1, 3), (1, 0), (0, 0), None),
        ((2, 2, 5, 6, 7), (2, 2, 3), (2, 1, 2), (0, 1, 1), (0, 0, 1), None),
        ((0, 2, 4, 4), (2, 2), (2, 2), (0, 0), (0, 0), None),
    ]:
        static: dict[str, Any] = {"kernel": kernel, "stride": stride, "divisor": divisor}
        static["padding"] = tuple((p, p + (s > 1)) for p, s in zip(pad, stride, strict=True))
        static["counted"] = tuple((c, c) for c in counted)
        x = random(shape, dtype)
        yield (x,), static
        yield (np.moveaxis(x, 1, -1),), {**static, "data_format": "channels_last"}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_form_agrees_with_the_reference(dtype: Any) -> None:
    assert check_primitive(ops.avg_pool, cases(dtype)) == 16


def test_an_image_without_a_batch(lib: Library) -> None:
    x = random((3, 6, 7))
    np.testing.assert_allclose(
        lib.to_numpy(ops.avg_pool2d(lib.asarray(x), 2)), ops.avg_pool2d(x[None], 2)[0], rtol=1e-14
    )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((7,), "are smaller than the window"),
        ((2, 2, 2), "padding: expected at most half of the window of 2, got 2"),
        ((2, -1), "stride: expected an integer or 2 of them, each at least 1, got -1"),
        ((2, 2, 0, False, True, 0), "divisor_override: expected a number other than 0"),
    ],
)
def test_errors_name_the_argument(args: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ops.avg_pool2d(np.ones((1, 1, 6, 6)), *args)


@pytest.mark.parametrize(
    ("shape", "args"),
    [
        ((2, 3, 9), (2.0, 3)),
        ((2, 3, 9), (1.0, 3, 2, True)),
        ((2, 3, 7, 8), (3.0, (2, 3), 2)),
        ((2, 3, 7, 8), (2.5, 3, 2, True)),
        ((1, 2, 4, 5, 4), (2.0, 2)),
    ],
)
def test_lp_pool_agrees_with_torch(lib: Library, shape: tuple[int, ...], args: tuple[Any, ...]) -> None:
    name = f"lp_pool{len(shape) - 2}d"

    def theirs(x: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(x, *args)

    x = np.random.default_rng(0).uniform(0.5, 2, shape)
    check_against_torch(lib, lambda x: getattr(ops, name)(x, *args), theirs, (x,))


def test_lp_pool_has_slope_0_where_all_is_0() -> None:
    _, pullback = xpnn.vjp(lambda x: ops.lp_pool1d(x, 2.0, 2), np.zeros((1, 1, 4)))
    np.testing.assert_array_equal(pullback(np.ones((1, 1, 2)))[0], np.zeros((1, 1, 4)))
    with pytest.raises(ValueError, match="norm_type: expected more than 0, got 0"):
        ops.lp_pool1d(np.ones((1, 1, 4)), 0, 2)
