"""A short causal convolution of each channel on its own, as Mamba and its kin have it before their scan."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..namespace import namespace
from ..ops._checks import check_array
from ..ops._windows import first_axis, per_axis
from ..ops.causal_conv1d import check_activation
from . import parameters
from .checks import check_features, check_rank, check_sizes
from .module import Module

__all__ = ["CausalConv1d"]


class CausalConv1d(Module):
    """Convolution along time, for each channel on its own, that sees the present step and the kernel_size - 1 before it.

    x (N, channels, L) or (channels, L) -> y of the same shape, and the state (N, channels, kernel_size - 1) or (channels,
    kernel_size - 1): the last inputs, with which the next piece of the sequence goes on, ``y, state = conv(piece, state)``.
    Without a state there are zeros before x. Pieces have the bits of the whole. With data_format="channels_last" x
    (N, L, channels), the state (N, kernel_size - 1, channels).

    activation: None, "silu" or "relu", in the same step. Parameters weight (channels, 1, kernel_size) and bias (channels,)
    as those of ``Conv1d(channels, channels, kernel_size, groups=channels)``.
    """

    def __init__(
        self, channels: int, kernel_size: int, bias: bool = True, activation: str | None = None,
        *, device: str | None = None, dtype: Any = None, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        check_sizes(channels=channels)
        check_activation(activation)
        first_axis(data_format)
        self.channels = channels
        (self.kernel_size,) = per_axis("kernel_size", kernel_size, 1)
        self.activation = activation
        self.data_format = data_format
        self.weight = parameters.uniform((channels, 1, self.kernel_size), self.kernel_size, dtype, device)
        self.bias = parameters.uniform((channels,), self.kernel_size, dtype, device) if bias else None

    def forward(self, x: Any, state: Any = None) -> tuple[Any, Any]:
        last = self.data_format == "channels_last"
        check_rank(self, x, (2, 3), "(N, L, C) or (L, C)" if last else "(N, C, L) or (C, L)")
        check_features(self, x, -1 if last else -2, self.channels, "channels")
        options: dict[str, Any] = {"activation": self.activation, "data_format": self.data_format}
        if x.ndim == 3:
            return ops.causal_conv1d(x, self.weight, self.bias, state, **options)  # type: ignore[no-any-return]
        xp = namespace(x, state, self.weight)
        if state is not None:
            check_array("state", state)
            state = xp.expand_dims(state, axis=0)
        y, after = ops.causal_conv1d(xp.expand_dims(x, axis=0), self.weight, self.bias, state, **options)
        return xp.squeeze(y, axis=0), xp.squeeze(after, axis=0)

    def extra_repr(self) -> str:
        activation = "" if self.activation is None else f", activation={self.activation!r}"
        return f"{self.channels}, kernel_size={self.kernel_size}{activation}, bias={self.bias is not None}"
