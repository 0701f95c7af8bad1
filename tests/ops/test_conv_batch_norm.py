"""conv_batch_norm: a convolution and a batch norm of its output, and every gradient, on every library; the form for NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.testing import check_gradient, check_primitive

from ..conftest import Library

OPTIONS: dict[str, Any] = {"stride": (2, 1), "padding": ((1, 0), (1, 1)), "dilation": (1, 2), "groups": 2}


def given(dtype: Any = np.float64, last: bool = False) -> list[Any]:
    """x, weight, bias, gain and shift."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 7, 6, 4) if last else (3, 4, 7, 6))
    shapes = (6, 2, 3, 2), (6,), (6,), (6,)
    return [a.astype(dtype) for a in (x, *(rng.normal(size=shape) for shape in shapes))]


@pytest.mark.parametrize("last", [False, True])
def test_it_is_conv_and_then_batch_norm(lib: Library, last: bool) -> None:
    arrays = given(last=last)
    options = {**OPTIONS, "data_format": "channels_last" if last else "channels_first"}
    y, mean, var = ops.conv_batch_norm(*(lib.asarray(a) for a in arrays), **options, eps=0.1, activation="tanh")
    z = ops.conv(*arrays[:3], **options)
    axes, along = ((0, 1, 2), (-1,)) if last else ((0, 2, 3), (-1, 1, 1))
    np.testing.assert_allclose(lib.to_numpy(mean), z.mean(axis=axes), rtol=1e-12)
    np.testing.assert_allclose(lib.to_numpy(var), z.var(axis=axes), rtol=1e-12)
    h = (z - z.mean(axis=axes, keepdims=True)) / np.sqrt(z.var(axis=axes, keepdims=True) + 0.1)
    gain, shift = (a.reshape(along) for a in arrays[3:])
    np.testing.assert_allclose(lib.to_numpy(y), np.tanh(h * gain + shift), rtol=1e-11)


@pytest.mark.parametrize("last", [False, True])
def test_gradients(lib: Library, last: bool) -> None:
    """Of y, mean and var together, with respect to all arrays."""
    options = {**OPTIONS, "data_format": "channels_last" if last else "channels_first"}

    def f(*arrays: Any) -> Any:
        return list(ops.conv_batch_norm(*arrays, **options, activation="sigmoid"))

    check_gradient(f, *(lib.asarray(a) for a in given(last=last)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_form_for_numpy_agrees_with_the_reference(dtype: Any) -> None:
    arrays, last = given(dtype), given(dtype, last=True)
    cases: list[Any] = [(tuple(arrays), {**OPTIONS, "activation": activation}) for activation in (None, "relu")]
    cases += [(tuple(last), {**OPTIONS, "data_format": "channels_last", "activation": "tanh"})]
    cases += [((*arrays[:2], None, None, arrays[4]), OPTIONS), ((*arrays[:3], arrays[3], None), OPTIONS)]
    assert check_primitive(ops.conv_batch_norm, cases) == 5


def test_errors() -> None:
    x, weight, bias, gain, shift = given()
    with pytest.raises(ValueError, match=r"^weight: expected shape \(6,\), got \(5,\)$"):
        ops.conv_batch_norm(x, weight, bias, gain[1:], shift, **OPTIONS)
    with pytest.raises(ValueError, match=r"^bias: expected shape \(6,\), got \(5,\)$"):
        ops.conv_batch_norm(x, weight, bias[1:], gain, shift, **OPTIONS)
    with pytest.raises(ValueError, match="expected more than 1 value per channel"):
        ops.conv_batch_norm(x[:1, :, :2, :3], weight, None, gain, shift, **{**OPTIONS, "padding": ((1, 0), (0, 0))})
    with pytest.raises(ValueError, match="activation: expected"):
        ops.conv_batch_norm(x, weight, bias, gain, shift, **OPTIONS, activation="gelu")
