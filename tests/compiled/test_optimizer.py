"""Steps of optimisers by compiled loops against those of plain NumPy, in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnn import optim
from xpnn.compiled import optimizer

CASES = [
    (optim.SGD, {"lr": 0.1}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (optim.Adam, {"lr": 0.01, "weight_decay": 0.1}),
    (optim.AdamW, {"lr": 0.01, "weight_decay": 0.1, "betas": (0.8, 0.95)}),
    (optim.RMSprop, {"lr": 0.01}),
    (optim.RMSprop, {"lr": 0.01, "momentum": 0.9, "centered": True}),
    (optim.Lion, {"lr": 0.01, "weight_decay": 0.1}),
    (optim.LAMB, {"lr": 0.01}),
    (optim.Adam, {"lr": 0.01, "amsgrad": True}),
]


def trained(kind: Any, options: dict[str, Any], steps: int = 12) -> tuple[list[Any], Any]:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in [(40, 70), (3,), (5, 4, 6)]]
    optimizer = kind(arrays, **options)
    for _ in range(steps):
        optimizer.step([rng.normal(size=x.shape).astype(np.float32) + x for x in arrays])
    return arrays, optimizer


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_the_same_steps(threads: int, monkeypatch: pytest.MonkeyPatch, kind: Any, options: dict[str, Any]) -> None:
    ours, compiled = trained(kind, options)
    monkeypatch.setattr(optimizer, "_FEWEST", 1 << 60)
    expected, plain = trained(kind, options)
    for x, y in zip(ours, expected, strict=True):
        assert np.allclose(x, y, rtol=2e-5, atol=2e-6)
    for name, state in plain.state.items():
        assert {k: v.shape for k, v in compiled.state[name].items()} == {k: v.shape for k, v in state.items()}


def test_what_is_not_contiguous_is_left_to_the_plain_form() -> None:
    p = np.ones((6, 4), np.float32).T
    optimizer = optim.SGD([p], lr=0.5)
    optimizer.step([np.ones((4, 6), np.float32)])
    assert np.array_equal(p, np.full((4, 6), 0.5))


def test_a_gradient_that_is_nan_makes_its_element_nan() -> None:
    p, g = np.ones(50, np.float32), np.ones(50, np.float32)
    g[7] = np.nan
    optim.Adam([p], lr=0.1).step([g])
    assert np.flatnonzero(np.isnan(p)).tolist() == [7]
