"""Recurrent networks: RNN, LSTM and GRU of any number of layers, in one or both directions."""

from __future__ import annotations

from typing import Any, ClassVar

from .. import ops
from ..backend import follow
from ..namespace import namespace
from ..ops._checks import check_array
from ..random import next_key
from . import parameters
from .checks import check_features, check_probability, check_rank, check_sizes
from .module import Module

__all__ = ["GRU", "LSTM", "RNN"]


class _Recurrent(Module):
    """What the recurrent networks share.

    x (T, N, input_size), or (N, T, input_size) with batch_first, or (T, input_size) -> y of the same kind with
    hidden_size (twice that if bidirectional) features, and the last state (num_layers*directions, N, hidden_size).

    Parameters, per layer l and with the suffix _reverse for the backward direction: weight_ih_l (G*hidden_size, inputs),
    weight_hh_l (G*hidden_size, hidden_size), bias_ih_l and bias_hh_l (G*hidden_size,), for G gates in torch's order.
    dropout: between the layers, in training.
    lengths: (N,) integers, in any order: row n stops after lengths[n] steps; its later outputs are 0, its last state is
    the one at its own end, and the backward direction starts there. A row of length 0 keeps its initial state.
    """

    gates: ClassVar[int]

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, device: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        check_sizes(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        check_probability(dropout, "dropout")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        width = hidden_size * (2 if bidirectional else 1)
        for layer in range(num_layers):
            for suffix in self._suffixes(layer):
                self._create(suffix, width if layer else input_size, dtype, device)

    def _create(self, suffix: str, inputs: int, dtype: Any, device: str | None) -> None:
        rows = self.gates * self.hidden_size
        shapes = {
            "weight_ih": (rows, inputs),
            "weight_hh": (rows, self.hidden_size),
            "bias_ih": (rows,),
            "bias_hh": (rows,),
        }
        for name, shape in shapes.items():
            if self.bias or name.startswith("weight"):
                setattr(self, f"{name}{suffix}", parameters.uniform(shape, self.hidden_size, dtype, device))

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"] if self.bidirectional else [f"_l{layer}"]

    def _weights(self, suffix: str) -> list[Any]:
        return [getattr(self, f"{name}{suffix}", None) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]

    def _run(self, x: Any, states: list[Any], lengths: Any) -> tuple[Any, list[Any]]:
        """y and the last states, one array (layers*directions, N, H) per state that the network has."""
        check_rank(self, x, (2, 3), "(N, T, I), or (T, I)" if self.batch_first else "(T, N, I), or (T, I)")
        check_features(self, x, -1, self.input_size, "input_size")
        xp = namespace(x, *self._weights("_l0"))
        batched = len(x.shape) == 3
        if not batched:
            x = xp.expand_dims(x, axis=1)
            states = [s if s is None else xp.expand_dims(s, axis=1) for s in states]
        elif self.batch_first:
            x = xp.permute_dims(x, (1, 0, 2))
        self._check_states(x, states)
        y, ends = self._layers(xp, x, states, None if lengths is None else follow(lengths, x, "lengths"))
        last = [xp.stack(group, axis=0) for group in zip(*ends, strict=True)]
        if not batched:
            return xp.squeeze(y, axis=1), [xp.squeeze(s, axis=1) for s in last]
        return (xp.permute_dims(y, (1, 0, 2)) if self.batch_first else y), last

    def _layers(self, xp: Any, x: Any, states: list[Any], lengths: Any) -> tuple[Any, list[list[Any]]]:
        ends: list[list[Any]] = []
        for layer in range(self.num_layers):
            if layer and self.dropout and self.training:
                x = ops.dropout(x, self.dropout, key=next_key())
            outputs = []
            for suffix in self._suffixes(layer):
                initial = [None if s is None else s[len(ends), ...] for s in states]
                y, *end = self._cell(x, initial, self._weights(suffix), lengths, suffix.endswith("reverse"))
                outputs.append(y)
                ends.append(end)
            x = outputs[0] if len(outputs) == 1 else xp.concat(outputs, axis=-1)
        return x, ends

    def _check_states(self, x: Any, states: list[Any]) -> None:
        expected = (self.num_layers * (2 if self.bidirectional else 1), x.shape[1], self.hidden_size)
        for name, state in zip(("h0", "c0"), states, strict=False):
            if state is None:
                continue
            check_array(name, state)
            if tuple(state.shape) != expected:
                raise ValueError(
                    f"{type(self).__name__}: the initial state {name} has shape {tuple(state.shape)}, expected {expected}"
                )

    def _cell(self, x: Any, states: list[Any], weights: list[Any], lengths: Any, reverse: bool) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no _cell")

    def extra_repr(self) -> str:
        options = [f"{self.input_size}, {self.hidden_size}"]
        defaults = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        options += [f"{name}={getattr(self, name)}" for name, value in defaults.items() if getattr(self, name) != value]
        return ", ".join(options)


class LSTM(_Recurrent):
    __doc__ = f"""Long short-term memory (Hochreiter & Schmidhuber 1997); gates i, f, g, o.

    lstm(x, (h0, c0)=None, *, lengths=None) -> (y, (h, c)). {_Recurrent.__doc__}"""
    gates = 4

    def forward(self, x: Any, state: Any = None, *, lengths: Any = None) -> tuple[Any, tuple[Any, Any]]:
        if state is not None and (not isinstance(state, tuple | list) or len(state) != 2):
            got = f"{type(state).__name__} of {len(state)}" if isinstance(state, tuple | list) else type(state).__name__
            raise TypeError(f"state: expected a pair (h0, c0), got {got}")
        y, (h, c) = self._run(x, list(state or (None, None)), lengths)
        return y, (h, c)

    def _cell(self, x: Any, states: list[Any], weights: list[Any], lengths: Any, reverse: bool) -> Any:
        return ops.lstm(x, *states, *weights, lengths, reverse=reverse)


class GRU(_Recurrent):
    __doc__ = f"""Gated recurrent unit (Cho et al. 2014) in the reset-after form of torch and cuDNN; gates r, z, n.

    gru(x, h0=None, *, lengths=None) -> (y, h). {_Recurrent.__doc__}"""
    gates = 3

    def forward(self, x: Any, state: Any = None, *, lengths: Any = None) -> tuple[Any, Any]:
        y, (h,) = self._run(x, [state], lengths)
        return y, h

    def _cell(self, x: Any, states: list[Any], weights: list[Any], lengths: Any, reverse: bool) -> Any:
        return ops.gru(x, *states, *weights, lengths, reverse=reverse)


class RNN(_Recurrent):
    __doc__ = f"""Elman network: h = tanh (or relu) of W_ih x + b_ih + W_hh h + b_hh.

    rnn(x, h0=None, *, lengths=None) -> (y, h). {_Recurrent.__doc__}"""
    gates = 1

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, device: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f'nonlinearity: expected "tanh" or "relu", got {nonlinearity!r}')
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)

    def forward(self, x: Any, state: Any = None, *, lengths: Any = None) -> tuple[Any, Any]:
        y, (h,) = self._run(x, [state], lengths)
        return y, h

    def _cell(self, x: Any, states: list[Any], weights: list[Any], lengths: Any, reverse: bool) -> Any:
        return ops.rnn(x, *states, *weights, lengths, nonlinearity=self.nonlinearity, reverse=reverse)
