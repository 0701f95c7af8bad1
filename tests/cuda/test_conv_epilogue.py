"""What a convolution does on its way out, in the emulator: scale, bias, residual and activation, and all of their gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import ops
from xpnn.cuda import conv, conv_depthwise, conv_float
from xpnn.gradients import vjp
from xpnn.primitive import Primitive, explain
from xpnn.testing import check_primitive

from .emulated import Emulator, emulating
from .mutations import holds, plant
from .test_conv import DTYPES, Case, case, gradient
from .test_conv_plans import convolution

# Whole vectors and single elements, groups, several tiles, sums with shares.
CASES: dict[str, Any] = {
    "vectors": ((2, 4, 8, 8), 20, (1, 1)),
    "elements": ((2, 4, 7, 9), 6, (3, 3), 2, (3, 2), 1, 2),
    "shares": ((1, 64, 4, 4), 64, (3, 3), 1, (1, 1)),
}


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with emulating(monkeypatch) as found:
        yield found


def ended(name: str, last: bool = False, **options: Any) -> Case:
    """x, weight, bias, scale and residual, all small integers."""
    arrays, static = case(*CASES[name], last=last, **options)
    rng = np.random.default_rng(5)
    scale = rng.integers(-2, 3, len(arrays[1])).astype(np.float32)
    shape = ops.conv.reference(*arrays, **static).shape
    return (*arrays, scale, rng.integers(-9, 10, shape).astype(np.float32)), static


def exact(arrays: tuple[Any, ...], static: dict[str, Any], g: Any) -> list[Any]:
    given = [a.astype(np.float64) for a in arrays]
    out, pullback = vjp(lambda *a: ops.conv.reference(*a, **static), *given)
    return [out, *pullback(g.astype(np.float64))]


@pytest.mark.parametrize(
    ("name", "kind", "last"),
    [
        ("vectors", "float32", False),
        ("vectors", "float16", True),
        ("elements", "float32", True),
        ("elements", "bfloat16", False),
        ("shares", "float32", False),
        ("shares", "float16", True),
        ("vectors", "high", True),
    ],
)
def test_sums_of_small_integers_are_exact(emulator: Emulator, name: str, kind: str, last: bool) -> None:
    arrays, static = ended(name, last)
    dtype = DTYPES.get(kind, np.float32)
    with xpnn.precision("high" if kind == "high" else "highest"):
        y, kept = conv.forward(*(a.astype(dtype) for a in arrays), **static, need=(True,) * 5)
        g = gradient(y.shape)
        found = [y, *conv.backward(kept, g.astype(dtype), (True,) * 5)]
    for a, b in zip(found, exact(arrays, static, g), strict=True):
        # The gradient of the scale comes by that of the weight, which is rounded to 16 bits first.
        loose = dtype != np.float32 and a.shape == arrays[3].shape
        assert a.dtype == dtype
        np.testing.assert_allclose(a.astype(np.float64), b.astype(dtype).astype(np.float64), rtol=0.02 if loose else 0)


def test_it_agrees_with_the_reference(emulator: Emulator) -> None:
    own = Primitive(ops.conv.reference, name="conv")
    own.add("numpy", conv)
    rng = np.random.default_rng(0)

    def noise() -> Iterator[Case]:
        for name, activation, without in (
            ("vectors", "tanh", ()),
            ("elements", "relu", (2, 3)),
            ("elements", None, (4,)),
        ):
            arrays, static = ended(name, activation=activation)
            drawn = tuple(rng.normal(size=a.shape).astype(np.float32) for a in arrays)
            yield tuple(None if i in without else a for i, a in enumerate(drawn)), static

    assert check_primitive(own, noise()) == 3


def test_only_what_is_wanted_is_computed(emulator: Emulator) -> None:
    arrays, static = ended("elements", activation="relu")
    for wanted in range(5):
        need = tuple(i == wanted for i in range(5))
        y, kept = conv.forward(*arrays, **static, need=need)
        found = conv.backward(kept, gradient(y.shape), need)
        assert [a is not None for a in found] == list(need)
        np.testing.assert_array_equal(found[wanted], exact(arrays, static, gradient(y.shape))[1 + wanted])


def test_a_residual_beside_the_grid_of_16_bytes(emulator: Emulator) -> None:
    arrays, static = ended("vectors")
    room = np.zeros(arrays[4].size + 1, np.float32)
    beside = room[1:].reshape(arrays[4].shape)
    beside[...] = arrays[4]
    y, _ = conv.forward(*arrays[:4], beside, **static, need=(False,) * 5)
    np.testing.assert_array_equal(y, ops.conv.reference(*arrays, **static))


def test_what_it_does_not_take() -> None:
    arrays, static = ended("elements")
    x, weight, bias, scale, residual = arrays
    assert conv.refusal(*arrays, **static) is None
    assert conv.refusal(x, weight, bias, scale[1:], residual, **static) == "shapes"
    assert conv.refusal(x, weight, bias, scale, residual[1:], **static) == "shape of residual"
    assert conv.refusal(x, weight, bias, scale.astype(np.float16), None, **static) == "dtypes float32 and float16"
    assert conv_depthwise.refusal(*arrays, **static) == "scale or residual"


def test_a_plan_counts_the_residual() -> None:
    own = convolution(32, 64, 64, 56, 3)
    without, with_it = (
        conv_float.gather_plan(own, None, gradient=False, aligned=True, residual=residual)[0].bytes
        for residual in (False, True)
    )
    assert with_it - without == 4 * 32 * 64 * 56 * 56


def test_explain_tells_tiles_and_shares(emulator: Emulator) -> None:
    own = Primitive(ops.conv.reference, name="conv")
    own.add("numpy", conv)
    (x, weight, *_), static = ended("shares")
    assert explain(own, x, weight, **static) == ["conv: cuda.conv (conv_float.cu: tiles of 64 x 64, 4 shares)"]
    (x, weight, *_), static = ended("vectors")
    with xpnn.precision("medium"):
        assert explain(own, x, weight, **static) == ["conv: cuda.conv (conv_tf32.cu: tiles of 64 x 64)"]


FAULTS = [
    ("a.residual + place", "a.residual + rows[m]"),
    ("channel + (last ? i : 0))", "channel + (last ? 0 : i))"),
    ("sum *= to_float(a.scale[channel])", "sum *= to_float(a.scale[0])"),
    ("sum + to_float(a.bias[channel])", "sum - to_float(a.bias[channel])"),
    ("to_float(residual.item[i])", "to_float(residual.item[0])"),
    (
        "activated(a.activation, x)",
        "activated(a.activation, x - to_float(residual.item[i])) + to_float(residual.item[i])",
    ),
    ("columns.first + columns.n0 + n", "columns.n0 + n"),
    ("rows[m] < 0 ||", ""),
]


@pytest.mark.parametrize(("place", "fault"), FAULTS)
def test_a_planted_fault_is_seen(monkeypatch: pytest.MonkeyPatch, emulator: Emulator, place: str, fault: str) -> None:
    def change(source: str, entry: str) -> str:
        assert place in source
        return source.replace(place, fault, 1)

    planted = plant(monkeypatch, change)
    for name, last in (("vectors", True), ("elements", False)):
        arrays, static = ended(name, last, activation="relu")
        wanted = ops.conv.reference(*arrays, **static)
        right = holds(
            lambda: np.array_equal(conv.forward(*arrays, **static, need=(False,) * 5)[0], wanted)  # noqa: B023
        )
        if not right:
            break
    assert planted and not right
