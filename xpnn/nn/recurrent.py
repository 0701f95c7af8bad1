"""Recurrent networks: RNN, LSTM and GRU of any number of layers, in one or both directions."""

from __future__ import annotations

from typing import Any, ClassVar

from .. import ops
from ..backend import follow
from ..namespace import namespace
from ..ops._checks import check_array, check_flags
from ..ops._sequences import check_nonlinearity
from ..random import next_key
from . import parameters
from .checks import check_features, check_probability, check_rank, check_sizes, pair_of_states
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
    reset: (T, N) booleans, (N, T) with batch_first: true at the first step of each new part of a row, which begins from zeros,
    not from the state that the step before left, nor from the initial one. The backward direction ends the same parts.
    """

    gates: ClassVar[int]
    proj_size = 0

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, device: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        check_sizes(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        check_probability(dropout, "dropout")
        check_flags(bias=bias, batch_first=batch_first, bidirectional=bidirectional)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        width = self._width() * (2 if bidirectional else 1)
        for layer in range(num_layers):
            for suffix in self._suffixes(layer):
                self._create(suffix, width if layer else input_size, dtype, device)

    def _create(self, suffix: str, inputs: int, dtype: Any, device: str | None) -> None:
        rows = self.gates * self.hidden_size
        shapes = {
            "weight_ih": (rows, inputs),
            "weight_hh": (rows, self._width()),
            "bias_ih": (rows,),
            "bias_hh": (rows,),
        }
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        for name, shape in shapes.items():
            if self.bias or name.startswith("weight"):
                setattr(self, f"{name}{suffix}", parameters.uniform(shape, self.hidden_size, dtype, device))

    def _width(self) -> int:
        """Features of h, and of y in one direction."""
        return self.proj_size or self.hidden_size

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"] if self.bidirectional else [f"_l{layer}"]

    def _weights(self, suffix: str) -> list[Any]:
        return [getattr(self, f"{name}{suffix}", None) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]

    def _run(self, x: Any, states: list[Any], lengths: Any, reset: Any = None) -> tuple[Any, list[Any]]:
        """y and the last states, one array (layers*directions, N, H) per state that the network has."""
        check_rank(self, x, (2, 3), "(N, T, I), or (T, I)" if self.batch_first else "(T, N, I), or (T, I)")
        check_features(self, x, -1, self.input_size, "input_size")
        xp = namespace(x, *self._weights("_l0"))
        batched = len(x.shape) == 3
        self._check_states(x, states)
        reset = None if reset is None else self._check_reset(x, follow(reset, x, "reset"))
        if not batched:
            reset = None if reset is None else xp.expand_dims(reset, axis=1)
            x = xp.expand_dims(x, axis=1)
            states = [s if s is None else xp.expand_dims(s, axis=1) for s in states]
        elif self.batch_first:
            x = xp.permute_dims(x, (1, 0, 2))
            reset = None if reset is None else xp.permute_dims(reset, (1, 0))
        y, ends = self._layers(xp, x, states, None if lengths is None else follow(lengths, x, "lengths"), reset)
        last = [xp.stack(group, axis=0) for group in zip(*ends, strict=True)]
        if not batched:
            return xp.squeeze(y, axis=1), [xp.squeeze(s, axis=1) for s in last]
        return (xp.permute_dims(y, (1, 0, 2)) if self.batch_first else y), last

    def _layers(self, xp: Any, x: Any, states: list[Any], lengths: Any, reset: Any) -> tuple[Any, list[list[Any]]]:
        ends: list[list[Any]] = []
        backward_reset = None if reset is None or not self.bidirectional else _ends_of_parts(xp, reset, lengths)
        for layer in range(self.num_layers):
            if layer and self.dropout and self.training:
                x = ops.dropout(x, self.dropout, key=next_key())
            outputs = []
            for suffix in self._suffixes(layer):
                initial = [None if s is None else s[len(ends), ...] for s in states]
                reverse = suffix.endswith("reverse")
                anew = backward_reset if reverse else reset
                y, *end = self._cell(x, initial, self._weights(suffix), lengths, anew, reverse)
                outputs.append(y)
                ends.append(end)
            x = outputs[0] if len(outputs) == 1 else xp.concat(outputs, axis=-1)
        return x, ends

    def _check_states(self, x: Any, states: list[Any]) -> None:
        count = self.num_layers * (2 if self.bidirectional else 1)
        rows = () if len(x.shape) == 2 else (x.shape[0 if self.batch_first else 1],)
        for name, state, width in zip(("h0", "c0"), states, (self._width(), self.hidden_size), strict=False):
            if state is None:
                continue
            check_array(name, state)
            expected = (count, *rows, width)
            if tuple(state.shape) != expected:
                raise ValueError(
                    f"{type(self).__name__}: the initial state {name} has shape {tuple(state.shape)}, expected {expected}"
                )

    def _check_reset(self, x: Any, reset: Any) -> Any:
        """reset, an array of booleans for all steps of x."""
        if reset.shape != x.shape[:-1] or not namespace(reset).isdtype(reset.dtype, "bool"):
            raise ValueError(
                f"{type(self).__name__}: reset: expected booleans of shape {tuple(x.shape[:-1])}, "
                f"got {reset.dtype} of shape {tuple(reset.shape)}"
            )
        return reset

    def _cell(
        self, x: Any, states: list[Any], weights: list[Any], lengths: Any, reset: Any, reverse: bool
    ) -> tuple[Any, ...]:
        raise NotImplementedError(f"{type(self).__name__} has no _cell")

    def extra_repr(self) -> str:
        options = [f"{self.input_size}, {self.hidden_size}"]
        defaults = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        defaults |= {"proj_size": 0}
        options += [f"{name}={getattr(self, name)}" for name, value in defaults.items() if getattr(self, name) != value]
        return ", ".join(options)


class LSTM(_Recurrent):
    __doc__ = f"""Long short-term memory (Hochreiter & Schmidhuber 1997); gates i, f, g, o.

    lstm(x, (h0, c0)=None, *, lengths=None, reset=None) -> (y, (h, c)). {_Recurrent.__doc__}
    proj_size: if not 0, h = W_hr (o tanh c) has that many features, and so have y and h0; weight_hr_l (proj_size, hidden_size),
    weight_hh_l (4*hidden_size, proj_size) (Sak et al. 2014).
    """
    gates = 4

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, device: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        check_sizes(hidden_size=hidden_size)
        if isinstance(proj_size, bool) or not isinstance(proj_size, int):
            raise TypeError(f"proj_size: expected an integer, got {type(proj_size).__name__}")
        if not 0 <= proj_size < hidden_size:
            raise ValueError(f"proj_size: expected 0, or less than hidden_size = {hidden_size}, got {proj_size}")
        self.proj_size = proj_size
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)

    def forward(
        self, x: Any, state: Any = None, *, lengths: Any = None, reset: Any = None
    ) -> tuple[Any, tuple[Any, Any]]:
        y, (h, c) = self._run(x, pair_of_states(state, "(h0, c0)"), lengths, reset)
        return y, (h, c)

    def _weights(self, suffix: str) -> list[Any]:
        return [*super()._weights(suffix), getattr(self, f"weight_hr{suffix}", None)]

    def _cell(self, x: Any, states: list[Any], weights: list[Any], lengths: Any, reset: Any, reverse: bool) -> Any:
        *weights, w_hr = weights
        return ops.lstm(x, *states, *weights, lengths, reset, w_hr, reverse=reverse)


class GRU(_Recurrent):
    __doc__ = f"""Gated recurrent unit (Cho et al. 2014) in the reset-after form of torch and cuDNN; gates r, z, n.

    gru(x, h0=None, *, lengths=None, reset=None) -> (y, h). {_Recurrent.__doc__}
    reset_after: False puts the reset gate before the product with the state's weights, as older Keras and Chainer do.
    """
    gates = 3

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, device: str | None = None, dtype: Any = None,
        *, reset_after: bool = True,
    ) -> None:  # fmt: skip
        check_flags(reset_after=reset_after)
        self.reset_after = reset_after
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)

    def forward(self, x: Any, state: Any = None, *, lengths: Any = None, reset: Any = None) -> tuple[Any, Any]:
        y, (h,) = self._run(x, [state], lengths, reset)
        return y, h

    def _cell(self, x: Any, states: list[Any], weights: list[Any], lengths: Any, reset: Any, reverse: bool) -> Any:
        return ops.gru(x, *states, *weights, lengths, reset, reset_after=self.reset_after, reverse=reverse)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.reset_after else ", reset_after=False")


class RNN(_Recurrent):
    __doc__ = f"""Elman network: h = tanh (or relu) of W_ih x + b_ih + W_hh h + b_hh.

    rnn(x, h0=None, *, lengths=None, reset=None) -> (y, h). {_Recurrent.__doc__}"""
    gates = 1

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, device: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        check_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)

    def forward(self, x: Any, state: Any = None, *, lengths: Any = None, reset: Any = None) -> tuple[Any, Any]:
        y, (h,) = self._run(x, [state], lengths, reset)
        return y, h

    def _cell(self, x: Any, states: list[Any], weights: list[Any], lengths: Any, reset: Any, reverse: bool) -> Any:
        return ops.rnn(x, *states, *weights, lengths, reset, nonlinearity=self.nonlinearity, reverse=reverse)


def _ends_of_parts(xp: Any, reset: Any, lengths: Any) -> Any:
    """For the backward direction: true (T, N) at a step whose next one, within its row, begins a new part."""
    ends = xp.concat((reset[1:, ...], xp.zeros_like(reset[:1, ...])), axis=0)
    if lengths is None:
        return ends
    following = xp.arange(1, reset.shape[0] + 1, dtype=lengths.dtype, device=reset.device)
    return ends & (xp.expand_dims(following, axis=1) < lengths)
