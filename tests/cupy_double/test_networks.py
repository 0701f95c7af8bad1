"""A training step of whole networks with all their kernels: no waiting, no fallback, NumPy's gradients in float64."""

from __future__ import annotations

from collections.abc import Iterator

import cupy
import numpy as np
import pytest

import xpnn
from tests.cupy_double import kernels
from tests.cupy_double.sync import counting
from tests.networks import NETWORKS, exactly, step
from xpnn import optim

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every call of a primitive is one of a kernel, or an error."""
    monkeypatch.setenv("XPNN_FALLBACK", "error")
    with xpnn.backend("gpu"):
        yield


@pytest.mark.parametrize(
    ("name", "dtype", "bound"),
    [*((name, "float32", 2e-5) for name in NETWORKS), ("wavenet", "float16", 1e-2)],
)
def test_a_step_gives_the_gradients_of_numpy(name: str, dtype: str, bound: float) -> None:
    network = NETWORKS[name]
    xpnn.seed(3)
    model = network.build().astype(dtype)
    optimizer = optim.AdamW(model, lr=1e-2)
    x = np.random.default_rng(0).normal(size=network.shape).astype(dtype)
    state = {key: xpnn.to_numpy(value).copy() for key, value in model.state_dict().items()}
    arrays = xpnn.asarray(x)
    with kernels.running() as emulator, counting() as account:
        value, gradients = step(network, model, arrays, dtype)
        optimizer.step(gradients)
    assert account.waits == []
    files = {plan.file for plan in emulator.launched}
    wanted = {file.replace("conv_float", "conv_float" if dtype == "float32" else "conv_half") for file in network.files}
    assert files >= {*wanted, "optimizer.cu"}, files
    exact, expected = exactly(network, state, x)
    np.testing.assert_allclose(float(value), exact, rtol=bound)
    for key, found in gradients.named_parameters():
        assert type(found) is cupy.ndarray and found.dtype == dtype
        error = xpnn.to_numpy(found).astype(np.float64) - expected[key]
        assert np.abs(error).max() <= bound * max(np.abs(expected[key]).max(), 0.05), key
        assert np.abs(xpnn.to_numpy(dict(model.named_parameters())[key]) - state[key]).max() > 0
