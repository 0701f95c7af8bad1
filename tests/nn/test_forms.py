"""The matrix of layers, for padding and what convolutions pad by: torch's values and gradients on every library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from xpnn import nn

from ..conftest import Library, libraries
from . import test_matrix as matrix
from .test_matrix import CUBE, IMAGE, LINE, Case, case

CASES = [
    case("ConstantPad1d", (1, 2), 3.5, shape=LINE),
    case("ConstantPad1d", 2, -1, shape=(9,)),
    case("ConstantPad2d", (1, -2, 0, 3), 0.5, shape=IMAGE),
    case("ConstantPad3d", (1, 0, 2, 1, 0, 1), 2.0, shape=CUBE),
    *(case(f"ZeroPad{n}d", 1, shape=shape) for n, shape in ((1, LINE), (2, IMAGE), (3, CUBE))),
    *(
        case(f"{kind}Pad{n}d", padding, shape=shape)
        for kind in ("Reflection", "Replication", "Circular")
        for n, padding, shape in (
            (1, (3, 2), LINE),
            (1, 1, (4, 5)),
            (2, (1, 2, 3, 0), IMAGE),
            (2, 2, (4, 7, 6)),
            (3, (2, 1, 0, 2, 1, 1), CUBE),
        )
    ),
    *(
        case(f"Conv{n}d", shape[1], 4, 3, padding=padding, padding_mode=mode, shape=shape, **options)
        for mode in ("reflect", "replicate", "circular")
        for n, shape, padding, options in (
            (1, LINE, 2, {"stride": 2}),
            (1, LINE, "same", {"dilation": 3, "groups": 4}),
            (2, IMAGE, (2, 1), {"stride": (2, 1), "groups": 2, "bias": False}),
            (2, IMAGE, "same", {"dilation": (2, 1)}),
            (2, IMAGE, "valid", {}),
            (3, CUBE, (1, 0, 2), {}),
        )
    ),
    case("Conv2d", 4, 3, (2, 4), padding="same", padding_mode="circular", shape=(4, 7, 6)),
    case("Conv2d", 4, 3, 3, 1, 1, 1, 1, True, "reflect", shape=IMAGE),
]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("library", libraries("numpy", "strict", "strict-device1", "torch", "cupy"))
def test_values_and_gradients_of_torch(case: Case, library: Callable[[], Library]) -> None:
    matrix.test_values_and_gradients_of_torch(case, library)


@pytest.mark.parametrize("case", [case for case in CASES if not case.integers], ids=str)
def test_inference_on_raw_arrays_makes_no_boxes(case: Case) -> None:
    matrix.test_inference_on_raw_arrays_makes_no_boxes(case)


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
