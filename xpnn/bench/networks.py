"""The four networks of `xpnn demo` as cases, and single layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import nn
from .case import normal
from .network import Network

__all__ = ["SIZES", "layers", "networks"]

SIZES = (1, 8, 64, 512)
Data = Callable[[np.random.Generator, int], tuple[tuple[Any, ...], Any]]


def networks() -> dict[str, Network]:
    """By name; a function, because the demonstrations are imported for it."""
    from ..demos import cnn, dnn, gru, lstm

    mlp_flops = 2.0 * (784 * 256 + 256 * 256 + 256 * 10)
    cnn_flops = 2.0 * (24 * 24 * 16 * 25 + 8 * 8 * 32 * 400 + 512 * 128 + 128 * 10)
    found = (
        Network("mlp", dnn.build, _images, "cross_entropy", mlp_flops),
        Network("cnn", cnn.build, _images, "cross_entropy", cnn_flops),
        Network("lstm", lstm.Speakers, _vowels, "cross_entropy", 2.0 * 29 * 256 * (12 + 64)),
        Network("gru", gru.Forecaster, _windows, "l1_loss", 2.0 * 48 * 96 * (8 + 32)),
    )
    return {network.name: network for network in found}


def _images(rng: np.random.Generator, rows: int) -> tuple[tuple[Any, ...], Any]:
    return (rng.random((rows, 1, 28, 28), np.float32),), rng.integers(0, 10, rows)


def _vowels(rng: np.random.Generator, rows: int) -> tuple[tuple[Any, ...], Any]:
    """Sequences of 7 to 29 steps, zeros behind their ends."""
    lengths = rng.integers(7, 30, rows)
    inside = np.arange(29) < lengths[:, None]
    return (normal(rng, rows, 29, 12) * inside[:, :, None], lengths), rng.integers(0, 9, rows)


def _windows(rng: np.random.Generator, rows: int) -> tuple[tuple[Any, ...], Any]:
    return (normal(rng, rows, 48, 8),), normal(rng, rows, 48)


def _layer(
    name: str,
    inputs: tuple[int, ...],
    outputs: tuple[int, ...],
    flops: float,
    kind: str,
    *arguments: Any,
    **options: Any,
) -> Network:
    """A layer of xpnn.nn and torch.nn alike; its training step brings its output nearer to zero."""

    def data(rng: np.random.Generator, rows: int) -> tuple[tuple[Any, ...], Any]:
        return (normal(rng, rows, *inputs),), np.zeros((rows, *outputs), np.float32)

    return Network(
        name, lambda: getattr(nn, kind)(*arguments, **options), data, "mse_loss", flops, (kind, arguments, options)
    )


def layers() -> dict[str, Network]:
    """By name, at the sizes of small networks."""
    same, recurrent = (32, 16, 16), 2.0 * 32 * 64 * (64 + 64)
    found = (
        _layer("linear", (512,), (512,), 2.0 * 512 * 512, "Linear", 512, 512),
        _layer("conv2d", same, same, 2.0 * 256 * 32 * 288, "Conv2d", 32, 32, 3, padding=1),
        _layer("depthwise_conv2d", same, same, 2.0 * 256 * 32 * 9, "Conv2d", 32, 32, 3, padding=1, groups=32),
        _layer("lstm_layer", (32, 64), (32, 64), 4 * recurrent, "LSTM", 64, 64, batch_first=True),
        _layer("gru_layer", (32, 64), (32, 64), 3 * recurrent, "GRU", 64, 64, batch_first=True),
        _layer("batch_norm2d", same, same, 0.0, "BatchNorm2d", 32),
        _layer("layer_norm", (32, 256), (32, 256), 0.0, "LayerNorm", 256),
        _layer(
            "attention_block", (32, 64), (32, 64), 0.0, "TransformerEncoderLayer", 64, 4, 128, 0.0, batch_first=True
        ),
    )
    return {layer.name: layer for layer in found}
