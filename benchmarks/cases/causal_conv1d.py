"""causal_conv1d: the short convolution of Mamba models, in both layouts. The peer is torch's padded convolution and silu."""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnn import ops

from ..case import Case, normal

# batch, channels, steps, kernel, data_format
SIZES = [
    (8, 1536, 1024, 4, "channels_last"),
    (8, 1536, 1024, 4, "channels_first"),
    (1, 4096, 1, 4, "channels_first"),
    (4, 256, 2048, 8, "channels_last"),
]


def theirs(last: bool) -> Any:
    def run(x: Any, weight: Any, bias: Any) -> Any:
        import torch

        x = x.swapaxes(1, 2) if last else x
        kernel = weight.shape[2]
        y = torch.nn.functional.conv1d(x, weight, bias, padding=kernel - 1, groups=x.shape[1])
        y = torch.nn.functional.silu(y[..., : x.shape[2]])
        return y.swapaxes(1, 2) if last else y

    return run


def case(batch: int, channels: int, steps: int, kernel: int, data_format: str) -> Case:
    last = data_format == "channels_last"

    def make(rng: np.random.Generator) -> Any:
        x = (batch, steps, channels) if last else (batch, channels, steps)
        return normal(rng, *x), normal(rng, channels, 1, kernel, scale=kernel**-0.5), normal(rng, channels)

    return Case(
        name=f"causal_conv1d {kernel} N={batch} C={channels} L={steps} {data_format}",
        make=make,
        run=lambda *a: ops.causal_conv1d(*a, activation="silu", data_format=data_format)[0],
        torch=theirs(last),
        flops=2.0 * batch * channels * steps * kernel,
    )


CASES = [case(*size) for size in SIZES]
