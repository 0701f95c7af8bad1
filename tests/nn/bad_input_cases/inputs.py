"""What layers are not to be called with: ranks, channels, integers, masks, lengths, states."""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnn import nn

from . import bad


def x(*shape: int) -> Any:
    return np.ones(shape, np.float32)


def whole(*shape: int) -> Any:
    return np.ones(shape, np.int64)


def mask(*shape: int) -> Any:
    return np.zeros(shape, bool)


LAYERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "Linear": (nn.Linear(4, 3), (2, 4)),
    "Conv1d": (nn.Conv1d(4, 3, 3), (2, 4, 9)),
    "Conv2d": (nn.Conv2d(4, 3, 3), (2, 4, 9, 9)),
    "Conv3d": (nn.Conv3d(4, 3, 3), (2, 4, 9, 9, 9)),
    "CausalConv1d": (nn.CausalConv1d(4, 3), (2, 4, 9)),
    "LSTM": (nn.LSTM(4, 3), (5, 2, 4)),
    "GRU": (nn.GRU(4, 3), (5, 2, 4)),
    "RNN": (nn.RNN(4, 3), (5, 2, 4)),
    "MinGRU": (nn.MinGRU(4, 3), (5, 2, 4)),
    "MinLSTM": (nn.MinLSTM(4, 3), (5, 2, 4)),
    "LayerNorm": (nn.LayerNorm(4), (2, 4)),
    "RMSNorm": (nn.RMSNorm(4), (2, 4)),
    "GroupNorm": (nn.GroupNorm(2, 4), (2, 4, 3)),
    "BatchNorm1d": (nn.BatchNorm1d(4), (2, 4, 3)),
    "BatchNorm2d": (nn.BatchNorm2d(4), (2, 4, 3, 3)),
    "BatchNorm3d": (nn.BatchNorm3d(4), (2, 4, 3, 3, 3)),
    "InstanceNorm1d": (nn.InstanceNorm1d(4), (2, 4, 3)),
    "InstanceNorm2d": (nn.InstanceNorm2d(4), (2, 4, 3, 3)),
    "InstanceNorm3d": (nn.InstanceNorm3d(4), (2, 4, 3, 3, 3)),
    "PositionalEncoding": (nn.PositionalEncoding(4, 0.0), (5, 2, 4)),
}
POOLS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "MaxPool1d": (nn.MaxPool1d(2), (2, 4, 9)),
    "MaxPool2d": (nn.MaxPool2d(2), (2, 4, 9, 9)),
    "MaxPool3d": (nn.MaxPool3d(2), (2, 4, 9, 9, 9)),
    "AvgPool1d": (nn.AvgPool1d(2), (2, 4, 9)),
    "AvgPool2d": (nn.AvgPool2d(2), (2, 4, 9, 9)),
    "AvgPool3d": (nn.AvgPool3d(2), (2, 4, 9, 9, 9)),
    "AdaptiveAvgPool1d": (nn.AdaptiveAvgPool1d(4), (2, 4, 9)),
    "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d(4), (2, 4, 9, 9)),
    "AdaptiveAvgPool3d": (nn.AdaptiveAvgPool3d(4), (2, 4, 9, 9, 9)),
    "AdaptiveMaxPool1d": (nn.AdaptiveMaxPool1d(4), (2, 4, 9)),
    "AdaptiveMaxPool2d": (nn.AdaptiveMaxPool2d(4), (2, 4, 9, 9)),
    "AdaptiveMaxPool3d": (nn.AdaptiveMaxPool3d(4), (2, 4, 9, 9, 9)),
}
NAMES = "Tanh Sigmoid SiLU GELU ELU LeakyReLU Softplus Softmax LogSoftmax Dropout"
SIMPLE: dict[str, Any] = {name: getattr(nn, name)() for name in NAMES.split()}
EVERY = {**LAYERS, **POOLS}


def channels(shape: tuple[int, ...], kind: str) -> tuple[int, ...]:
    """The shape with one channel more."""
    last = kind in ("Linear", "LayerNorm", "RMSNorm", "LSTM", "GRU", "RNN", "MinGRU", "MinLSTM", "PositionalEncoding")
    axis = len(shape) - 1 if last else 1
    return tuple(n + (i == axis) for i, n in enumerate(shape))


LSTM, GRU, RNN = (LAYERS[name][0] for name in ("LSTM", "GRU", "RNN"))
SEQUENCE = x(5, 2, 4)
MHA, FIRST = nn.MultiheadAttention(4, 2), nn.MultiheadAttention(4, 2, batch_first=True)
MIXED = nn.MultiheadAttention(4, 2, kdim=3, vdim=6)
ENCODER = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 1)
DECODER = nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8), 1)
Q, K = x(5, 2, 4), x(6, 2, 4)

CASES = [
    # ---- of every layer: channels, ranks, kinds
    *(
        bad("x", wrong, lambda f=f, s=wrong: f(x(*s)))
        for kind, (f, shape) in LAYERS.items()
        for wrong in [channels(shape, kind)]
    ),
    *(bad("x", "(4,)" if kind != "Linear" else "()", lambda f=f, k=kind: f(x(4) if k != "Linear" else x()))
      for kind, (f, _) in EVERY.items() if kind not in ("LayerNorm", "RMSNorm")),
    *(bad("x", "(2, 4, 3, 3, 3, 3)", lambda f=f: f(x(2, 4, 3, 3, 3, 3)))
      for kind, (f, _) in EVERY.items() if kind not in ("Linear", "LayerNorm", "RMSNorm", "GroupNorm")),
    *(bad("x", "int64", lambda f=f, s=shape: f(whole(*s))) for f, shape in EVERY.values()),
    *(bad("x", "list", lambda f=f: f([[1.0]])) for f, _ in EVERY.values()),
    *(bad("x", "NoneType", lambda f=f: f(None)) for f, _ in EVERY.values()),
    *(bad("x", "int64", lambda f=f: f(whole(2, 3))) for f in SIMPLE.values()),
    *(bad("x", "list", lambda f=f: f([1.0, 2.0])) for f in [*SIMPLE.values(), nn.ReLU()]),
    # ---- windows
    bad("x", "(2, 2)", lambda: nn.Conv2d(4, 4, 3)(x(1, 4, 2, 2))),
    bad("x", "(2,)", lambda: nn.Conv1d(4, 4, 3, dilation=2, padding=1)(x(1, 4, 2))),
    bad("x", "(2, 2)", lambda: nn.MaxPool2d(3)(x(1, 4, 2, 2))),
    bad("x", "(2, 2, 2)", lambda: nn.AvgPool3d(3)(x(1, 4, 2, 2, 2))),
    bad("padding", "2", lambda: nn.MaxPool2d(3, padding=2)(x(1, 4, 9, 9))),
    bad("padding", "2", lambda: nn.AvgPool1d(2, padding=2)(x(1, 4, 9))),
    bad("x", "(0, 3)", lambda: nn.AdaptiveAvgPool2d(2)(x(1, 4, 0, 3))),
    # ---- normalisations
    bad("x", "(1, 4)", lambda: nn.BatchNorm1d(4)(x(1, 4))),
    bad("x", "(2, 4, 1, 1)", lambda: nn.InstanceNorm2d(4)(x(2, 4, 1, 1))),
    bad("activation", "'gelu'", lambda: nn.LayerNorm(4)(x(2, 4), activation="gelu")),
    bad("activation", "'gelu'", lambda: nn.Linear(4, 4)(x(2, 4), activation="gelu")),
    # ---- axes
    bad("axis", "2", lambda: nn.Softmax(dim=2)(x(2, 3))),
    bad("axis", "-3", lambda: nn.LogSoftmax(dim=-3)(x(2, 3))),
    bad("x", "(2,)", lambda: nn.Flatten(1, 2)(x(2))),
    bad("x", "list", lambda: nn.Flatten()([1.0])),
    # ---- embedding
    bad("indices", "float32", lambda: nn.Embedding(5, 3)(x(2, 2))),
    bad("indices", "5", lambda: nn.Embedding(5, 3)(whole(2) * 5)),
    bad("indices", "-1", lambda: nn.Embedding(5, 3)(-whole(2))),
    bad("indices", "bool", lambda: nn.Embedding(5, 3)(mask(2))),
    # ---- recurrent: lengths and states
    *(bad("lengths", came, lambda f=f, n=lengths: f(SEQUENCE, lengths=n))
      for f in (LSTM, GRU, RNN, nn.MinGRU(4, 3))
      for lengths, came in (([5, 6], "6"), ([5, -1], "-1"), ([5], "(1,)"), (np.array([5.0, 3.0]), "float64"))),
    bad("lengths", "(2, 1)", lambda: LSTM(SEQUENCE, lengths=np.ones((2, 1), int))),
    bad("lengths", "str", lambda: LSTM(SEQUENCE, lengths="53")),
    bad("h0", "(1, 3, 3)", lambda: GRU(SEQUENCE, x(1, 3, 3))),
    bad("h0", "(2, 3)", lambda: RNN(SEQUENCE, x(2, 3))),
    bad("h0", "list", lambda: RNN(SEQUENCE, [1.0])),
    bad("c0", "(2, 2, 3)", lambda: LSTM(SEQUENCE, (x(1, 2, 3), x(2, 2, 3)))),
    bad("state", "ndarray", lambda: LSTM(SEQUENCE, x(1, 2, 3))),
    bad("state", "3", lambda: LSTM(SEQUENCE, (x(1, 2, 3), x(1, 2, 3), x(1, 2, 3)))),
    bad("h0", "int64", lambda: GRU(SEQUENCE, whole(1, 2, 3))),
    # ---- states of a causal convolution
    bad("state", "(2, 4, 3)", lambda: nn.CausalConv1d(4, 3)(x(2, 4, 9), x(2, 4, 3))),
    bad("state", "(4, 2)", lambda: nn.CausalConv1d(4, 3)(x(2, 4, 9), x(4, 2))),
    bad("state", "list", lambda: nn.CausalConv1d(4, 3)(x(2, 4, 9), [1.0])),
    # ---- attention
    bad("query", "(5, 2, 5)", lambda: MHA(x(5, 2, 5), K, K)),
    bad("query", "(4,)", lambda: MHA(x(4), K, K)),
    bad("query", "(5, 1, 2, 4)", lambda: MHA(x(5, 1, 2, 4), K, K)),
    bad("query", "int64", lambda: MHA(whole(5, 2, 4), K, K)),
    bad("query", "list", lambda: MHA([1.0], K, K)),
    bad("key", "(6, 4)", lambda: MHA(Q, x(6, 4), x(6, 4))),
    bad("key", "(6, 3, 4)", lambda: MHA(Q, x(6, 3, 4), x(6, 3, 4))),
    bad("key", "(6, 2, 4)", lambda: MIXED(Q, K, x(6, 2, 6))),
    bad("key", "int64", lambda: MHA(Q, whole(6, 2, 4), K)),
    bad("value", "(6, 2, 4)", lambda: MIXED(Q, x(6, 2, 3), K)),
    bad("value", "(5, 2, 4)", lambda: MHA(Q, K, Q)),
    bad("value", "NoneType", lambda: MHA(Q, K, None)),
    bad("key", "(3, 6, 4)", lambda: FIRST(x(2, 5, 4), x(3, 6, 4), x(3, 6, 4))),
    bad("attn_mask", "(5, 5)", lambda: MHA(Q, K, K, attn_mask=mask(5, 5))),
    bad("attn_mask", "(2, 5, 6)", lambda: MHA(Q, K, K, attn_mask=mask(2, 5, 6))),
    bad("attn_mask", "int64", lambda: MHA(Q, K, K, attn_mask=whole(5, 6))),
    bad("attn_mask", "list", lambda: MHA(Q, K, K, attn_mask=[[True]])),
    bad("key_padding_mask", "(6, 2)", lambda: MHA(Q, K, K, mask(6, 2))),
    bad("key_padding_mask", "(2, 5)", lambda: MHA(Q, K, K, mask(2, 5))),
    bad("key_padding_mask", "int64", lambda: MHA(Q, K, K, whole(2, 6))),
    bad("src", "(5, 2, 3)", lambda: ENCODER(x(5, 2, 3))),
    bad("src", "(4,)", lambda: ENCODER(x(4))),
    bad("src", "list", lambda: ENCODER([1.0])),
    bad("attn_mask", "(4, 4)", lambda: ENCODER(Q, mask(4, 4))),
    bad("key_padding_mask", "(5, 2)", lambda: ENCODER(Q, src_key_padding_mask=mask(5, 2))),
    bad("tgt", "(5, 2, 3)", lambda: DECODER(x(5, 2, 3), K)),
    bad("memory", "(6, 2, 5)", lambda: DECODER(Q, x(6, 2, 5))),
    bad("memory", "(6, 3, 4)", lambda: DECODER(Q, x(6, 3, 4))),
    bad("attn_mask", "(5, 5)", lambda: DECODER(Q, K, memory_mask=mask(5, 5))),
    bad("x", "(6, 2, 4)", lambda: nn.PositionalEncoding(4, max_len=5)(K)),
]  # fmt: skip
