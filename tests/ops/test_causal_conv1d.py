"""causal_conv1d: the reference against torch and a plain loop, derivatives, pieces against the whole, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.primitive import explain
from xpnn.testing import check_gradient

from ..conftest import Library

# batch, channels, steps, kernel
SHAPES = [
    (1, 1, 1, 1),
    (2, 3, 7, 4),
    (1, 5, 2, 4),
    (3, 2, 9, 2),
    (2, 3, 5, 8),
    (1, 2, 3, 13),
    (2, 3, 0, 4),
    (0, 3, 5, 4),
]
FORMATS = ("channels_first", "channels_last")


def draw(batch: int, channels: int, steps: int, kernel: int, data_format: str, dtype: Any = np.float64) -> list[Any]:
    """x, weight, bias, state."""
    rng = np.random.default_rng([batch, channels, steps, kernel])
    arrays = [rng.normal(size=(batch, channels, n)) for n in (steps, kernel - 1)]
    if data_format == "channels_last":
        arrays = [np.ascontiguousarray(np.moveaxis(a, 1, -1)) for a in arrays]
    own = [arrays[0], rng.normal(size=(channels, 1, kernel)), rng.normal(size=channels), arrays[1]]
    return [a.astype(dtype) for a in own]


def loop(x: Any, weight: Any, bias: Any, state: Any, activation: str | None) -> tuple[Any, Any]:
    """With the channels first, as it is written on paper."""
    kernel = weight.shape[2]
    seen = np.concatenate([np.zeros((*x.shape[:2], kernel - 1)) if state is None else state, x], axis=2)
    y = np.zeros(x.shape)
    for n, c, t in np.ndindex(*x.shape):
        z = float(weight[c, 0] @ seen[n, c, t : t + kernel]) + (0.0 if bias is None else float(bias[c]))
        y[n, c, t] = {None: z, "relu": max(z, 0.0), "silu": z / (1 + np.exp(-z))}[activation]
    return y, seen[..., x.shape[2] :]


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("activation", [None, "silu", "relu"])
def test_values_of_a_plain_loop(lib: Library, shape: Any, data_format: str, activation: str | None) -> None:
    for missing in ((), (3,), (2, 3)):
        arrays = draw(*shape, data_format)
        given = [None if i in missing else lib.asarray(a) for i, a in enumerate(arrays)]
        found = ops.causal_conv1d(*given, activation=activation, data_format=data_format)
        last = data_format == "channels_last"
        own = [np.moveaxis(a, -1, 1) if last and i in (0, 3) else a for i, a in enumerate(arrays)]
        expected = loop(*(None if i in missing else a for i, a in enumerate(own)), activation)
        for ours, wanted in zip(found, expected, strict=True):
            wanted = np.moveaxis(wanted, 1, -1) if last else wanted
            np.testing.assert_allclose(lib.to_numpy(ours), wanted, rtol=1e-13, atol=1e-14, strict=True)


def test_it_is_the_depthwise_convolution_of_torch() -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    x, weight, bias, _ = draw(2, 3, 11, 4, "channels_first")
    wanted = torch.nn.functional.conv1d(*map(torch.from_numpy, (x, weight, bias)), padding=3, groups=3)[..., :11]
    y, _ = ops.causal_conv1d(x, weight, bias, activation="silu")
    np.testing.assert_allclose(y, torch.nn.functional.silu(wanted).numpy(), rtol=1e-12)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("shape", [(1, 2, 5, 3), (2, 1, 2, 4)])
@pytest.mark.parametrize("activation", [None, "silu"])
def test_first_and_second_derivatives(lib: Library, shape: Any, data_format: str, activation: str | None) -> None:
    """Of both outputs: what the state hands on has a gradient as well."""
    arrays = [lib.asarray(a) for a in draw(*shape, data_format)]
    options = {"activation": activation, "data_format": data_format}
    check_gradient(lambda *a: ops.causal_conv1d(*a, **options), *arrays, order=2)
    check_gradient(lambda *a: ops.causal_conv1d(*a, **options), *arrays[:2], order=2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("activation", [None, "silu"])
def test_pieces_have_the_bits_of_the_whole(dtype: Any, data_format: str, activation: str | None) -> None:
    """Pieces longer and shorter than the kernel, and one of no step."""
    x, weight, bias, state = draw(2, 5, 41, 4, data_format, dtype)
    options = {"activation": activation, "data_format": data_format}
    whole, after = ops.causal_conv1d(x, weight, bias, state, **options)
    axis, pieces = 2 if data_format == "channels_first" else 1, []
    for piece in np.split(x, [1, 2, 4, 4, 17, 40], axis=axis):
        y, state = ops.causal_conv1d(piece, weight, bias, state, **options)
        pieces.append(y)
    assert np.concatenate(pieces, axis=axis).tobytes() == whole.tobytes()
    assert np.array_equal(state, after)


def test_who_computes() -> None:
    x, weight, *_ = draw(2, 3, 7, 4, "channels_first")
    assert explain(ops.causal_conv1d, x, weight) == [
        "causal_conv1d: reference (no implementation for numpy arrays)"
    ]  # fmt: skip


X, W = np.ones((2, 3, 7)), np.ones((3, 1, 4))


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ((X[0], W), {}, r"x: expected shape \(N, C, L\), got \(3, 7\)"),
        ((X[0], W), {"data_format": "channels_last"}, r"x: expected shape \(N, L, C\), got \(3, 7\)"),
        ((X, W[:, 0]), {}, r"weight: expected shape \(3, 1, kernel\) for x \(2, 3, 7\), got \(3, 4\)"),
        ((X, W), {"data_format": "channels_last"}, r"weight: expected shape \(7, 1, kernel\) for x \(2, 3, 7\)"),
        ((X, W[..., :0]), {}, r"weight: expected shape \(3, 1, kernel\) for x \(2, 3, 7\), got \(3, 1, 0\)"),
        ((X, W, np.ones(4)), {}, r"bias: expected shape \(3,\), got \(4,\)"),
        (
            (X, W, None, X),
            {},
            r"state: expected shape \(2, 3, 3\) for x \(2, 3, 7\) and a kernel of 4, got \(2, 3, 7\)",
        ),
        ((X, W), {"activation": "gelu"}, 'activation: expected None, "silu" or "relu", got \'gelu\''),
        ((X, W), {"data_format": "NLC"}, 'data_format: expected "channels_first" or "channels_last", got \'NLC\''),
    ],
)
def test_errors_name_the_argument(arrays: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ops.causal_conv1d(*arrays, **options)
