"""Small networks of the forms that people train, a step of each, and the same step by the references in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import xpnn
from xpnn import losses, nn, ops
from xpnn.primitive import use_reference

__all__ = ["NETWORKS", "Network", "exactly", "step"]


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
    """Down by pooling, up by a transposed convolution, joined with what was there (Ronneberger et al. 2015)."""

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


def step(network: Network, model: Any, x: Any, dtype: Any) -> tuple[Any, Any]:
    """The loss and the gradients."""
    target = xpnn.asarray(network.target if network.target.dtype.kind == "i" else network.target.astype(dtype))
    return xpnn.value_and_grad(lambda m: network.loss(m(x), target))(model)  # type: ignore[no-any-return]


def exactly(network: Network, state: dict[str, Any], x: Any) -> tuple[float, dict[str, Any]]:
    """The same on a CPU, in float64, by the references alone."""
    with xpnn.backend("cpu"), use_reference():
        model = network.build().astype("float64")
        model.load_state_dict(state)
        value, gradients = step(network, model, x.astype("float64"), "float64")
    return float(value), dict(gradients.named_parameters())
