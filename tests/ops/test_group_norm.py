"""group_norm: the reference against torch, the fused form against the reference, accuracy far from zero, errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.primitive import explain, use_reference
from xpnn.testing import check_gradient, check_primitive

from ..conftest import Library
from .against_torch import check_against_torch
from .normalisation import draw, exact, far


@pytest.mark.parametrize(
    ("shape", "groups", "eps"),
    [((4, 6), 2, 1e-5), ((2, 6, 5), 3, 0.1), ((3, 4, 2, 3), 4, 1e-5), ((2, 4, 3), 1, 1e-5), ((1, 2, 3, 2, 2), 2, 1e-5)],
)
@pytest.mark.parametrize("given", ["both", "weight", "bias", "none"])
def test_reference_agrees_with_torch(lib: Library, shape: tuple[int, ...], groups: int, eps: float, given: str) -> None:
    weight = draw(shape[1:2], seed=1) if given in ("both", "weight") else None
    bias = draw(shape[1:2], seed=2) if given in ("both", "bias") else None

    def theirs(x: Any, weight: Any, bias: Any) -> Any:
        import torch

        if weight is None and bias is not None:  # torch 2.13 cannot differentiate that
            weight = torch.ones_like(bias)
        return torch.nn.functional.group_norm(x, groups, weight, bias, eps)

    ours = lambda x, w, b: ops.group_norm(x, w, b, num_groups=groups, eps=eps)  # noqa: E731
    check_against_torch(lib, ours, theirs, (draw(shape), weight, bias))


def cases(dtype: Any) -> Iterator[tuple[Any, Any]]:
    for shape, groups in [
        ((1, 1), 1),
        ((1, 1, 1), 1),
        ((5, 6), 3),
        ((5, 6, 1), 6),
        ((3, 14, 13), 7),
        ((2, 6, 5, 3), 1),
        ((2, 6, 2, 3, 2), 2),
        ((0, 4, 3), 2),
        ((2, 4, 0), 2),
        ((11, 4, 37, 41), 2),  # several blocks
        ((3, 4, 101, 103), 4),  # samples longer than a block
    ]:
        static = {"num_groups": groups, "eps": 0.01}
        weight, bias = (draw(shape[1:2], dtype, seed) for seed in (1, 2))
        x = draw(shape, dtype)
        yield (x, weight, bias), static
        yield (x, weight, None), static
        yield (x, None, bias), static
        yield (x, None, None), static
    weight, bias = (draw((6,), dtype, seed) for seed in (1, 2))
    yield (far((3, 6, 50), dtype), weight, bias), {"num_groups": 2}
    for activation in ("relu", "tanh", "sigmoid"):
        yield (draw((3, 6, 50), dtype), weight, bias), {"num_groups": 2, "activation": activation}
    yield (np.moveaxis(draw((2, 5, 3, 6), dtype), -1, 1), draw((6,), dtype), None), {"num_groups": 3}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_form_agrees_with_the_reference(dtype: Any) -> None:
    assert check_primitive(ops.group_norm, cases(dtype)) == 49


@pytest.mark.parametrize("reference", [False, True])
def test_a_small_spread_about_a_large_mean_is_kept(reference: bool) -> None:
    x = (1e4 + 0.01 * np.random.default_rng(0).normal(size=(2, 4, 32, 32))).astype(np.float32)
    if reference:
        with use_reference():
            y = ops.group_norm(x, num_groups=2, eps=1e-12)
    else:
        y = ops.group_norm(x, num_groups=2, eps=1e-12)
    expected = exact(x.reshape(2, 2, -1), (2,), 1e-12).reshape(x.shape)
    np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-5)


def test_first_and_second_derivatives(lib: Library) -> None:
    arrays = [lib.asarray(draw(shape, seed=3)) for shape in [(2, 4, 3), (4,), (4,)]]
    check_gradient(lambda x, w, b: ops.group_norm(x, w, b, num_groups=2), *arrays, order=2)


def test_who_computes() -> None:
    assert explain(ops.group_norm, draw((3, 4)), num_groups=2) == ["group_norm: cpu.group_norm"]


@pytest.mark.parametrize(
    ("arrays", "groups", "error", "message"),
    [
        ((np.ones((2, 6)),), 4, ValueError, "num_groups: expected a divisor of the 6 channels, got 4"),
        ((np.ones((2, 6)),), 0, ValueError, "num_groups: expected a divisor of the 6 channels, got 0"),
        ((np.ones(6),), 2, ValueError, r"x: expected shape \(N, C, \*S\), got \(6,\)"),
        ((np.ones((2, 6)), np.ones(3)), 2, ValueError, r"weight: expected shape \(6,\), got \(3,\)"),
        ((np.ones((2, 6)), None, np.ones(3)), 2, ValueError, r"bias: expected shape \(6,\), got \(3,\)"),
        ((np.ones((2, 6), int),), 2, TypeError, "x: expected a real floating-point dtype, got int64"),
    ],
)
def test_errors_name_the_argument(arrays: Any, groups: int, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        ops.group_norm(*arrays, num_groups=groups)


def test_eps_is_checked() -> None:
    with pytest.raises(ValueError, match=r"eps: expected 0 or more, got -1\.0"):
        ops.group_norm(np.ones((2, 6)), num_groups=2, eps=-1.0)
