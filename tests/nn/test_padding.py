"""Padding layers, and padding_mode of convolutions, beyond the matrix of layers: both data formats, and how they look."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnn import nn


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [(2, 1), "same", "valid"], ids=str)
@pytest.mark.parametrize("shape", [(2, 7, 6, 4), (7, 6, 4)])
def test_channels_last(mode: str, padding: Any, shape: tuple[int, ...]) -> None:
    options: dict[str, Any] = {"padding": padding, "dilation": (1, 2), "padding_mode": mode, "dtype": "float64"}
    first = nn.Conv2d(4, 3, (2, 3), **options)
    last = nn.Conv2d(4, 3, (2, 3), **options, data_format="channels_last")
    last.load_state_dict(first.state_dict())
    x = np.random.default_rng(0).normal(size=shape)
    expected = np.moveaxis(first(np.moveaxis(x, -1, -3)), -3, -1)
    np.testing.assert_allclose(last(x), expected, rtol=1e-12, atol=1e-13)


def test_options_show() -> None:
    assert repr(nn.ReflectionPad2d(2)) == "ReflectionPad2d((2, 2, 2, 2))"
    assert repr(nn.ZeroPad1d((1, 2))) == "ZeroPad1d((1, 2))"
    assert repr(nn.ConstantPad1d(1, 2.5)) == "ConstantPad1d(padding=(1, 1), value=2.5)"
    assert repr(nn.Conv1d(1, 1, 3, padding_mode="reflect")).endswith("bias=True, padding_mode=reflect)")
    assert "padding_mode" not in repr(nn.Conv1d(1, 1, 3))
