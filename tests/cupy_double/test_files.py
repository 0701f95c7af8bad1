"""Models and trainings of a GPU in files: pickles and checkpoints hold host arrays, copies stay where they are."""

from __future__ import annotations

import copy
import pickle
import pickletools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cupy
import numpy as np
import pytest

import xpnn
from xpnn import losses, nn, optim
from xpnn.data import batches
from xpnn.io import load_checkpoint, save_checkpoint

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def gpu() -> Iterator[None]:
    with xpnn.backend("gpu"):
        yield


def network() -> nn.Sequential:
    shared = nn.Tanh()
    model = nn.Sequential(nn.Linear(3, 3), shared, nn.Linear(3, 3), shared, nn.BatchNorm1d(3), nn.Dropout(0.3))
    model[2].weight = model[0].weight
    model.tables = {"a": [xpnn.asarray([1.0, 2.0])]}
    return model


def test_a_pickle_holds_host_arrays_and_the_model_stays() -> None:
    model = network()
    text = pickle.dumps(model)
    assert not any("cupy" in str(word) for _, word, _ in pickletools.genops(text))
    assert model.device == "gpu:0" and type(model[4].running_mean.value) is cupy.ndarray
    again = pickle.loads(text)
    assert again.device == "cpu" and type(again[4].running_mean.value) is np.ndarray
    assert type(again.tables["a"][0]) is np.ndarray
    assert again[2].weight is again[0].weight and again[3] is again[1]
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(xpnn.to_numpy(x), again.state_dict()[name])
    assert again.to("gpu").device == "gpu:0" and again[2].weight is again[0].weight
    lone = pickle.loads(pickle.dumps(model[4].running_var))
    assert type(lone.value) is np.ndarray


def test_copies_stay_on_the_gpu() -> None:
    model = network()
    for again in (copy.deepcopy(model), copy.copy(model)):
        assert again.device == "gpu:0" and type(again[4].running_mean.value) is cupy.ndarray
        assert again[2].weight is again[0].weight
    assert copy.deepcopy(model)[0].weight is not model[0].weight
    assert "1 Tanh" in model.summary((4, 3)) and model.device == "gpu:0"


class Training:
    def __init__(self, device: str, seed: int) -> None:
        with xpnn.backend(device):
            xpnn.seed(seed)
            self.model = network()
        self.device = device
        self.optimizer = optim.AdamW(self.model, lr=0.01)
        self.ema = optim.EMA(self.model)
        rng = np.random.default_rng(0)
        self.data = rng.normal(size=(12, 3)).astype(np.float32), rng.integers(0, 3, 12)

    @property
    def parts(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer, "ema": self.ema}

    def run(self, epochs: int) -> Training:
        loss = xpnn.value_and_grad(lambda m, x, y: losses.cross_entropy(m(x), y))
        with xpnn.backend(self.device):
            data = [xpnn.asarray(x) for x in self.data]
            for _ in range(epochs):
                for x, y in batches(*data, batch_size=4, shuffle=True):
                    self.optimizer.step(loss(self.model, x, y)[1])
                    self.ema.update()
        return self


@pytest.mark.parametrize("name", ["c.safetensors", "c.npz"])
def test_a_checkpoint_resumes_bit_for_bit_and_on_the_other_device(name: str, tmp_path: Path) -> None:
    straight = Training("gpu", 1).run(4)
    first = Training("gpu", 1).run(2)
    save_checkpoint(tmp_path / name, model=first.model, **first.parts)
    for device, exact in (("gpu", True), ("cpu", False)):
        again = Training(device, 5)
        load_checkpoint(tmp_path / name, model=again.model, **again.parts)
        again.run(2)
        assert again.model.device.startswith(device)
        pairs = [(again.model.state_dict(), straight.model.state_dict()), (again.ema.average, straight.ema.average)]
        for found, expected in pairs:
            for key, x in expected.items():
                a, b = xpnn.to_numpy(found[key]), xpnn.to_numpy(x)
                np.testing.assert_allclose(a, b, rtol=0 if exact else 2e-3, atol=0 if exact else 2e-5)
