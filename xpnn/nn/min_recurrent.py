"""Minimal recurrent networks: gates that see the input alone, so that all steps are computed at once (Feng et al. 2024)."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..namespace import namespace
from ..namespace.array import unbox
from ..namespace.libraries import library_name
from . import parameters
from .recurrent import _Recurrent

__all__ = ["MinGRU", "MinLSTM"]


class _MinRecurrent(_Recurrent):
    """What the minimal recurrent networks share.

    x (T, N, input_size), or (N, T, input_size) with batch_first, or (T, input_size) -> y of the same kind with
    hidden_size (twice that if bidirectional) features, and the last state (num_layers*directions, N, hidden_size).

    Parameters, per layer l and with the suffix _reverse for the backward direction: weight_ih_l (G*hidden_size, inputs)
    and bias_ih_l (G*hidden_size,), for G gates in the order named, drawn as those of Linear. dropout, lengths, reset: as for
    GRU.
    The paper's form in logarithms, with its positive function g of candidates and states, is not used: states are scanned
    as they are.
    """

    def _create(self, suffix: str, inputs: int, dtype: Any, device: str | None) -> None:
        rows = self.gates * self.hidden_size
        setattr(self, f"weight_ih{suffix}", parameters.uniform((rows, inputs), inputs, dtype, device))
        if self.bias:
            setattr(self, f"bias_ih{suffix}", parameters.uniform((rows,), inputs, dtype, device))

    def _weights(self, suffix: str) -> list[Any]:
        return [getattr(self, f"weight_ih{suffix}"), getattr(self, f"bias_ih{suffix}", None)]

    def forward(self, x: Any, state: Any = None, *, lengths: Any = None, reset: Any = None) -> tuple[Any, Any]:
        y, (h,) = self._run(x, [state], lengths, reset)
        return y, h

    def _cell(self, x: Any, states: list[Any], weights: list[Any], lengths: Any, reset: Any, reverse: bool) -> Any:
        """y (T, N, H) and the states (N, H) at the rows' own ends."""
        xp = namespace(x, *states, *weights)
        gates = ops.linear(x, *weights)
        a, b = self._steps(*xp.unstack(xp.reshape(gates, (*x.shape[:2], self.gates, self.hidden_size)), axis=2))
        if reset is not None:
            a = xp.where(xp.expand_dims(reset, axis=2), xp.zeros_like(a), a)
        running = None if lengths is None else _running(xp, lengths, x)
        if running is not None:  # after its end a row keeps its state
            a, b = xp.where(running, a, xp.ones_like(a)), xp.where(running, b, xp.zeros_like(b))
        h = ops.linear_scan(a, b, *states, reverse=reverse)
        y = h if running is None else xp.where(running, h, xp.zeros_like(h))
        if not x.shape[0]:
            return y, xp.zeros(b.shape[1:], dtype=b.dtype, device=b.device) if states[0] is None else states[0]
        return y, h[0 if reverse else -1, ...]

    def _steps(self, *gates: Any) -> tuple[Any, Any]:
        """a and b of h = a h + b, from what the products give to the gates (T, N, H)."""
        raise NotImplementedError(f"{type(self).__name__} has no _steps")


class MinGRU(_MinRecurrent):
    __doc__ = f"""Minimal gated recurrent unit: h = (1 - z) h + z n, with z = sigmoid(W_z x) and n = W_n x; gates z, n.

    min_gru(x, h0=None, *, lengths=None, reset=None) -> (y, h). {_MinRecurrent.__doc__}"""
    gates = 2

    def _steps(self, *gates: Any) -> tuple[Any, Any]:
        z, n = ops.sigmoid(gates[0]), gates[1]
        return 1 - z, z * n


class MinLSTM(_MinRecurrent):
    __doc__ = f"""Minimal long short-term memory: h = (f h + i n) / (f + i), with f = sigmoid(W_f x), i = sigmoid(W_i x), n = W_n x.

    Gates f, i, n. min_lstm(x, h0=None, *, lengths=None, reset=None) -> (y, h). {_MinRecurrent.__doc__}"""
    gates = 3

    def _steps(self, *gates: Any) -> tuple[Any, Any]:
        f, i, n = gates
        # f / (f + i) by the logarithms of both: far below 0 their exponentials would be 0 / 0.
        kept = ops.sigmoid(ops.softplus(-i) - ops.softplus(-f))
        return kept, (1 - kept) * n


def _running(xp: Any, lengths: Any, x: Any) -> Any:
    """Which rows have not ended, by time (T, N, 1)."""
    if lengths.shape != x.shape[1:2] or not xp.isdtype(lengths.dtype, "integral"):
        raise ValueError(f"lengths: expected {x.shape[1]} integers, got {lengths.dtype} of shape {lengths.shape}")
    if (
        library_name(unbox(lengths)) == "numpy"
        and lengths.size
        and not 0 <= lengths.min() <= lengths.max() <= x.shape[0]
    ):
        raise ValueError(f"lengths: expected integers in 0..{x.shape[0]}, got {lengths.min()} to {lengths.max()}")
    time = xp.arange(x.shape[0], dtype=xp.int64, device=x.device)
    return xp.expand_dims(xp.expand_dims(time, axis=1) < xp.astype(lengths, xp.int64), axis=2)
