"""One step of the recurrent layers: RNNCell, LSTMCell and GRUCell."""

from __future__ import annotations

from typing import Any, ClassVar

from .. import ops
from ..namespace import namespace
from ..ops._checks import check_array, check_flags
from ..ops._sequences import check_nonlinearity
from . import parameters
from .checks import check_features, check_rank, check_sizes, pair_of_states
from .module import Module

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]


class _Cell(Module):
    """What the cells share.

    x (N, input_size), or (input_size,) -> the next state (N, hidden_size), or (hidden_size,); without a state it starts at 0.
    Parameters: weight_ih (G*hidden_size, input_size), weight_hh (G*hidden_size, hidden_size), bias_ih and bias_hh
    (G*hidden_size,), for G gates in torch's order. A step runs as a sequence of one step does.
    """

    gates: ClassVar[int]

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: str | None = None, dtype: Any = None
    ) -> None:
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        check_flags(bias=bias)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = self.gates * hidden_size
        self.weight_ih = parameters.uniform((rows, input_size), hidden_size, dtype, device)
        self.weight_hh = parameters.uniform((rows, hidden_size), hidden_size, dtype, device)
        self.bias_ih = parameters.uniform((rows,), hidden_size, dtype, device) if bias else None
        self.bias_hh = parameters.uniform((rows,), hidden_size, dtype, device) if bias else None

    def _step(self, x: Any, states: list[Any], op: Any, **options: Any) -> list[Any]:
        """The next states, one for each given."""
        check_rank(self, x, (1, 2), "(N, I), or (I,)")
        check_features(self, x, -1, self.input_size, "input_size")
        expected = (*x.shape[:-1], self.hidden_size)
        for state in states:
            if state is None:
                continue
            check_array("state", state)
            if tuple(state.shape) != expected:
                raise ValueError(
                    f"{type(self).__name__}: the state has shape {tuple(state.shape)}, expected {expected}"
                )
        weights = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]
        xp = namespace(x, *states, *weights)
        batched = len(x.shape) == 2
        if not batched:
            x = xp.expand_dims(x, axis=0)
            states = [s if s is None else xp.expand_dims(s, axis=0) for s in states]
        _, *after = op(xp.expand_dims(x, axis=0), *states, *weights, **options)
        return after if batched else [xp.squeeze(s, axis=0) for s in after]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class LSTMCell(_Cell):
    __doc__ = f"""A step of long short-term memory (Hochreiter & Schmidhuber 1997); gates i, f, g, o.

    cell(x, (h, c)=None) -> (h, c). {_Cell.__doc__}"""
    gates = 4

    def forward(self, x: Any, state: Any = None) -> tuple[Any, Any]:
        h, c = self._step(x, pair_of_states(state, "(h, c)"), ops.lstm)
        return h, c


class GRUCell(_Cell):
    __doc__ = f"""A step of the gated recurrent unit (Cho et al. 2014), in the forms of GRU; gates r, z, n.

    cell(x, h=None) -> h. {_Cell.__doc__}"""
    gates = 3

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: str | None = None, dtype: Any = None,
        *, reset_after: bool = True,
    ) -> None:  # fmt: skip
        check_flags(reset_after=reset_after)
        self.reset_after = reset_after
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def forward(self, x: Any, state: Any = None) -> Any:
        return self._step(x, [state], ops.gru, reset_after=self.reset_after)[0]

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.reset_after else ", reset_after=False")


class RNNCell(_Cell):
    __doc__ = f"""A step of the Elman network: h = tanh (or relu) of W_ih x + b_ih + W_hh h + b_hh.

    cell(x, h=None) -> h. {_Cell.__doc__}"""
    gates = 1

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", device: str | None = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        check_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def forward(self, x: Any, state: Any = None) -> Any:
        return self._step(x, [state], ops.rnn, nonlinearity=self.nonlinearity)[0]

    def extra_repr(self) -> str:
        return super().extra_repr() + (f', nonlinearity="{self.nonlinearity}"' if self.nonlinearity != "tanh" else "")
