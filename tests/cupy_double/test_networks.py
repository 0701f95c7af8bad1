"""A training step of whole networks with all their kernels: no waiting, no fallback, and every gradient that of NumPy in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cupy
import numpy as np
import pytest

import xpnn
from tests.cupy_double import kernels
from tests.cupy_double.sync import counting
from xpnn import losses, nn, ops, optim
from xpnn.primitive import use_reference

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every call of a primitive is one of a kernel, or an error."""
    monkeypatch.setenv("XPNN_FALLBACK", "error")
    with xpnn.backend("gpu"):
        yield


def lenet() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(4, 6), nn.Sigmoid(), nn.Linear(6, 3)),
    )


class Block(nn.Module):
    """Two convolutions and a shortcut, by a convolution of one place where the shape changes (He et al. 2015)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        self.body = nn.Sequential(
            *(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()),
            *(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)),
        )
        same = stride == 1 and inputs == outputs
        shortcut = (nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Identity() if same else nn.Sequential(*shortcut)

    def forward(self, x: Any) -> Any:
        return ops.relu(self.body(x) + self.shortcut(x))


def resnet() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()),
        *(Block(4, 8, stride=2), Block(8, 8)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)),
    )


class UNet(nn.Module):
    """Down by pooling, up by a transposed convolution to the size of before, joined with what was there (Ronneberger et al. 2015)."""

    def __init__(self) -> None:
        self.before = nn.Sequential(nn.Conv2d(2, 4, 3, padding="same"), nn.GroupNorm(2, 4), nn.ReLU())
        self.below = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(4, 8, 3, padding=1, padding_mode="reflect"), nn.SiLU())
        self.up = nn.ConvTranspose2d(8, 4, 3, stride=2)
        self.last = nn.Sequential(nn.Conv2d(8, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1))

    def forward(self, x: Any) -> Any:
        kept = self.before(x)
        up = self.up(self.below(kept), output_size=kept.shape)
        return self.last(xpnn.namespace(up).concat([kept, up], axis=1))


class WaveNet(nn.Module):
    """Gated convolutions that see the past only, at growing distances (van den Oord et al. 2016)."""

    def __init__(self, channels: int = 4, layers: int = 3) -> None:
        self.first = nn.Conv1d(2, channels, 1)
        self.gated = [nn.Conv1d(channels, 2 * channels, 2, dilation=2**i) for i in range(layers)]
        self.across = [nn.Conv1d(channels, 2 * channels, 1) for _ in range(layers)]
        self.last = nn.Sequential(nn.Tanh(), nn.Conv1d(channels, channels, 1), nn.Tanh(), nn.Conv1d(channels, 2, 1))

    def forward(self, x: Any) -> Any:
        x, skipped = self.first(x), 0
        for gated, across in zip(self.gated, self.across, strict=True):
            past = ops.pad(x, (gated.dilation[0], 0))
            a, b = halves(gated(past))
            more, skip = halves(across(ops.tanh(a) * ops.sigmoid(b)))
            x, skipped = x + more, skipped + skip
        return self.last(skipped)


def halves(x: Any) -> tuple[Any, Any]:
    """The first and the second half of the channels."""
    half = x.shape[1] // 2
    return x[:, :half, :], x[:, half:, :]


@dataclass(frozen=True)
class Network:
    """A network, the shape of its input, what its loss compares it with, and the kernels that it has to launch."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    loss: Callable[[Any, Any], Any]
    target: Any
    files: frozenset[str]


def words(text: str) -> frozenset[str]:
    return frozenset(f"{word}.cu" for word in text.split())


LABELS, DRAWN = np.array([0, 2, 1]), np.random.default_rng(1)
NETWORKS = {
    "lenet": Network(
        lenet, (3, 1, 8, 8), losses.cross_entropy, LABELS, words("conv_float max_pool avg_pool bias_activation")
    ),
    "resnet": Network(
        resnet, (3, 3, 8, 8), losses.cross_entropy, LABELS, words("conv_float batch_norm bias_activation")
    ),
    "unet": Network(
        UNet, (2, 2, 7, 9), losses.mse_loss, DRAWN.normal(size=(2, 1, 7, 9)), words("conv_float group_norm max_pool")
    ),
    "wavenet": Network(
        WaveNet, (2, 2, 11), losses.mse_loss, DRAWN.normal(size=(2, 2, 11)), words("conv_float activation")
    ),
}


def step(network: Network, model: Any, x: Any, dtype: str) -> tuple[Any, Any]:
    """The loss and the gradients."""
    target = network.target if network.target.dtype.kind == "i" else network.target.astype(dtype)
    target = xpnn.asarray(target)
    return xpnn.value_and_grad(lambda m: network.loss(m(x), target))(model)  # type: ignore[no-any-return]


def exactly(network: Network, state: dict[str, Any], x: Any) -> tuple[float, dict[str, Any]]:
    """The same on a CPU, in float64, by the references alone."""
    with xpnn.backend("cpu"), use_reference():
        model = network.build().astype("float64")
        model.load_state_dict(state)
        value, gradients = step(network, model, x.astype("float64"), "float64")
    return float(value), dict(gradients.named_parameters())


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
