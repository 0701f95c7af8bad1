"""Second derivatives of the fused primitives, which come from their references, by central differences of the first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import ops
from xpnn.primitive import Primitive, explain

from .recurrent_cases import arrays

RNG = np.random.default_rng(0)
LENGTHS = np.array([2, 5, 0])
CASES: dict[str, tuple[Primitive, tuple[Any, ...], dict[str, Any]]] = {
    "linear": (
        ops.linear,
        (RNG.normal(size=(4, 3)), RNG.normal(size=(2, 3)), RNG.normal(size=2)),
        {"activation": "tanh"},
    ),
    "relu": (ops.relu, (RNG.normal(size=(4, 3)),), {}),
    "sigmoid": (ops.sigmoid, (RNG.normal(size=(4, 3)),), {}),
    "softmax_cross_entropy": (
        ops.softmax_cross_entropy,
        (RNG.normal(size=(3, 4)), np.array([1, 3, -100])),
        {"label_smoothing": 0.1},
    ),
    "conv": (
        ops.conv,
        (RNG.normal(size=(2, 4, 6, 5)), RNG.normal(size=(4, 2, 3, 2)), RNG.normal(size=4)),
        {"stride": (2, 1), "padding": ((1, 1), (0, 1)), "dilation": (1, 2), "groups": 2},
    ),
    "max_pool": (
        ops.max_pool,
        (RNG.normal(size=(2, 3, 5, 6)),),
        {"kernel": (3, 2), "stride": (2, 2), "padding": ((1, 1), (0, 0)), "dilation": (1, 1)},
    ),
    "avg_pool": (
        ops.avg_pool,
        (RNG.normal(size=(2, 3, 5, 6)),),
        {"kernel": (3, 2), "stride": (2, 2), "padding": ((1, 1), (0, 0)), "counted": ((0, 0), (0, 0))},
    ),
    "lstm": (ops.lstm, (*arrays(4, 2, (5, 3, 2, 4)), LENGTHS), {"reverse": True}),
    "gru": (ops.gru, (*arrays(3, 1, (5, 3, 2, 4)), LENGTHS), {}),
    "rnn": (ops.rnn, (*arrays(1, 1, (5, 3, 2, 4)), None), {}),
}


@pytest.mark.parametrize("name", list(CASES))
def test_second_derivatives_by_central_differences(name: str) -> None:
    primitive, arguments, static = CASES[name]
    assert explain(primitive, *arguments, **static) == [f"{name}: cpu.{name}"]
    places = [i for i, a in enumerate(arguments) if a is not None and a.dtype.kind == "f"]
    xs = [arguments[i] for i in places]
    rng = np.random.default_rng(1)
    u, v = ([rng.normal(size=x.shape) for x in xs] for _ in range(2))

    def total(xs: list[Any]) -> Any:
        own = list(arguments)
        for i, x in zip(places, xs, strict=True):
            own[i] = x
        out = primitive(*own, **static)
        xp = xpnn.namespace(xs[0])
        return sum(xp.sum(xp.sin(y)) for y in (out if isinstance(out, tuple) else (out,)))

    def slope(xs: list[Any]) -> Any:
        xp = xpnn.namespace(xs[0])
        return sum(xp.sum(g * direction) for g, direction in zip(xpnn.grad(total)(xs), u, strict=True))

    found = sum(np.sum(g * direction) for g, direction in zip(xpnn.grad(slope)(xs), v, strict=True))
    h = 1e-6
    ahead, behind = (slope([x + s * h * d for x, d in zip(xs, v, strict=True)]) for s in (1, -1))
    assert found == pytest.approx((ahead - behind) / (2 * h), rel=1e-6, abs=1e-6)
    assert abs(found) > 1e-3
