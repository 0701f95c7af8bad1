"""conv_batch_norm for CuPy, in the emulator: statistics from the convolution's blocks, against the reference and float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import xpnn
from xpnn import ops
from xpnn.cuda import conv_batch_norm, conv_gather, conv_moments
from xpnn.primitive import Primitive
from xpnn.testing import check_primitive

from .emulated import Emulator, emulating
from .mutations import holds, plant
from .test_conv import Case, case

# Groups and a tile that is not full; several tiles of rows and two of channels; shares; more tiles than threads add up; depthwise.
CASES: dict[str, Any] = {
    "groups": ((2, 4, 7, 9), 6, (3, 3), 2, (3, 2), 1, 2),
    "tiles": ((3, 3, 9, 9), 70, (2, 3)),
    "shares": ((1, 64, 4, 4), 64, (3, 3), 1, (1, 1)),
    "many tiles": ((2, 2, 40, 30), 2, (1, 1)),
    "depthwise": ((2, 3, 9, 9), 6, (3, 3), 1, (1, 1), 1, 3),
}


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    monkeypatch.setattr(conv_gather, "_kept", conv_gather._Kept())
    with emulating(monkeypatch) as found:
        yield found


def drawn(name: str, last: bool = False, level: float = 0.0, **options: Any) -> Case:
    """x, weight, bias, gain and shift; a bias of `level` takes the output far from zero."""
    (x, weight, _), static = case(*CASES[name], last=last)
    rng = np.random.default_rng(3)
    x, weight = (rng.normal(size=a.shape).astype(np.float32) for a in (x, weight))
    bias, gain, shift = (rng.normal(size=len(weight)).astype(np.float32) for _ in range(3))
    return (x, weight, bias + np.float32(level), gain, shift), {**static, **options}


def exact(arrays: Any, static: dict[str, Any]) -> Any:
    return ops.conv_batch_norm.reference(*(a.astype(np.float64) for a in arrays), **static)


def test_it_agrees_with_the_reference(emulator: Emulator) -> None:
    own = Primitive(ops.conv_batch_norm.reference, name="conv_batch_norm")
    own.add("numpy", conv_batch_norm)

    def cases() -> Iterator[Case]:
        yield drawn("groups", activation="tanh", eps=0.01)
        yield drawn("tiles", last=True)
        yield drawn("shares", activation="relu")
        yield drawn("depthwise")
        (x, weight, *_), static = drawn("groups")
        yield (x, weight, None, None, None), static

    assert check_primitive(own, cases()) == 5
    assert {"conv_gather", "conv_moments", "batch_norm_forward", "depthwise_gather"} <= {
        plan.entry.partition("<")[0] for plan in emulator.launched
    }


def test_nothing_is_read_again_for_the_statistics(emulator: Emulator) -> None:
    arrays, static = drawn("tiles")
    conv_batch_norm.forward(*arrays, **static, need=(False,) * 5)
    assert [plan.entry.partition("<")[0] for plan in emulator.launched] == [
        "conv_gather",
        "conv_moments",
        "batch_norm_forward",
    ]


@pytest.mark.parametrize(("name", "last"), [("tiles", False), ("shares", True), ("many tiles", False)])
def test_a_small_spread_about_a_large_mean_is_kept(emulator: Emulator, name: str, last: bool) -> None:
    arrays, static = drawn(name, last, level=3000.0)
    (y, mean, var), _ = conv_batch_norm.forward(*arrays, **static, need=(False,) * 5)
    wanted, wanted_mean, wanted_var = exact(arrays, static)
    np.testing.assert_allclose(mean, wanted_mean, rtol=1e-6)
    np.testing.assert_allclose(var, wanted_var, rtol=1e-3)
    np.testing.assert_allclose(y, wanted, rtol=0, atol=2e-3)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "medium"])
def test_the_other_kinds(emulator: Emulator, kind: str) -> None:
    """The statistics are those of the convolution's output as it is stored."""
    arrays, static = drawn("tiles", last=kind == "bfloat16")
    dtype = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}.get(kind, np.float32)
    given = [a.astype(dtype) for a in arrays]
    with xpnn.precision(kind if kind == "medium" else "highest"):
        (y, mean, var), kept = conv_batch_norm.forward(*given, **static, need=(True,) * 5)
        found = conv_batch_norm.backward(kept, (y, mean, var), (True,) * 5)
    z = kept[3][0].astype(np.float64)
    z = z if kind == "bfloat16" else np.moveaxis(z, 1, -1).reshape(-1, 70)
    np.testing.assert_allclose(mean, z.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(var, z.var(axis=0), rtol=1e-4)
    wanted = exact(given, static)[0]
    near = 0.1 if kind == "bfloat16" else 0.02
    np.testing.assert_allclose(y.astype(np.float64), wanted, rtol=0, atol=near * np.abs(wanted).max())
    assert all(np.isfinite(a.astype(np.float64)).all() for a in found)


def test_a_nan_stays_in_its_channel(emulator: Emulator) -> None:
    arrays, static = drawn("groups")
    arrays[2][4] = np.nan
    (y, mean, var), _ = conv_batch_norm.forward(*arrays, **static, need=(False,) * 5)
    assert np.isnan(mean).tolist() == np.isnan(var).tolist() == [c == 4 for c in range(6)]
    assert (
        np.isnan(y).all(axis=(0, 2, 3)).tolist()
        == np.isnan(y).any(axis=(0, 2, 3)).tolist()
        == [c == 4 for c in range(6)]
    )


def test_what_it_does_not_take() -> None:
    (x, weight, bias, gain, shift), static = drawn("groups")
    refusal = conv_batch_norm.refusal
    assert refusal(x, weight, bias, gain, shift, **static) is None
    assert refusal(x, weight, bias, gain[1:], shift, **static) == "shapes of the parameters, or eps"
    assert refusal(x, weight, bias, gain, shift, **static, eps=-1.0) == "shapes of the parameters, or eps"
    assert refusal(x, weight, bias, gain.astype(np.float16), shift, **static) == "dtypes float32 and float16"
    assert refusal(x, weight, bias, gain, shift, **static, activation="gelu") == "activation gelu"
    assert refusal(x[:0], weight, bias, gain, shift, **static) == "size 0"
    single = {**static, "stride": (9, 9), "padding": ((0, 0),) * 2}
    assert refusal(x[:1], weight, bias, gain, shift, **single) == "a single value per channel"


def test_the_plan_of_the_sums() -> None:
    plan = conv_moments.combine_plan("float32", 784, 70)
    assert plan.grid == (3, 1, 1) and plan.bytes == 4 * 70 * (2 * 784 + 4)


FAULTS = [
    ("(x[i] - mean) * (x[i] - mean)", "x[i] * x[i]"),
    ("if (rows[lane + 32 * i] >= 0) sum += x[i];", "sum += x[i];"),
    ("work.m0 / BM * 2 * channels", "work.m0 / BM * channels"),
    ("work.columns.first + work.columns.n0 + n;\n        float", "work.columns.n0 + n;\n        float"),
    ("    __syncthreads();\n    float count", "    float count"),
    ("k += DEEP) {", "k += 2 * DEEP) {"),
    ("+ count(k) * distance * distance", ""),
    ("min((long long)a.each, a.rows - (long long)k * a.each)", "(long long)a.each"),
    ("= x;\n    __syncthreads();", "= x;"),
    ("pivot - to_float(a.z[channel * a.pitch])", "pivot - to_float(a.z[channel])"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "fault"), FAULTS)
def test_a_planted_fault_is_seen(monkeypatch: pytest.MonkeyPatch, emulator: Emulator, place: str, fault: str) -> None:
    def change(source: str, entry: str) -> str | None:
        if place not in source or not entry.startswith(("conv_gather", "conv_moments")):
            return None
        return source.replace(place, fault, 1)

    planted = plant(monkeypatch, change)
    arrays, static = drawn("groups" if "columns" in place else "many tiles" if "DEEP" in place else "tiles", level=2.0)

    def is_right() -> bool:
        (_, mean, var), kept = conv_batch_norm.forward(*arrays, **static, need=(True,) * 5)
        z = kept[3][0].astype(np.float64)
        found = mean, var, kept[3][3]
        wanted = z.mean(axis=(0, 2, 3)), z.var(axis=(0, 2, 3)), z.mean(axis=(0, 2, 3)) - z[0, :, 0, 0]
        return all(np.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(found, wanted, strict=True))

    assert not holds(is_right) and planted
