"""Whole training runs on the double: the numbers of NumPy, on the GPU from start to end, and no waiting inside a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import array_api_compat.cupy as xp
import cupy
import numpy as np
import pytest

import xpnn
from tests.cupy_double import kernels
from tests.cupy_double.sync import Traffic, counting
from xpnn import losses, metrics, nn, optim, tree
from xpnn.data import batches
from xpnn.namespace.libraries import is_array
from xpnn.train import Checkpoint, EarlyStopping

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def gpu() -> Iterator[None]:
    with xpnn.backend("gpu"):
        yield


class Recurrent(nn.Module):
    """An LSTM over rows of different lengths, and a linear layer on its last state."""

    def __init__(self) -> None:
        self.lstm = nn.LSTM(4, 6, num_layers=2, bidirectional=True)
        self.output = nn.Linear(6, 3)

    def forward(self, x: Any, lengths: Any) -> Any:
        _, (h, _) = self.lstm(x, lengths=lengths)
        return self.output(h[-1])


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(8, 16), nn.LayerNorm(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 16), nn.GELU(), nn.Linear(16, 3)
    )


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, stride=2),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


def embedded() -> nn.Module:
    return nn.Sequential(nn.Embedding(20, 8, padding_idx=0), nn.Flatten(), nn.Linear(40, 3))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[Any, ...]]] = {
    "mlp": (mlp, (rng().normal(size=(12, 8)).astype(np.float32),)),
    "cnn": (cnn, (rng().normal(size=(12, 1, 12, 12)).astype(np.float32),)),
    "lstm": (Recurrent, (rng().normal(size=(5, 12, 4)).astype(np.float32), rng().integers(1, 6, 12))),
    "embedding": (embedded, (rng().integers(0, 20, (12, 5)),)),
}
OPTIMIZERS: dict[str, Callable[[nn.Module], optim.Optimizer]] = {
    "sgd": lambda model: optim.SGD(model, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adam": lambda model: optim.Adam(model, lr=0.01, weight_decay=0.01),
    "adamw": lambda model: optim.AdamW(model, lr=0.01),
}
OWN_KERNEL = {
    "mlp": "bias_activation.cu",
    "cnn": "max_pool.cu",
    "lstm": "recurrent_block.cu",
    "embedding": "embedding.cu",
}
LABELS = rng().integers(0, 3, 12)


def train(device: str, name: str, optimizer: str) -> tuple[nn.Module, list[Any], list[Traffic]]:
    """A few steps on one device: the model, the losses, and what each step waited for."""
    build, arrays = NETWORKS[name]
    with xpnn.backend(device):
        xpnn.seed(5)
        model = build()
        xs, y = [xpnn.asarray(a) for a in arrays], xpnn.asarray(LABELS)
        steps = OPTIMIZERS[optimizer](model)
        value_and_grad = xpnn.value_and_grad(lambda m, *xs: losses.cross_entropy(m(*xs), y, label_smoothing=0.1))
        found, traffic = [], []
        for _ in range(4):
            with counting() as account:
                loss, grads = value_and_grad(model, *xs)
                grads, _ = optim.clip_grad_norm(grads, 1.0)
                steps.step(grads)
            found.append(loss)
            traffic.append(account)
    return model, found, traffic


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_with_kernels_waits_for_nothing_and_gives_numpy_s_numbers(name: str) -> None:
    with kernels.running() as emulator:
        trained = train("gpu", name, "adamw")
    files = {plan.file for plan in emulator.launched}
    assert {"optimizer.cu", "clipping.cu", "softmax_cross_entropy.cu", OWN_KERNEL[name]} <= files
    same_as_numpy(trained, name, "adamw")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_training_waits_for_nothing_and_gives_numpy_s_numbers(name: str, optimizer: str) -> None:
    same_as_numpy(train("gpu", name, optimizer), name, optimizer)


def same_as_numpy(trained: tuple[nn.Module, list[Any], list[Traffic]], name: str, optimizer: str) -> None:
    model, found, traffic = trained
    assert [account.waits for account in traffic] == [[]] * 4
    assert model.device == "gpu:0" and all(type(loss) is cupy.ndarray and loss.ndim == 0 for loss in found)
    same, expected, _ = train("cpu", name, optimizer)
    np.testing.assert_allclose([float(loss) for loss in found], [float(loss) for loss in expected], rtol=2e-5)
    for a, b in zip(model.parameters(), same.parameters(), strict=True):
        np.testing.assert_allclose(xpnn.to_numpy(a), b, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_scaled_loss_waits_for_nothing(dtype: str) -> None:
    """Also a step that is left out, and the float32 copies of 16 bits."""
    with xpnn.backend("gpu"):
        params = {"w": xpnn.asarray(np.ones(3), dtype), "b": xpnn.asarray(np.ones(2), "float32")}
        optimizer = optim.with_master_weights(optim.AdamW(params, lr=0.1))
        scaler = optim.LossScaler(init_scale=8.0)
        scaled = xpnn.grad(lambda p, x: scaler.scale((p["w"] @ x) + (p["b"] @ p["b"])))
        inputs = [xpnn.asarray(np.array([1.0, last, 2.0]), dtype) for last in (1.0, np.inf, 3.0)]
        scaler.scale(params["b"])  # the scale comes to the device once
        with counting() as account:
            for x in inputs:
                scaler.step(optimizer, scaled(params, x))
    assert account.waits == []
    assert scaler.get_scale() == 4.0 and np.isfinite(xpnn.to_numpy(params["w"])).all()


def spirals(n: int, seed: int) -> tuple[Any, Any]:
    """Two classes that no line separates."""
    draw = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    radius = draw.uniform(0.2, 1, n)
    angle = 5 * radius + np.pi * labels
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return xpnn.asarray(points.astype(np.float32)), xpnn.asarray(labels)


def test_fit_evaluate_and_predict(tmp_path: Path) -> None:
    xpnn.seed(3)
    model = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 2))
    optimizer = optim.AdamW(model, lr=0.02)
    data, validation = spirals(400, 0), spirals(200, 1)
    history = xpnn.fit(
        model,
        data,
        loss=losses.cross_entropy,
        optimizer=optimizer,
        schedule=optim.OneCycleLR(optimizer, 0.02, 30 * 8),
        epochs=30,
        batch_size=50,
        validation=validation,
        metrics={"accuracy": metrics.accuracy},
        max_grad_norm=1.0,
        callbacks=[EarlyStopping(patience=30), Checkpoint(tmp_path / "best.npz")],
        progress=False,
    )
    assert history[-1]["val_accuracy"] > 0.95
    assert all(type(value) in (int, float) for record in history for value in record.values())
    prediction = xpnn.predict(model, validation[0], batch_size=64)
    assert type(prediction) is cupy.ndarray and prediction.shape == (200, 2)
    scores = xpnn.evaluate(model, validation, {"accuracy": metrics.accuracy})
    assert scores["accuracy"] == float(xp.mean(xp.astype(xp.argmax(prediction, axis=1) == validation[1], xp.float32)))
    fresh = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 2))
    fresh.load_state_dict(xpnn.load(tmp_path / "best.npz"))
    assert fresh.device == "gpu:0"
    np.testing.assert_array_equal(xpnn.to_numpy(fresh(validation[0])), xpnn.to_numpy(model(validation[0])))


def test_the_host_waits_once_an_epoch() -> None:
    model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    with counting() as account:
        xpnn.fit(
            model, spirals(64, 0), loss=losses.cross_entropy, optimizer=optim.Adam(model), epochs=3, batch_size=8,
            progress=False,
        )  # fmt: skip
    waits = [wait for wait in account.waits if "random" not in wait]
    assert len(waits) == 3 and all("xpnn.train.fit" in wait for wait in waits), account.waits


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_weights_go_to_a_file_and_to_the_other_device(suffix: str, tmp_path: Path) -> None:
    model = mlp()
    xpnn.save(model, tmp_path / f"weights.{suffix}")
    with xpnn.backend("cpu"):
        there = mlp()
    there.load_state_dict(xpnn.load(tmp_path / f"weights.{suffix}"))
    for a, b in zip(model.parameters(), there.parameters(), strict=True):
        np.testing.assert_array_equal(xpnn.to_numpy(a), b)
    model.load_state_dict(there.state_dict())
    assert there.to("gpu:1").device == "gpu:1" and there.to("cpu").device == "cpu"
    assert model.astype("float64").device == "gpu:0"


def test_the_state_of_an_optimiser_is_copied() -> None:
    model = mlp()
    optimizer = optim.Adam(model)
    optimizer.step(tree.map(lambda x: x + 1 if is_array(x) else x, model))
    state = optimizer.state_dict()
    other = optim.Adam(model)
    other.load_state_dict(state)
    for (_, a), (_, b) in zip(tree.flatten(optimizer.state), tree.flatten(other.state), strict=True):
        assert a is not b and bool(xp.all(a == b))


def test_batches_of_arrays_on_the_gpu_or_the_host() -> None:
    x, y = xpnn.asarray(np.arange(20.0)), np.arange(20)
    seen: list[float] = []
    for a, b in batches(x, y, batch_size=8, shuffle=True):
        assert type(a) is cupy.ndarray and type(b) is np.ndarray
        np.testing.assert_array_equal(a.get(), b)
        seen += b.tolist()
    assert sorted(seen) == list(range(20))
