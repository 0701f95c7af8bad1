"""attention for CuPy, run on NumPy arrays with the emulator in the place of the GPU: against the reference, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.cuda import attention
from xpnn.gradients import vjp
from xpnn.primitive import Primitive, use_reference
from xpnn.random import Key
from xpnn.testing import check_primitive

from .emulated import Emulator, emulating


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with emulating(monkeypatch) as found:
        yield found


@pytest.fixture
def primitive() -> Primitive:
    """ops.attention with the form for CuPy in the place of that for NumPy."""
    own = Primitive(ops.attention.reference, name="attention")
    own.add("numpy", attention)
    return own


def inputs(dtype: Any, lead: tuple[int, ...] = (2, 2), t: int = 5, s: int = 7) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    return tuple(rng.normal(size=(*lead, *last)).astype(dtype) for last in [(t, 3), (s, 3), (s, 4)])  # type: ignore[return-value]


def masks(dtype: Any) -> list[Any]:
    rng = np.random.default_rng(1)
    seen = rng.random((2, 1, 5, 7)) < 0.6
    seen[..., 0, :] = False
    added = np.where(seen, rng.normal(size=seen.shape), -np.inf).astype(dtype)
    return [None, seen, added, rng.normal(size=7).astype(dtype), seen[0, 0]]


def cases(dtype: Any) -> Iterator[tuple[Any, Any]]:
    for mask in masks(dtype):
        for options in ({}, {"is_causal": True}, {"dropout": 0.3, "key": Key(5), "scale": 0.7}):
            yield (*inputs(dtype), mask), options
    yield (*inputs(dtype, (), 1, 1), None), {"is_causal": True}
    yield (*inputs(dtype, (3,), 4, 2), None), {"is_causal": True}


def test_it_agrees_with_the_reference(emulator: Emulator, primitive: Primitive) -> None:
    assert check_primitive(primitive, cases(np.float32)) == 17
    assert {plan.entry.partition("<")[0] for plan in emulator.launched} >= {"softmax_forward", "softmax_backward"}


def test_in_float16_it_is_near_to_float64(emulator: Emulator, primitive: Primitive) -> None:
    for mask in masks(np.float16):
        arrays = inputs(np.float16)
        g = np.random.default_rng(3).normal(size=(2, 2, 5, 4)).astype(np.float16)
        out, pullback = vjp(lambda *a: primitive(*a, mask), *arrays)  # noqa: B023
        own = mask if mask is None or mask.dtype == bool else mask.astype(np.float64)
        with use_reference():
            exact, exact_pullback = vjp(lambda *a: primitive(*a, own), *(a.astype(np.float64) for a in arrays))  # noqa: B023
            expected = [exact, *exact_pullback(g.astype(np.float64))]
        for x, y in zip([out, *pullback(g)], expected, strict=True):
            assert x.dtype == np.float16
            np.testing.assert_allclose(x, y, rtol=0, atol=1e-2 * max(1, np.abs(y).max()))


Q, K, V = inputs(np.float32)


@pytest.mark.parametrize(
    ("arrays", "options", "reason"),
    [
        ((Q, K, V[..., :3, :], None), {}, "shapes"),
        ((Q, K[..., :0, :], V[..., :0, :], None), {}, "shapes"),
        ((Q[0], K, V, None), {}, "shapes"),
        ((Q, K, V, np.ones((5, 6), bool)), {}, "shape of attn_mask"),
        ((*inputs(np.float64), None), {}, "dtype float64"),
        ((Q, K, V, np.ones((5, 7))), {}, "dtypes float32 and float64"),
        ((Q, K, V, None), {"dropout": 0.5}, "dropout 0.5 with a key of NoneType"),
    ],
)
def test_what_it_refuses(arrays: Any, options: Any, reason: str) -> None:
    assert attention.refusal(*arrays, **options) == reason
