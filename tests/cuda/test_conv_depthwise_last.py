"""conv_depthwise_last: depthwise convolution with the channels last, in the emulator: values, gradients, bits, plans, refusals."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from tests.emulator import SCHEDULES
from xpnn import ops
from xpnn.cuda import conv_depthwise_last
from xpnn.cuda.conv_depthwise_last import dx_launch, forward_launch, weight_launches
from xpnn.primitive import Primitive, explain
from xpnn.testing import check_primitive

from .emulated import FEW, emulating, kernels_for_numpy
from .test_conv_depthwise import DTYPES, EVERYTHING, drawn, expect, geometry, integers, normal

# batch, channels, multiplier, sizes, kernel, options. Channels of 8 and 16 move as vectors; others, and multipliers, do not.
CASES: list[tuple[int, int, int, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    (1, 1, 1, (1,), (1,), {}),
    (2, 8, 1, (17,), (4,), {"padding": ((3, 0),)}),
    (1, 8, 1, (23,), (9,), {"dilation": 2, "padding": 6}),
    (2, 3, 2, (13,), (5,), {"padding": 2}),
    (1, 8, 1, (21,), (3,), {"stride": 2, "dilation": 4, "padding": 2}),
    (1, 8, 1, (21,), (5,), {"stride": 6, "dilation": 4, "padding": 3}),
    (2, 8, 1, (7, 7), (3, 3), {"padding": 1}),
    (1, 40, 1, (5, 4), (3, 3), {"padding": 1}),
    (1, 8, 1, (9, 8), (7, 7), {"padding": 3}),
    (1, 16, 1, (6, 5), (5, 4), {"padding": ((2, 1), (0, 3))}),
    (2, 8, 1, (8, 9), (3, 3), {"stride": 2, "padding": 1}),
    (1, 2, 3, (7, 6), (5, 2), {"stride": (3, 1), "padding": (2, 0)}),
    (1, 8, 1, (20, 7), (3, 3), {"dilation": (2, 3), "padding": (2, 3)}),
    (1, 9, 1, (6, 6), (3, 3), {"padding": 1}),
    (1, 8, 1, (4, 5, 6), (3, 3, 3), {"padding": 1}),
    (2, 2, 2, (5, 4, 3), (2, 3, 2), {"stride": (2, 1, 2), "padding": (1, 2, 0)}),
    (1, 8, 1, (5, 6, 4), (2, 2, 3), {"stride": 2, "padding": 1}),
    # Nothing inside but padding; no image; no filter.
    (1, 8, 1, (0,), (3,), {"padding": 2}),
    (0, 8, 1, (5,), (3,), {}),
    (2, 3, 0, (5,), (3,), {}),
]


def last(case: Any, draw: Any) -> tuple[list[Any], dict[str, Any]]:
    (x, weight, bias), static = drawn(case, draw)
    return [np.ascontiguousarray(np.moveaxis(x, 1, -1)), weight, bias], {**static, "data_format": "channels_last"}


def run(arrays: list[Any], static: dict[str, Any]) -> list[Any]:
    """y and the gradients, by the kernels."""
    assert conv_depthwise_last.refusal(*arrays, **static) is None
    y, residuals = conv_depthwise_last.forward(*arrays, need=EVERYTHING, **static)
    return [y, *conv_depthwise_last.backward(residuals, integers(y.dtype, 1)(y.shape), EVERYTHING)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_small_integers_come_out_exactly(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    """All sums are exact in float32, and those of these cases in the shorter dtypes up to one rounding of the result."""
    with emulating(monkeypatch, FEW[:1]) as emulator:
        for i, case in enumerate(CASES if dtype == "float32" else CASES[1::4]):
            arrays, static = last(case, integers(np.float64, i))
            found = run([a.astype(DTYPES[dtype]) for a in arrays], static)
            for ours, y in zip(found, expect(arrays, static), strict=True):
                assert ours.dtype == DTYPES[dtype] and np.array_equal(ours, y.astype(DTYPES[dtype])), case
    listed = {plan.entry for plan in conv_depthwise_last.instantiations()}
    seen = {plan.entry for plan in emulator.launched}
    assert seen <= listed and (dtype != "float32" or seen == {entry for entry in listed if "<float" in entry})


def test_it_agrees_with_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """With activations, in the same launch; strided arrays; no bias."""
    own = Primitive(ops.conv.reference, name="conv")
    own.add("numpy", conv_depthwise_last)
    cases = []
    for number, activation in ((1, "relu"), (6, "tanh"), (10, "sigmoid"), (3, "relu"), (-2, "relu")):
        arrays, static = last(CASES[number], normal(np.float32))
        cases.append((arrays, {**static, "activation": activation}))
    (x, weight, _), static = last((4, 8, 1, (6, 9), (3, 3), {}), normal(np.float32))
    cases.append(([x[::2, :, ::-2], weight[..., ::-1], None], static))
    with emulating(monkeypatch, FEW[:1]) as emulator:
        assert check_primitive(own, cases) == len(cases)
        emulator.launched.clear()
        conv_depthwise_last.forward(*cases[1][0], need=EVERYTHING, **cases[1][1])
    assert [plan.file for plan in emulator.launched] == ["conv_depthwise_last.cu"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_dtypes_are_rounded_once(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    """Against float64: half a unit in the last place of the result, and what float32 sums lose."""
    half = {"float16": 2.0**-11, "bfloat16": 2.0**-8}[dtype]
    arrays, static = last(CASES[6], normal(DTYPES[dtype]))
    with emulating(monkeypatch, FEW[:1]):
        found = run(arrays, static)
    expected = expect([np.asarray(a, np.float64) for a in arrays], static)
    for ours, y in zip(found, expected, strict=True):
        scale = float(np.abs(y).max())
        np.testing.assert_array_less(np.abs(ours.astype(np.float64) - y), half * np.abs(y) + 1e-6 * scale + 1e-7)


def test_every_schedule_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator compares them."""
    with emulating(monkeypatch, SCHEDULES) as emulator:
        for number in (6, 10):
            run(*last(CASES[number], normal(np.float32)))
    assert {plan.entry.partition("<")[0] for plan in emulator.launched} == {
        "depthwise_last_gather", "depthwise_last_spread", "depthwise_last_weight",
    }  # fmt: skip


def test_slices_of_the_sums_and_several_items_of_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices end inside an image and a row; threads of few blocks take several items for the weights that they share."""
    arrays, static = last((5, 8, 1, (19, 11), (3, 4), {"padding": 1}), integers(np.float32))
    monkeypatch.setattr(conv_depthwise_last, "_LEAST_STRIPS", 1)
    monkeypatch.setattr(conv_depthwise_last, "_BLOCKS", 1)
    for name in ("forward_launch", "dx_launch", "weight_launches"):
        monkeypatch.setattr(conv_depthwise_last, name, getattr(conv_depthwise_last, name).__wrapped__)
    with emulating(monkeypatch, FEW[:2]) as emulator:
        found = run(arrays, static)
        for ours, y in zip(found, expect([a.astype(np.float64) for a in arrays], static), strict=True):
            assert np.array_equal(ours, y)
        assert [plan.entry.partition("<")[0] for plan in emulator.launched[-2:]] == [
            "depthwise_last_weight", "depthwise_sum",
        ]  # fmt: skip
        y, residuals = conv_depthwise_last.forward(*arrays, need=EVERYTHING, **static)
        for i in range(3):
            own = conv_depthwise_last.backward(residuals, integers(np.float32, 1)(y.shape), [j == i for j in range(3)])
            assert np.array_equal(own[i], found[1 + i]) and [a is None for a in own].count(True) == 2
    assert emulator.launched[0].grid[0] < 5 * 5 * 11 / 64


def test_infinity_and_nan_stay_within_their_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    with emulating(monkeypatch, FEW[:1]):
        for sizes, kernel, given in [((9, 6), (3, 2), {}), ((9, 6), (4, 2), {"stride": 3}), ((10,), (4,), {})]:
            (x, weight, bias), static = last((1, 8, 1, sizes, kernel, given), normal(np.float32))
            for place, value in itertools.product([0, -1], [np.inf, np.nan]):
                own = x.copy()
                own[0, place] = value
                with np.errstate(invalid="ignore"):
                    expected = expect([own, weight, bias], static)
                for ours, y in zip(run([own, weight, bias], static), expected, strict=True):
                    np.testing.assert_allclose(ours, y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_badly_aligned_arrays(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    arrays, static = last(CASES[6], integers(DTYPES[dtype]))
    off = []
    for a in arrays:
        room = np.zeros(a.size + 1, a.dtype)
        room[1:] = a.reshape(-1)
        off.append(room[1:].reshape(a.shape))
    with emulating(monkeypatch, FEW[:1]):
        for x, y in zip(run(arrays, static), run(off, static), strict=True):
            assert x.tobytes() == y.tobytes()


def test_who_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, static = last(CASES[6], normal(np.float32))
    first, plain = drawn(CASES[6], normal(np.float32))
    with kernels_for_numpy(monkeypatch):
        assert explain(ops.conv, *arrays, **static) == ["conv: cuda.conv_depthwise_last"]
        assert explain(ops.conv, *first, **plain) == ["conv: cuda.conv_depthwise"]


CALL = {"x": np.ones((2, 8, 3), np.float32), "weight": np.ones((6, 1, 3), np.float32), "bias": None,
        "stride": (1,), "padding": ((0, 0),), "dilation": (1,), "groups": 3, "data_format": "channels_last"}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data_format": "channels_first"}, "data_format channels_first"),
        ({"groups": 1}, "not depthwise: 1 groups of 3 channels"),
        ({"x": np.ones((2, 8, 3))}, "dtype float64"),
        ({"activation": "gelu"}, "activation gelu"),
        ({"weight": np.ones((3 * 4000, 1, 8), np.float32)}, "weights of 128000 bytes for a block"),
        ({"x": np.broadcast_to(np.float32(1), (2**27, 8, 3))}, "2^30 or more places"),
    ],
)
def test_it_says_what_it_does_not_take(change: dict[str, Any], reason: str) -> None:
    assert conv_depthwise_last.refusal(**CALL) is None
    assert conv_depthwise_last.refusal(**{**CALL, **change}) == reason


def test_a_plan_counts_the_bytes_that_must_move() -> None:
    own = geometry(32, 512, 1, 56, 3, 2)
    x, y, weight = 32 * 512 * 56 * 56, 32 * 512 * 28 * 28, 512 * 9
    found = forward_launch("float16", own, True, True)
    assert found.plan.bytes == 2 * (x + y + weight + 512) and found.plan.shared == 32 * 8 * 9 * 2
    assert dx_launch("float16", own, False, True).plan.bytes == 2 * (x + y + weight)
    main, sums = (found.plan for found in weight_launches("float16", own, True, True, True))
    slices = main.grid[0] // 4
    assert main.bytes == 2 * (x + y) + 4 * slices * (weight + 512)
    assert sums.bytes == (4 * slices + 2) * (weight + 512)


def test_every_size_has_plans_of_the_table_and_fills_a_gpu() -> None:
    listed = {plan.entry for plan in conv_depthwise_last.instantiations()}
    assert len(listed) == 21
    for dtype, batch, channels, multiplier, size, taps, stride, aligned in itertools.product(
        DTYPES, (1, 64), (1, 500, 768), (1, 3), (1, 7, 200), (1, 3, 7, 31), (1, 2), (False, True)
    ):
        own = geometry(batch, channels, multiplier, size, taps, stride)
        assert conv_depthwise_last.too_large(dtype, own) is None
        weights = weight_launches(dtype, own, True, True, aligned)
        launches = (forward_launch(dtype, own, True, aligned), dx_launch(dtype, own, True, aligned), *weights)
        assert all(found.plan.entry in listed or "sum" in found.plan.entry for found in launches) and len(weights) <= 2
        assert max(found.plan.shared for found in launches) <= 48 << 10
    many = geometry(64, 96, 1, 56, 7)
    for found in (forward_launch("float16", many, True, True), dx_launch("float16", many, False, True)):
        assert found.plan.grid[0] >= 1000
    assert weight_launches("float16", many, True, True, True)[0].plan.grid[0] >= 500
