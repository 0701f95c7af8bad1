"""conv_batch_norm: the convolutions of a residual network with their batch norm in training."""

from __future__ import annotations

from typing import Any

from xpnn import ops

from ..case import Case, normal

# x, filters, size of the kernel, stride; padded by half a kernel.
SHAPES = [((8, 64, 56, 56), 64, 3, 1), ((8, 256, 14, 14), 256, 3, 1), ((8, 64, 56, 56), 256, 1, 1)]


def case(x: tuple[int, ...], filters: int, k: int, stride: int) -> Case:
    pad = k // 2
    options = {"stride": (stride,) * 2, "padding": ((pad, pad),) * 2, "dilation": (1, 1)}

    def theirs(x: Any, weight: Any, gain: Any, shift: Any) -> Any:
        import torch

        z = torch.nn.functional.conv2d(x, weight, stride=stride, padding=pad)
        return torch.nn.functional.relu(torch.nn.functional.batch_norm(z, None, None, gain, shift, training=True))

    return Case(
        name=f"conv_batch_norm {'x'.join(map(str, x))} {filters} {k}x{k}",
        make=lambda rng: (
            normal(rng, *x),
            normal(rng, filters, x[1], k, k),
            normal(rng, filters),
            normal(rng, filters),
        ),
        run=lambda x, weight, gain, shift: ops.conv_batch_norm(
            x, weight, None, gain, shift, **options, activation="relu"
        )[0],
        torch=theirs,
    )


CASES = [case(*shape) for shape in SHAPES]
