"""LayerNorm, RMSNorm and GroupNorm: how they look, and what they refuse; their numbers are in test_matrix.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnn import nn


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.LayerNorm(4), "LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)"),
        (nn.LayerNorm([2, 3], bias=False), "LayerNorm((2, 3), eps=1e-05, elementwise_affine=True, bias=False)"),
        (nn.RMSNorm(4), "RMSNorm((4,), eps=None, elementwise_affine=True)"),
        (nn.GroupNorm(2, 4, affine=False), "GroupNorm(2, 4, eps=1e-05, affine=False)"),
    ],
)
def test_repr(layer: Any, text: str) -> None:
    assert repr(layer) == text


def test_without_affine_there_are_no_parameters() -> None:
    for layer in (nn.LayerNorm(4, elementwise_affine=False), nn.RMSNorm(4, elementwise_affine=False)):
        assert layer.state_dict() == {} and layer.weight is None
    assert nn.GroupNorm(2, 4, affine=False).state_dict() == {}
    assert list(nn.LayerNorm(4, bias=False).state_dict()) == ["weight"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.LayerNorm(()), ValueError, r"normalized_shape: expected one size or more, got \(\)"),
        (lambda: nn.LayerNorm((3, 0)), ValueError, "normalized_shape: expected 1 or more, got 0"),
        (lambda: nn.RMSNorm((3, 2.5)), TypeError, "normalized_shape: expected an integer, got float"),  # type: ignore[arg-type]
        (lambda: nn.LayerNorm(3, eps=-1.0), ValueError, r"eps: expected 0 or more, got -1\.0"),
        (lambda: nn.RMSNorm(3, eps=-1.0), ValueError, r"eps: expected 0 or more, got -1\.0"),
        (
            lambda: nn.LayerNorm(3)(np.ones((3, 4))),
            ValueError,
            "LayerNorm: x has shape .*normalized_shape = 3 on axis -1",
        ),
        (lambda: nn.RMSNorm((2, 3))(np.ones(3)), ValueError, "RMSNorm: x has shape .*normalized_shape = 2 on axis -2"),
        (lambda: nn.LayerNorm(3)("abc"), TypeError, "LayerNorm: x is str, expected an array"),
        (lambda: nn.GroupNorm(4, 6), ValueError, "num_groups: expected a divisor of num_channels 6, got 4"),
        (
            lambda: nn.GroupNorm(2, 6)(np.ones((2, 4))),
            ValueError,
            "GroupNorm: x has shape .* num_channels = 6 on axis 1",
        ),
    ],
)
def test_errors_name_the_argument(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
