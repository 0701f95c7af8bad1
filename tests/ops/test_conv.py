"""conv: the reference against torch, the fused form against the reference, the arguments of conv1d, 2d and 3d, errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import ops
from xpnn.cpu import im2col
from xpnn.primitive import explain
from xpnn.testing import check_gradient, check_primitive

from ..conftest import Library
from .against_torch import check_against_torch


def arrays(
    x: tuple[int, ...],
    outputs: int,
    kernel: tuple[int, ...],
    groups: int = 1,
    bias: bool = True,
    dtype: Any = np.float64,
) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(sum(x) + outputs)
    weight = rng.normal(size=(outputs, x[1] // groups, *kernel)).astype(dtype)
    return rng.normal(size=x).astype(dtype), weight, rng.normal(size=outputs).astype(dtype) if bias else None


TORCH_CASES: list[tuple[tuple[int, ...], int, tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 9), 4, (3,), {"stride": 2, "padding": 1}),
    ((2, 3, 5, 6), 4, (3, 2), {}),
    ((1, 4, 7, 5), 6, (3, 3), {"stride": (2, 1), "padding": (2, 0), "dilation": (1, 2), "groups": 2}),
    ((2, 3, 4, 4), 3, (3, 3), {"padding": "same", "groups": 3}),
    ((2, 3, 6, 5), 2, (4, 1), {"padding": "same", "dilation": 1}),
    ((2, 3, 5, 5), 4, (1, 1), {"stride": 2, "padding": "valid"}),
    ((1, 2, 4, 3, 4), 3, (2, 3, 2), {"padding": (0, 1, 1), "stride": (1, 1, 2)}),
    ((0, 2, 4, 4), 3, (2, 2), {}),
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize(("x", "outputs", "kernel", "options"), TORCH_CASES)
@pytest.mark.parametrize("bias", [True, False])
def test_reference_agrees_with_torch(
    lib: Library, x: tuple[int, ...], outputs: int, kernel: tuple[int, ...], options: dict[str, Any], bias: bool
) -> None:
    name = f"conv{len(kernel)}d"

    def theirs(*tensors: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(*tensors, **options)

    ours = lambda *a: getattr(ops, name)(*a, **options)  # noqa: E731
    check_against_torch(lib, ours, theirs, arrays(x, outputs, kernel, options.get("groups", 1), bias))


def static(
    axes: int, stride: int = 1, padding: tuple[int, int] = (0, 0), dilation: int = 1, groups: int = 1
) -> dict[str, Any]:
    return {"stride": (stride,) * axes, "padding": (padding,) * axes, "dilation": (dilation,) * axes, "groups": groups}


def cases(dtype: Any) -> Iterator[tuple[Any, Any]]:
    def case(x: tuple[int, ...], outputs: int, kernel: tuple[int, ...], **options: Any) -> tuple[Any, Any]:
        return arrays(x, outputs, kernel, options.get("groups", 1), outputs % 2 == 0, dtype), static(
            len(kernel), **options
        )

    yield case((1, 1, 1), 1, (1,))
    yield case((3, 5, 17), 4, (4,), stride=3, padding=(2, 1))
    yield case((2, 1, 28, 28), 6, (3, 3))
    yield case((5, 3, 11, 7), 4, (3, 3), padding=(1, 1))
    yield case((5, 3, 11, 7), 7, (3, 2), padding=(2, 0), stride=2)
    yield case((3, 4, 13, 12), 6, (3, 3), dilation=2, stride=2, padding=(3, 3), groups=2)
    yield case((2, 6, 9, 9), 12, (3, 3), groups=6, padding=(1, 1))
    yield case((7, 16, 3, 3), 32, (3, 3), padding=(1, 1))
    yield case((3, 5, 4, 5), 8, (1, 1))
    yield case((70, 5, 12, 10), 8, (1, 1), stride=2)
    yield case((3, 6, 9, 10), 40, (1, 1), groups=2)
    yield case((2, 3, 6, 5, 4), 4, (2, 3, 3), padding=(1, 0))
    yield case((4, 8, 17, 11), 8, (5, 5), padding=(2, 2), groups=8)
    yield case((2, 8, 21, 14), 3, (3, 2), stride=2, padding=(1, 1))
    yield case((3, 8, 13, 13), 72, (3, 3), padding=(1, 0))
    yield case((2, 5, 12, 12), 150, (3, 3), padding=(1, 1))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little room for a block: images, groups and places are all cut into parts, with odd rests."""
    monkeypatch.setattr(im2col, "_BYTES", 1 << 13)
    monkeypatch.setattr(im2col, "_FEWEST", 8)


@pytest.mark.parametrize("fixture", ["rng", "small_blocks"], ids=["usual blocks", "small blocks"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_fused_form_agrees_with_the_reference(
    dtype: Any, data_format: str, fixture: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(fixture)

    def formatted() -> Iterator[tuple[Any, Any]]:
        for (x, *rest), options in cases(dtype):
            x = x if data_format == "channels_first" else np.ascontiguousarray(np.moveaxis(x, 1, -1))
            yield (x, *rest), {**options, "data_format": data_format}

    assert check_primitive(ops.conv, formatted()) == 16


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_an_activation_is_applied_along(activation: str, data_format: str) -> None:
    x, *rest = arrays((3, 4, 9, 7), 6, (3, 3), 2)
    x = x if data_format == "channels_first" else np.ascontiguousarray(np.moveaxis(x, 1, -1))
    options = {**static(2, padding=(1, 0), groups=2), "data_format": data_format}
    assert check_primitive(ops.conv, [((x, *rest), {**options, "activation": activation})]) == 1
    apart = getattr(ops, activation)(ops.conv(x, *rest, **options))
    np.testing.assert_allclose(ops.conv(x, *rest, **options, activation=activation), apart, rtol=1e-12)


def ended(data_format: str = "channels_first") -> tuple[tuple[Any, ...], dict[str, Any]]:
    """x, weight, bias, scale and residual."""
    x, *rest = arrays((3, 4, 9, 7), 6, (3, 3), 2)
    options = {**static(2, stride=2, padding=(1, 0), groups=2), "data_format": data_format}
    x = x if data_format == "channels_first" else np.ascontiguousarray(np.moveaxis(x, 1, -1))
    rng = np.random.default_rng(1)
    return (x, *rest, rng.normal(size=6), rng.normal(size=ops.conv(x, *rest, **options).shape)), options


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_scale_and_residual(lib: Library, data_format: str) -> None:
    """act(scale * conv + bias + residual), and every gradient against central differences."""
    (x, weight, bias, scale, residual), options = ended(data_format)
    along = (1, 1, 1, -1) if data_format == "channels_last" else (1, -1, 1, 1)
    given = [lib.asarray(a) for a in (x, weight, bias, scale, residual)]
    found = lib.to_numpy(ops.conv(*given, **options, activation="tanh"))
    sums = ops.conv(x, weight, None, **options) * scale.reshape(along)
    np.testing.assert_allclose(found, np.tanh(sums + bias.reshape(along) + residual), rtol=1e-12)
    check_gradient(lambda *a: ops.conv(*a, **options, activation="tanh"), *given)


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_fused_scale_and_residual_agree_with_the_reference(data_format: str) -> None:
    given, options = ended(data_format)
    cases = [(given, {**options, "activation": activation}) for activation in ("relu", None)]
    cases += [((*given[:3], None, given[4]), options), ((*given[:2], None, given[3], None), options)]
    assert check_primitive(ops.conv, cases) == 4


def test_the_layers_forms_take_scale_and_residual() -> None:
    (x, weight, bias, scale, residual), options = ended()
    wanted = ops.conv(x, weight, bias, scale, residual, **options)
    padding = {"stride": 2, "padding": (1, 1), "groups": 2}
    y = ops.conv2d(x, weight, bias, 2, 1, groups=2)
    more = np.ones(y.shape)
    found = ops.conv2d(x, weight, bias, **padding, scale=scale, residual=more)
    along = ops.conv2d(x, weight, None, **padding) * scale.reshape(1, -1, 1, 1) + bias.reshape(1, -1, 1, 1) + 1
    np.testing.assert_allclose(found, along, rtol=1e-12)
    single = ops.conv2d(x[0], weight, bias, **padding, scale=scale, residual=more[0])
    np.testing.assert_allclose(single, found[0], rtol=1e-12)
    assert wanted.shape == residual.shape
    with pytest.raises(
        ValueError, match=r"residual: expected the shape \(3, 6, 5, 4\) of the output, got \(2, 6, 5, 4\)"
    ):
        ops.conv2d(x, weight, bias, **padding, residual=more[:2])
    with pytest.raises(ValueError, match=r"scale: expected shape \(6,\), got \(5,\)"):
        ops.conv2d(x, weight, bias, **padding, scale=scale[1:])


def test_small_blocks_cut_everything(small_blocks: None) -> None:
    """What the test above relies on."""
    images = im2col.geometry((5, 3, 6, 5), (4, 3, 2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    assert [b.images for b in images.blocks(8)] == [slice(0, 4), slice(4, 5)]
    groups = im2col.geometry((2, 5, 8, 8), (5, 1, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 5)
    assert [b.groups for b in groups.blocks(8)][:4] == [slice(0, 1), slice(1, 2), slice(2, 3), slice(3, 4)]
    places = im2col.geometry((1, 3, 9, 11), (2, 3, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    assert [(s.start, s.stop, len(s)) for s in places.slabs(8)] == [(0, 3, 33), (3, 6, 33), (6, 9, 33)]


def test_strided_inputs() -> None:
    x, weight, bias = arrays((4, 6, 9, 10), 4, (3, 3))
    cases = [
        ((x[::2, ::-1, :, ::2], weight[:, :, ::-1], bias), static(2)),
        ((x.swapaxes(2, 3), weight[::-1], None), static(2)),
    ]
    assert check_primitive(ops.conv, cases) == 2


def test_channels_last_is_channels_first_moved(lib: Library) -> None:
    x, weight, bias = (lib.asarray(a) for a in arrays((2, 4, 5, 6), 6, (3, 2), groups=2))
    first = ops.conv2d(x, weight, bias, 2, 1, groups=2)
    last = ops.conv2d(lib.xp.moveaxis(x, 1, -1), weight, bias, 2, 1, groups=2, data_format="channels_last")
    np.testing.assert_allclose(lib.to_numpy(lib.xp.moveaxis(last, -1, 1)), lib.to_numpy(first), rtol=1e-12)


def test_an_image_without_a_batch(lib: Library) -> None:
    x, weight, bias = (lib.asarray(a) for a in arrays((1, 4, 5, 6), 6, (3, 2)))
    alone = ops.conv2d(x[0, ...], weight, bias, padding=1)
    np.testing.assert_array_equal(lib.to_numpy(alone), lib.to_numpy(ops.conv2d(x, weight, bias, padding=1))[0])


def test_a_pullback_may_be_called_twice_and_leaves_its_argument_alone() -> None:
    x, weight, bias = arrays((3, 4, 6, 6), 5, (3, 3))
    y, pullback = xpnn.vjp(lambda *a: ops.conv2d(*a, padding=1), x, weight, bias)
    g = np.random.default_rng(0).normal(size=y.shape)
    kept = g.copy()
    once, again = pullback(g), pullback(g)
    assert np.array_equal(g, kept)
    assert all(np.array_equal(a, b) and not np.shares_memory(a, b) for a, b in zip(once, again, strict=True))


def test_only_the_gradients_that_are_wanted() -> None:
    x, weight, bias = arrays((3, 4, 6, 6), 5, (3, 3))
    _, everything = xpnn.vjp(lambda *a: ops.conv2d(*a), x, weight, bias)
    g = np.ones((3, 5, 4, 4))
    for i, expected in enumerate(everything(g)):
        args = [x, weight, bias]
        f = lambda a, i=i, args=args: ops.conv2d(*args[:i], a, *args[i + 1 :])  # noqa: E731
        np.testing.assert_array_equal(xpnn.vjp(f, args[i])[1](g)[0], expected)


def test_half_precision_takes_the_reference() -> None:
    x, weight, bias = (a.astype(np.float16) for a in arrays((2, 3, 5, 5), 4, (3, 3)))
    (line,) = explain(ops.conv2d, x, weight, bias)
    assert line == "conv: reference (cpu.conv refused: dtype float16)"


X, W = np.ones((2, 4, 5, 5)), np.ones((6, 4, 3, 3))


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((X[0, 0], W), {}, r"x: expected 4 axes, or 3 without a batch, got shape \(5, 5\)"),
        ((X, W[0]), {}, "weight: expected 4 axes"),
        ((X[:, :3], W), {}, r"x: expected 4 channels \(4 x 1 groups\), got 3"),
        ((X, W), {"groups": 4}, "groups: expected a divisor of the 6 outputs, got 4"),
        ((X, W), {"groups": 2}, "x: expected 8 channels"),
        ((X, W, np.ones(5)), {}, r"bias: expected shape \(6,\), got \(5,\)"),
        ((X, W), {"stride": 0}, "stride: expected an integer or 2 of them, each at least 1, got 0"),
        ((X, W), {"stride": (1, 1, 1)}, "stride: expected an integer or 2 of them"),
        ((X, W), {"dilation": 1.5}, "dilation: expected an integer"),
        ((X, W), {"padding": "full"}, 'padding: expected integers, "valid" or "same"'),
        ((X, W), {"padding": "same", "stride": 2}, 'padding: "same" needs stride 1'),
        ((X, W), {"dilation": 3}, "are smaller than the window"),
        ((X, W), {"activation": "gelu"}, 'activation: expected None, "relu", "tanh" or "sigmoid", got \'gelu\''),
        ((X, W), {"data_format": "NHWC"}, "data_format: expected"),
        ((X, W[:, :, :0]), {}, "weight: expected a kernel of size 1 or more"),
    ],
)
def test_errors_name_the_argument(args: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ops.conv2d(*args, **options)


def test_one_tap_whose_stride_makes_up_for_the_padding() -> None:
    """As many outputs as inputs, and yet not the same places."""
    x, w = np.arange(1.0, 4.0).reshape(1, 1, 3), np.full((1, 1, 1), 2.0)
    options = {"stride": (2,), "padding": ((1, 1),), "dilation": (1,)}
    expected = ops.conv.reference(x, w, **options)
    assert expected.shape == x.shape
    np.testing.assert_array_equal(ops.conv(x, w, **options), expected)
