"""Every layer as it runs on a GPU, from refusal to launch, the emulator in the place of CUDA: float32 against torch's float64."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import xpnn
from tests.nn.test_matrix import CASES, Case, build, expected
from xpnn import losses, nn, optim, tree
from xpnn.namespace.libraries import is_array

from .emulated import Emulator, kernels_for_numpy

pytest.importorskip("torch", reason="the reference is torch")


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with kernels_for_numpy(monkeypatch) as found:
        yield found


def assert_near(x: Any, y: Any) -> None:
    """As near as float32 can be expected to come: relative to the largest element."""
    assert x.shape == y.shape and x.dtype == np.float32
    np.testing.assert_allclose(x, y, rtol=1e-4, atol=3e-5 * max(1.0, float(np.abs(y).max(initial=0))))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_gradients(emulator: Emulator, case: Case) -> None:
    ours, theirs = build(case)
    rng = np.random.default_rng(0)
    x = rng.integers(0, case.integers, case.shape) if case.integers else rng.normal(size=case.shape)
    values, gradients = expected(case, theirs, x)
    gs = [rng.normal(size=y.shape) for y in values]
    ours.astype("float32")
    options = {"lengths": np.array(case.lengths)} if case.lengths else {}

    if case.integers:
        out, pullback = xpnn.vjp(lambda args: args[0](x), (ours, np.ones((), np.float32)))
    else:
        out, pullback = xpnn.vjp(lambda args: args[0](args[1], **options), (ours, x.astype(np.float32)))
    for a, b in zip(tree.leaves(out), values, strict=True):
        assert_near(a, b)
    given = iter([g.astype(np.float32) for g in gs])
    (back,) = pullback(tree.map(lambda _: next(given), out))
    found = [g for g in tree.leaves(back) if is_array(g)]
    wanted = gradients(gs)
    if case.integers:
        found.pop()
    else:
        wanted = [*wanted[1:], wanted[0]]
    for a, b in zip(found, wanted, strict=True):
        assert_near(a, b)


def test_a_network_trains_as_it_does_without_kernels(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 6)).astype(np.float32), rng.integers(0, 3, 16)

    def run() -> list[float]:
        xpnn.seed(5)
        model = nn.Sequential(nn.Linear(6, 9), nn.LayerNorm(9), nn.ReLU(), nn.Dropout(0.2), nn.Linear(9, 3))
        optimizer = optim.AdamW(model, lr=0.05)
        history = xpnn.fit(
            model, (x, y), loss=losses.cross_entropy, optimizer=optimizer, epochs=3, batch_size=8, progress=False,
            max_grad_norm=1.0, validation=(x, y),
        )  # fmt: skip
        return [value for record in history for value in (record["loss"], record["val_loss"])]

    with_kernels = run()
    assert {plan.file for plan in emulator.launched} >= {
        "bias_activation.cu", "dropout.cu", "optimizer.cu", "clipping.cu",
    }  # fmt: skip
    monkeypatch.undo()
    with xpnn.primitive.use_reference():
        without = run()
    np.testing.assert_allclose(with_kernels, without, rtol=1e-4)
    assert math.isfinite(with_kernels[-1]) and with_kernels[-2] < with_kernels[0]
