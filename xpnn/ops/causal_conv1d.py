"""causal_conv1d: a short filter for each channel along time, which sees the present and the past only, with a carried state."""

from __future__ import annotations

from typing import Any

from ..cuda import causal_conv1d as cuda
from ..namespace import namespace
from ..primitive import Primitive
from ._activations import activated
from ._checks import check_array, check_floating
from ._windows import first_axis
from .sigmoid import reference as sigmoid

__all__ = ["causal_conv1d", "check_activation", "check_state"]

_ACTIVATIONS = (None, "silu", "relu")


def reference(
    x: Any,
    weight: Any,
    bias: Any = None,
    state: Any = None,
    *,
    activation: str | None = None,
    data_format: str = "channels_first",
) -> tuple[Any, Any]:
    """y[n, c, t] = act(bias[c] + sum over j of weight[c, 0, j] x[n, c, t - (kernel - 1) + j]), and the state for what follows.

    x (N, C, L), weight (C, 1, kernel), bias (C,) or None -> y (N, C, L) and the new state (N, C, kernel - 1): the last
    inputs, which the next piece of the sequence has before its first step. state: that of the piece before, None for zeros.
    With data_format="channels_last" x (N, L, C) -> y (N, L, C) and states (N, kernel - 1, C).
    activation: None, "silu" or "relu".

    A sequence in pieces has the bits of the whole: each y is the same sum, in the same order.
    """
    _check(x, weight, bias, state, data_format)
    check_activation(activation)
    xp = namespace(x, weight, bias, state)
    axis = first_axis(data_format)
    kernel, steps = weight.shape[2], x.shape[axis]
    before = (*x.shape[:axis], kernel - 1, *x.shape[axis + 1 :])
    if state is None:
        state = xp.zeros(before, dtype=x.dtype, device=x.device)
    seen = xp.concat([state, x], axis=axis)
    each = (-1, 1) if data_format == "channels_first" else (1, -1)
    y = None
    for j, tap in enumerate(xp.unstack(weight[:, 0, :], axis=1)):
        part = xp.reshape(tap, each) * _steps(seen, axis, j, j + steps)
        y = part if y is None else y + part
    if bias is not None:
        y = y + xp.reshape(bias, each)
    y = y * sigmoid(y) if activation == "silu" else activated(y, activation)
    return y, _steps(seen, axis, steps, steps + kernel - 1)


causal_conv1d = Primitive(reference, name="causal_conv1d")
causal_conv1d.add("cupy", cuda)


def _steps(x: Any, axis: int, start: int, stop: int) -> Any:
    return x[(*(slice(None),) * axis, slice(start, stop), ...)]


def check_activation(activation: Any) -> None:
    """Raises ValueError for an activation that there is not."""
    if activation not in _ACTIVATIONS:
        raise ValueError(f'activation: expected None, "silu" or "relu", got {activation!r}')


def _check(x: Any, weight: Any, bias: Any, state: Any, data_format: str) -> None:
    check_floating("x", x)
    check_array("weight", weight)
    axis = first_axis(data_format)
    shapes = "(N, C, L)" if axis == 2 else "(N, L, C)"
    if x.ndim != 3:
        raise ValueError(f"x: expected shape {shapes}, got {x.shape}")
    channels = x.shape[3 - axis]
    if weight.ndim != 3 or weight.shape[:2] != (channels, 1) or not weight.shape[2]:
        raise ValueError(f"weight: expected shape ({channels}, 1, kernel) for x {x.shape}, got {weight.shape}")
    if bias is not None and bias.shape != (channels,):
        raise ValueError(f"bias: expected shape ({channels},), got {bias.shape}")
    if state is not None:
        check_state(x, state, weight.shape[2], axis)


def check_state(x: Any, state: Any, kernel: int, axis: int) -> None:
    """Raises unless the state is that of x for so long a kernel."""
    check_array("state", state)
    expected = (*x.shape[:axis], kernel - 1, *x.shape[axis + 1 :])
    if state.shape != expected:
        raise ValueError(
            f"state: expected shape {expected} for x {x.shape} and a kernel of {kernel}, got {state.shape}"
        )
