"""Weights of the recurrent layers of Keras, in torch's order of gates and under torch's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["keras_recurrent"]

# Where torch's gates stand among those of Keras: i, f, g, o of i, f, c, o; r, z, n of z, r, h.
_ORDER = {"lstm": (0, 1, 2, 3), "gru": (1, 0, 2), "rnn": (0,)}


def keras_recurrent(kind: str, weights: Sequence[Any], *, layer: int = 0) -> dict[str, Any]:
    """The state dictionary of nn.LSTM, nn.GRU or nn.RNN for the weights of a Keras layer, as its get_weights() gives them.

    kind: "lstm", "gru" or "rnn" (SimpleRNN). weights: kernel (I, G H), recurrent_kernel (H, G H) and, unless use_bias=False, bias
    (G H,), or (2, G H) of a GRU with reset_after=True; those of Bidirectional are the forward ones, then the backward ones.
    layer: the number of the layer in a stack, whose dictionaries may be joined by |. A GRU with a bias (3 H,) is one with
    reset_after=False, here as there. Without a bias there is none in the dictionary: nn.LSTM(..., bias=False).
    Raises ValueError for weights that are not those of one such layer.
    """
    if kind not in _ORDER:
        raise ValueError(f"kind: expected one of {', '.join(_ORDER)}, got {kind!r}")
    arrays = [np.asarray(w) for w in weights]
    if len(arrays) not in (2, 3, 4, 6):
        raise ValueError(f"weights: expected 2 or 3 arrays, or twice that of Bidirectional, got {len(arrays)}")
    if len(arrays) < 4:
        return _direction(kind, arrays, f"_l{layer}")
    half = len(arrays) // 2
    return _direction(kind, arrays[:half], f"_l{layer}") | _direction(kind, arrays[half:], f"_l{layer}_reverse")


def _direction(kind: str, arrays: Sequence[Any], suffix: str) -> dict[str, Any]:
    kernel, recurrent = arrays[:2]
    gates = len(_ORDER[kind])
    if recurrent.ndim != 2 or recurrent.shape[1] != gates * recurrent.shape[0]:
        raise ValueError(f"weights: expected a recurrent_kernel (H, {gates} H) of {kind}, got {recurrent.shape}")
    rows = recurrent.shape[1]
    if kernel.ndim != 2 or kernel.shape[1] != rows:
        raise ValueError(f"weights: expected a kernel (I, {rows}), got {kernel.shape}")
    found = {"weight_ih": _turned(kind, kernel.T), "weight_hh": _turned(kind, recurrent.T)}
    if len(arrays) == 3:
        bias = arrays[2]
        if bias.shape != (rows,) and (kind != "gru" or bias.shape != (2, rows)):
            raise ValueError(
                f"weights: expected a bias ({rows},){f' or (2, {rows})' * (kind == 'gru')}, got {bias.shape}"
            )
        both = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
        found["bias_ih"], found["bias_hh"] = (_turned(kind, b) for b in both)
    return {f"{name}{suffix}": x for name, x in found.items()}


def _turned(kind: str, x: Any) -> Any:
    """x (G H, ...) with its gates in torch's order."""
    parts = np.split(x, len(_ORDER[kind]))
    return np.ascontiguousarray(np.concatenate([parts[i] for i in _ORDER[kind]]))
