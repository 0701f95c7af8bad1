"""Convolution by products of whole warpgroups, in the emulator: exact sums, bounds, what it refuses, how it compiles."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.emulator import SCHEDULES
from xpnn import ops
from xpnn.cuda import conv, conv_transpose, conv_wgmma, tensor_map
from xpnn.cuda.conv_shape import Convolution
from xpnn.cuda.source import joined
from xpnn.primitive import Primitive, explain

from . import nvrtc
from .emulated import Emulator, emulating
from .test_conv import DTYPES, case, expected, gradient
from .test_conv_plans import convolution, layers


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Asked for, also for small images; two blocks, so that a block has several tiles."""
    monkeypatch.setenv("XPNN_CONV", "wgmma")
    monkeypatch.setattr(conv_wgmma, "_SMALLEST_IMAGES", 0)
    monkeypatch.setattr(conv_wgmma, "_PROCESSORS", 2)
    for planned in (conv_wgmma.refusal, conv_wgmma.plan_of):
        planned.cache_clear()
    yield
    for planned in (conv_wgmma.refusal, conv_wgmma.plan_of):
        planned.cache_clear()


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch, asked: None) -> Iterator[Emulator]:
    with emulating(monkeypatch) as found:
        yield found


def files(emulator: Emulator) -> list[str]:
    return [plan.file for plan in emulator.launched if plan.file != "conv_pack.cu"]


def columns(emulator: Emulator) -> set[str]:
    return {plan.entry.split(", ")[1] for plan in emulator.launched if plan.file == "conv_wgmma.cu"}


# The name says what lies beside an edge: of 128 positions, of 64 or 128 filters, of 64 channels; or which axes there are.
CASES: dict[str, Any] = {
    "one": ((1, 1, 1), 1, (1,)),
    "1-d, several images": ((7, 5, 40), 4, (4,), 3, (2, 1)),
    "127 positions, 65 filters, 65 channels": ((1, 65, 1, 127), 65, (1, 1)),
    "129 positions, 64 filters": ((1, 8, 129), 64, (1,)),
    "a long ring": ((2, 72, 8, 9), 12, (3, 3), 1, (1, 1)),
    "two slices, the last one short": ((5, 16, 8, 8), 72, (2, 3), 1, (1, 1)),
    "129 filters": ((3, 8, 10, 10), 129, (1, 2)),
    "strides and dilation": ((2, 24, 19, 17), 6, (3, 2), 4, (3, 2), 2),
    "3-d": ((2, 3, 5, 6, 4), 4, (2, 3, 3), 2, (1, 0)),
    "3-d, stride 1": ((1, 16, 4, 6, 7), 10, (3, 2, 3), 1, (1, 1)),
    "groups": ((2, 128, 5, 13), 128, (1, 3), 1, (0, 1), 1, 2),
}  # fmt: skip
EXACT = [(name, i % 2 == 0, "float16") for i, name in enumerate(CASES)]
EXACT += [("two slices, the last one short", True, "float16"), ("3-d, stride 1", True, "bfloat16")]


@pytest.mark.parametrize(("name", "last", "dtype"), EXACT)
def test_sums_of_small_integers_are_exact(emulator: Emulator, name: str, last: bool, dtype: str) -> None:
    """y, and dx where the stride is 1: the weight gradient and the others are those of conv_half.py."""
    arrays, static = case(*CASES[name], last=last)
    given = [a if a is None else a.astype(DTYPES[dtype]) for a in arrays]
    y, residuals = conv.forward(*given, **static, need=(True, False, False))
    dx, _, _ = conv.backward(residuals, gradient(y.shape).astype(DTYPES[dtype]), (True, False, False))
    exact = expected(arrays, static)
    for found, wanted in ((y, exact[0]), (dx, exact[1])):
        np.testing.assert_array_equal(found, wanted.astype(found.dtype))
    by_stride = "conv_wgmma.cu" if max(static["stride"]) == 1 else "conv_half.cu"
    assert files(emulator) == ["conv_wgmma.cu", by_stride]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_only_the_result_is_rounded(emulator: Emulator, dtype: str) -> None:
    """Half a unit in the last place of the result, and what float32 sums lose."""
    rng = np.random.default_rng(0)
    arrays, static = case((3, 72, 9, 9), 70, (3, 3), 1, (1, 1))
    own = [a if a is None else rng.normal(size=a.shape).astype(DTYPES[dtype]) for a in arrays]
    y, residuals = conv.forward(*own, **static, need=(True, False, False))
    g = rng.normal(size=y.shape).astype(DTYPES[dtype])
    dx = conv.backward(residuals, g, (True, False, False))[0]
    exact = expected(tuple(own), static, g)
    for found, wanted in ((y, exact[0]), (dx, exact[1])):
        allowed = (2**-11 if dtype == "float16" else 2**-8) * np.abs(wanted) + 1e-5 * np.abs(wanted).max()
        assert np.all(np.abs(found.astype(np.float64) - wanted) <= allowed)
    assert files(emulator) == ["conv_wgmma.cu"] * 2 and columns(emulator) == {"128"}


def test_every_schedule_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch, asked: None) -> None:
    arrays, static = case((3, 72, 8, 8), 72, (2, 2))
    x, weight, bias = (np.random.default_rng(0).normal(size=a.shape).astype(np.float16) for a in arrays)
    with emulating(monkeypatch, SCHEDULES) as emulator:
        conv.forward(x, weight, bias, **static, need=(False,) * 3)
    plan = emulator.launched[-1]
    assert plan.file == "conv_wgmma.cu" and plan.grid == (2, 1, 1)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_an_activation_is_applied_on_the_way_out(emulator: Emulator, activation: str) -> None:
    arrays, static = case((2, 8, 6, 6), 6, (3, 3), last=True)
    given = [(a / 8).astype(np.float16) for a in arrays]
    y, _ = conv.forward(*given, **static, activation=activation, need=(False,) * 3)
    wanted = ops.conv.reference(*(a.astype(np.float64) for a in given), **static, activation=activation)
    np.testing.assert_allclose(y.astype(np.float64), wanted, rtol=2e-3, atol=2e-3)


def test_a_scale_and_a_residual_are_applied_on_the_way_out(emulator: Emulator) -> None:
    """Of the kind itself, by a packed image (2, 6, 6, 8) and weight (6, 9, 8)."""
    rng = np.random.default_rng(0)
    x, weight, bias, scale, residual = (
        rng.integers(-3, 4, shape).astype(np.float16)
        for shape in ((2, 6, 6, 8), (6, 3, 3, 8), (6,), (6,), (2, 4, 4, 6))
    )
    y = np.empty_like(residual)
    given = conv_wgmma.KINDS["float16"], convolution(2, 8, 6, 6, 3, last=True)._replace(padding=((0, 0),) * 2)
    given[0]._gather(
        given[1], y, None, gradient=False, source=x, weight=weight, bias=bias, scale=scale, residual=residual
    )
    assert files(emulator) == ["conv_wgmma.cu"]
    wide = [a.astype(np.float64) for a in (x, np.moveaxis(weight, -1, 1))]
    static = {"stride": (1, 1), "padding": ((0, 0),) * 2, "dilation": (1, 1), "data_format": "channels_last"}
    wanted = ops.conv.reference(*wide, **static) * scale.astype(np.float64) + bias + residual
    np.testing.assert_array_equal(y, wanted)


def test_a_transposed_convolution_takes_the_same_way(emulator: Emulator) -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.integers(-3, 4, (2, 24, 7, 6)), rng.integers(-3, 4, (24, 10, 3, 3))
    static = {"stride": (1, 1), "padding": ((1, 1),) * 2, "output_padding": (0, 0), "dilation": (1, 1)}
    given = x.astype(np.float16), weight.astype(np.float16)
    y, residuals = conv_transpose.forward(*given, None, **static, need=(True, False, False))
    assert files(emulator) == ["conv_wgmma.cu"]
    wanted = ops.conv_transpose.reference(x.astype(np.float64), weight.astype(np.float64), **static)
    np.testing.assert_array_equal(y, wanted)
    dx = conv_transpose.backward(residuals, y, (True, False, False))[0]
    back = ops.conv.reference(
        y.astype(np.float64), weight.astype(np.float64), **{k: static[k] for k in list(static)[:2]}, dilation=(1, 1)
    )
    np.testing.assert_array_equal(dx, back.astype(np.float16))
    assert files(emulator) == ["conv_wgmma.cu"] * 2


def test_the_tail_of_the_channels_meets_no_weight_of_another_tap(emulator: Emulator) -> None:
    """An infinite weight of the last tap times a channel that is not there would be nan."""
    weight = np.ones((2, 8, 2), np.float16)
    weight[0, :, 1] = np.inf
    static = {"stride": (1,), "padding": ((0, 0),), "dilation": (1,)}
    y, _ = conv.forward(np.ones((1, 8, 9), np.float16), weight, None, **static, need=(False,) * 3)
    np.testing.assert_array_equal(y[0], np.stack([np.full(8, np.inf), np.full(8, 16)]))


def test_nan_reaches_what_it_should_and_nothing_else(emulator: Emulator) -> None:
    x = np.zeros((2, 8, 6), np.float16)
    x[0, 0, 0], x[1, 3, 5] = np.nan, np.inf
    static = {"stride": (1,), "padding": ((1, 1),), "dilation": (1,)}
    y, _ = conv.forward(x, np.ones((1, 8, 3), np.float16), None, **static, need=(False,) * 3)
    np.testing.assert_array_equal(y[:, 0], [[np.nan, np.nan, 0, 0, 0, 0], [0, 0, 0, 0, np.inf, np.inf]])


def shape(**change: Any) -> Convolution:
    """A convolution that the kernel takes, changed."""
    return convolution(32, 64, 64, 56, 3)._replace(**change)


THREE = {"sizes": (8, 64, 64), "kernel": (3, 3, 3), "stride": (1,) * 3, "padding": ((1, 1),) * 3, "dilation": (1,) * 3}
LONG = {"sizes": (600, 600), "padding": ((128, 127), (1, 1))}


@pytest.mark.parametrize(
    ("conv", "gradient", "reason"),
    [
        (shape(), False, None),
        (shape(), True, None),
        (shape(**THREE), True, None),
        (shape(channels=5, stride=(8, 8)), False, None),
        (shape(stride=(2, 1)), True, "an input gradient of stride (2, 1)"),
        (shape(stride=(1, 9)), False, "stride (1, 9), above 8"),
        (shape(groups=2, channels=40), False, "groups of 40 channels, no multiple of 64"),
        (shape(groups=2, filters=40), True, "groups of 40 channels, no multiple of 64"),
        (shape(batch=1, sizes=(31, 31)), False, "images of 123008 bytes in all, below 131072"),
        (shape(padding=((129, 0), (1, 1))), False, "corners -129 and -2 of a tensor map over 2 axes"),
        (shape(**THREE | {"padding": ((1, 17),) * 3}), True, "corners -1 and -17 of a tensor map over 3 axes"),
        (shape(**LONG | {"kernel": (9, 3), "dilation": (32, 1)}), False, "corners -128 and -129 of a tensor map over 2 axes"),
        (shape(**LONG | {"kernel": (2, 3), "dilation": (255, 1)}), False, "a kernel that reaches 255 places, above 254"),
    ],
)  # fmt: skip
def test_it_says_what_it_does_not_take(conv: Convolution, gradient: bool, reason: str | None) -> None:
    assert conv.refusal() is None
    assert conv_wgmma.refusal(conv, gradient=gradient) == reason


def test_devices_that_cannot_run_it_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def on(capability: str) -> Any:
        return conv_wgmma.unfit(SimpleNamespace(device=SimpleNamespace(compute_capability=capability)))

    monkeypatch.setattr(conv_wgmma, "missing_driver", lambda: None)
    assert (on("90"), on("89"), on("100")) == (
        None,
        "compute capability 8.9, not 9.0",
        "compute capability 10.0, not 9.0",
    )
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    assert on("90") == "cuda-bindings is missing: pip install cuda-bindings"


def test_explain_names_the_way_and_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, static = case((2, 8, 6, 6), 6, (3, 3))
    x, weight, bias = (a.astype(np.float16) for a in arrays)
    told = []
    for value in ("", "auto", "wgmma"):
        monkeypatch.setenv("XPNN_CONV", value)
        told.append(conv.way(x, weight, bias, **static))
    assert [line.partition(".cu")[0] for line in told] == ["conv_halo"] * 3
    assert told[2].endswith("; not wgmma: images of 1152 bytes in all, below 131072")
    assert conv.way(*arrays, **static).endswith("; not wgmma: dtype float32")
    big = np.zeros((32, 64, 8, 8), np.float16)
    assert conv.way(big, np.zeros((64, 64, 3, 3), np.float16), **static) == "conv_wgmma"
    monkeypatch.setenv("XPNN_CONV", "fast")
    with pytest.raises(ValueError, match="XPNN_CONV: expected one of auto, gather, halo, wgmma, got 'fast'"):
        conv.way(x, weight, bias, **static)


def test_a_call_is_explained(emulator: Emulator) -> None:
    own = Primitive(ops.conv.reference, name="conv")
    own.add("numpy", conv)
    arrays, static = case((2, 8, 6, 6), 6, (3, 3))
    (line,) = explain(lambda *a: own(*a, **static), *(a.astype(np.float16) for a in arrays))
    assert line == "conv: cuda.conv (conv_wgmma)"


def test_no_plan_chooses_a_kernel_that_is_not_listed() -> None:
    listed = {plan.entry: plan for plan in conv_wgmma.instantiations()}
    assert len(listed) == 4
    chosen = set()
    for given, dtype, backward in itertools.product(layers(), conv_wgmma.KINDS, (False, True)):
        if conv_wgmma.refusal(given, gradient=backward) is None:
            plan = conv_wgmma.plan_of(dtype, given, None, gradient=backward, aligned=True).plan
            assert plan.specific and plan.grid[0] <= 132 and plan.shared == listed[plan.entry].shared
            chosen.add(plan.entry)
    assert chosen == set(listed)


def test_a_plan_counts_the_bytes_and_the_flops_that_must_be() -> None:
    plan = conv_wgmma.plan_of("float16", convolution(32, 64, 64, 56, 3), None, gradient=False, aligned=True).plan
    assert plan.bytes == 2 * (2 * 32 * 64 * 56 * 56 + 64 * 64 * 9)
    assert plan.flops == 2 * 32 * 56 * 56 * 64 * 64 * 9
    assert plan.grid == (132, 1, 1) and plan.block == (384, 1, 1)


def test_the_maps_of_a_strided_convolution() -> None:
    """Channels, W, H, images; the corner above is the documented one or less, with the same number of places."""
    asked = convolution(32, 64, 96, 57, 3, 2)._replace(padding=((1, 1), (0, 1)))
    _, image, weight, values = conv_wgmma.plan_of("bfloat16", asked, None, gradient=False, aligned=True)
    row, plane = 2 * 64 * 57, 2 * 64 * 57 * 57
    assert image == tensor_map.MapShape(
        "bfloat16", (64, 57, 57, 32), (128, row, plane), (64, 128), (1, 2, 2, 1), lower=(0, -1), upper=(-2, -1)
    )
    assert weight == tensor_map.MapShape("bfloat16", (64, 9, 96), (128, 128 * 9), (64, 1, 128))
    assert (values["lower"], values["offset"], values["offset_step"]) == ((0, -1, 0), (0, 0, 0), (0, 1, 1))


def test_an_input_gradient_walks_over_the_taps_backwards() -> None:
    _, image, _, values = conv_wgmma.plan_of(
        "float16", convolution(32, 64, 96, 56, 3), None, gradient=True, aligned=True
    )
    assert (image.sizes[0], image.lower, image.upper) == (96, (-1, -1), (-1, -1))
    assert (values["offset"], values["offset_step"]) == ((0, 2, 2), (0, -1, -1))


def test_it_compiles_without_spills_and_without_serialised_products() -> None:
    """ptxas says so, by a number from C7500 on, where it cannot keep a product in flight."""
    nvrtc.needs_nvrtc()
    plans = [plan for plan in conv_wgmma.instantiations() if "__half" in plan.entry]
    source = joined("conv_wgmma.cu") + plans[0].layout.assertions
    log, _, _ = nvrtc.compile_log(source, [plan.entry for plan in plans], "sm_90a")
    assert log.count("0 bytes spill stores") == len(plans) and "(C75" not in log
    touched = source.replace("ptx::wgmma_commit();\n", "ptx::wgmma_commit(); d[3] += 1.0f;\n")
    assert touched != source
    assert "(C75" in nvrtc.compile_log(touched, [plans[0].entry], "sm_90a")[0]
