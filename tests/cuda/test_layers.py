"""Every layer as it runs on a GPU, from refusal to launch, the emulator in the place of CUDA: float32 against torch's float64."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import array_api_compat.numpy
import numpy as np
import pytest

import xpnn
from tests.conftest import Library
from tests.nn.test_matrix import CASES, Case, matrix, pytestmark
from xpnn import losses, nn, optim

from .emulated import Emulator, kernels_for_numpy

__all__ = ["pytestmark"]


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with kernels_for_numpy(monkeypatch) as found:
        yield found


def assert_near(name: str, x: Any, y: Any) -> None:
    """As near as float32 can be expected to come: relative to the largest element."""
    assert x.shape == y.shape and x.dtype == (np.float32 if y.dtype.kind == "f" else y.dtype), name
    scale = np.abs(y[np.isfinite(y)]).max(initial=1.0)
    np.testing.assert_allclose(x, y, rtol=1e-4, atol=3e-5 * scale, err_msg=name)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_gradients(emulator: Emulator, case: Case) -> None:
    for name, x, exact in matrix.compared(case, Library("numpy", array_api_compat.numpy), "float32"):
        assert_near(name, x, exact)


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
