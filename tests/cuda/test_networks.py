"""A training step of whole networks in bfloat16, which the double of CuPy does not have: gradients near those in float64."""

from __future__ import annotations

import numpy as np
import pytest

import xpnn
from tests.networks import NETWORKS, exactly, step

from .emulated import kernels_for_numpy


@pytest.mark.parametrize(("name", "bound"), [("unet", 3e-2), ("wavenet", 1e-2)])
def test_a_step_in_bfloat16(name: str, bound: float, monkeypatch: pytest.MonkeyPatch) -> None:
    dtype = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    network = NETWORKS[name]
    xpnn.seed(3)
    model = network.build().astype(dtype)
    x = np.random.default_rng(0).normal(size=network.shape).astype(dtype)
    with kernels_for_numpy(monkeypatch) as emulator:
        value, gradients = step(network, model, x, dtype)
    files = {file.replace("conv_float", "conv_half") for file in network.files}
    assert {plan.file for plan in emulator.launched} >= files
    exact, expected = exactly(network, model.state_dict(), x)
    np.testing.assert_allclose(float(value), exact, rtol=2e-2)
    for key, found in gradients.named_parameters():
        assert found.dtype == dtype
        error = np.abs(found.astype(np.float64) - expected[key]).max()
        assert error <= bound * max(np.abs(expected[key]).max(), 0.05), key  # a bias before a norm has none to speak of
