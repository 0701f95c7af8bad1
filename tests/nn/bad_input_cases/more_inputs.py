"""Inputs of the layers that have no parameters, of cells, and of those of several inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnn import metrics, nn

from . import bad


def x(*shape: int) -> Any:
    return np.ones(shape, np.float32)


def whole(*shape: int) -> Any:
    return np.ones(shape, np.int64)


# of any shape; those that take integers, too
ELEMENTS = (
    "CELU SELU Hardsigmoid Hardswish Hardshrink Softshrink Mish LogSigmoid Softsign Tanhshrink Softmin GLU PReLU RReLU"
).split()
OF_INTEGERS = {"Hardtanh": (), "ReLU6": (), "Threshold": (0.0, 1.0)}
DROPOUTS = {"Dropout": (2, 3), "Dropout1d": (2, 3, 4), "Dropout2d": (2, 3, 4, 4), "Dropout3d": (2, 3, 4, 4, 4),
            "AlphaDropout": (2, 3), "FeatureAlphaDropout": (2, 3, 4)}  # fmt: skip
IMAGES: dict[str, tuple[Any, bool]] = {  # whether integers are refused
    "PixelShuffle": (nn.PixelShuffle(2), False),
    "PixelUnshuffle": (nn.PixelUnshuffle(2), False),
    "ChannelShuffle": (nn.ChannelShuffle(2), False),
    "LocalResponseNorm": (nn.LocalResponseNorm(3), True),
    "Unfold": (nn.Unfold(2), True),
    "Fold": (nn.Fold(4, 2), True),
    "Upsample": (nn.Upsample(3), True),
    "UpsamplingBilinear2d": (nn.UpsamplingBilinear2d(3), True),
    "LPPool1d": (nn.LPPool1d(2, 2), True),
    "LPPool2d": (nn.LPPool2d(2, 2), True),
    "Softmax2d": (nn.Softmax2d(), True),
    "Unflatten": (nn.Unflatten(1, (2, 2)), False),
}
PAIRS = {
    "CosineSimilarity": nn.CosineSimilarity(),
    "PairwiseDistance": nn.PairwiseDistance(),
    "Bilinear": nn.Bilinear(4, 4, 2),
}
CELLS = {kind: getattr(nn, kind)(4, 3) for kind in ("LSTMCell", "GRUCell", "RNNCell")}
UNPOOL, PLACES = nn.MaxUnpool2d(2), np.arange(4).reshape(1, 1, 2, 2) * 2
TRANSPOSED = {n: getattr(nn, f"ConvTranspose{n}d")(4, 6, 3) for n in (1, 2, 3)}
ENCODER, DECODER = nn.TransformerEncoderLayer(4, 2, 8), nn.TransformerDecoderLayer(4, 2, 8)
BOTH, Q, K = nn.Transformer(4, 2, 1, 1, 8), x(5, 2, 4), x(6, 2, 4)
EMPTY_LENGTHS = np.array([1.0, 2.0])


def called(layer: Any, *inputs: Any, **options: Any) -> Any:
    return lambda: layer(*inputs, **options)


CASES = [
    # ---- element by element
    *(bad("x", "list", called(getattr(nn, kind)(), [1.0, 2.0])) for kind in ELEMENTS),
    *(bad("x", "NoneType", called(getattr(nn, kind)(), None)) for kind in ELEMENTS),
    *(bad("x", "int64", called(getattr(nn, kind)(), whole(2, 4))) for kind in ELEMENTS),
    *(bad("x", "bool", called(getattr(nn, kind)(), whole(2, 4) > 0)) for kind in ELEMENTS),
    *(bad("x", "list", called(getattr(nn, kind)(*args), [1.0])) for kind, args in OF_INTEGERS.items()),
    bad("x", "(2, 3)", called(nn.GLU(), x(2, 3))),
    bad("x", "(2, 4)", called(nn.GLU(2), x(2, 4))),
    bad("weight", "(3,)", called(nn.PReLU(3), x(2, 4))),
    bad("alpha", "0", called(nn.CELU(0), x(2))),
    bad("lambd", "-1", called(nn.Softshrink(-1), x(2))),
    bad("min_val", "2", called(nn.Hardtanh(2, 1), x(2))),
    bad("lower", "0.5", called(nn.RReLU(0.5, 0.25), x(2))),
    # ---- dropouts, in both modes
    *(
        bad("x", came, called(getattr(nn, kind)(0.5).train(training), value))
        for kind, shape in DROPOUTS.items()
        for training in (True, False)
        for value, came in (([1.0], "list"), (whole(*shape), "int64"), (None, "NoneType"))
    ),
    *(bad("x", "(3,)", called(getattr(nn, kind)(), x(3))) for kind, shape in DROPOUTS.items() if len(shape) > 2),
    # ---- images and windows
    *(bad("x", "list", called(layer, [1.0])) for layer, _ in IMAGES.values()),
    *(bad("x", "NoneType", called(layer, None)) for layer, _ in IMAGES.values()),
    *(bad("x", "(3,)", called(layer, x(3))) for layer, _ in IMAGES.values()),
    *(bad("x", "int64", called(layer, whole(*((1, 4, 9) if kind in ("Fold", "LPPool1d") else (1, 4, 4, 4)))))
      for kind, (layer, floats) in IMAGES.items() if floats),
    bad("x", "(1, 3, 4, 4)", called(nn.PixelShuffle(2), x(1, 3, 4, 4))),
    bad("x", "(1, 3, 3, 4)", called(nn.PixelUnshuffle(2), x(1, 3, 3, 4))),
    bad("x", "(1, 3, 4)", called(nn.ChannelShuffle(2), x(1, 3, 4))),
    bad("x", "(2, 3)", called(nn.LocalResponseNorm(2), x(2, 3))),
    bad("x", "(1, 1)", called(nn.Unfold(2), x(1, 4, 1, 1))),
    bad("x", "(1, 3, 9)", called(nn.Fold(4, 2), x(1, 3, 9))),
    bad("x", "(1, 4, 8)", called(nn.Fold(4, 2), x(1, 4, 8))),
    bad("x", "(1, 2, 4)", called(nn.UpsamplingBilinear2d(3), x(1, 2, 4))),
    bad("x", "(1, 2, 0, 4)", called(nn.Upsample(3), x(1, 2, 0, 4))),
    bad("size", "(3, 3)", called(nn.Upsample((3, 3)), x(1, 2, 4))),
    bad("scale_factor", "(0, 0)", called(nn.Upsample(scale_factor=0.1), x(1, 2, 4, 4))),
    bad("x", "(2, 5)", called(nn.Unflatten(1, (2, 2)), x(2, 5))),
    bad("x", "(2, 5)", called(nn.Unflatten(1, (2, -1)), x(2, 5))),
    bad("x", "(2,)", called(nn.Unflatten(1, (2, 2)), x(2))),
    *(
        bad("x", str((0, *(4,) * (n - 1))), called(getattr(nn, f"{kind}Pool{n}d")(2, padding=1), x(1, 2, 0, *(4,) * (n - 1))))
        for kind in ("Max", "Avg")
        for n in (1, 2, 3)
    ),
    bad("divisor_override", "0", called(nn.AvgPool2d(2, divisor_override=0), x(1, 1, 4, 4))),
    bad("norm_type", "-1", called(nn.LPPool1d(-1, 2), x(1, 1, 4))),
    # ---- transposed convolutions
    *(bad("x", (2, 5, *(6,) * n), called(layer, x(2, 5, *(6,) * n))) for n, layer in TRANSPOSED.items()),
    *(bad("x", "(4,)", called(layer, x(4))) for layer in TRANSPOSED.values()),
    *(bad("x", "int64", called(layer, whole(2, 4, *(6,) * n))) for n, layer in TRANSPOSED.items()),
    *(bad("x", "list", called(layer, [1.0])) for layer in TRANSPOSED.values()),
    bad("output_size", "(99, 8)", called(TRANSPOSED[2], x(1, 4, 6, 6), output_size=(99, 8))),
    bad("output_size", "(8,)", called(TRANSPOSED[2], x(1, 4, 6, 6), output_size=(8,))),
    bad("x", "(1,)", called(nn.ConvTranspose1d(4, 4, 1, padding=1), x(1, 4, 1))),
    # ---- back from pools
    bad("x", "list", called(UNPOOL, [1.0], PLACES)),
    bad("x", "int64", called(UNPOOL, whole(1, 1, 2, 2), PLACES)),
    bad("indices", "float32", called(UNPOOL, x(1, 1, 2, 2), x(1, 1, 2, 2))),
    bad("indices", "NoneType", called(UNPOOL, x(1, 1, 2, 2), None)),
    bad("indices", "(1, 1, 2, 2)", called(UNPOOL, x(1, 1, 2, 3), PLACES)),
    bad("indices", "16", called(UNPOOL, x(1, 1, 2, 2), PLACES + 10)),
    bad("indices", "-1", called(UNPOOL, x(1, 1, 2, 2), PLACES - 1)),
    bad("output_size", "(9, 9)", called(UNPOOL, x(1, 1, 2, 2), PLACES, (9, 9))),
    # ---- two inputs
    *(bad("x1", "list", called(layer, [1.0], x(2, 4))) for layer in PAIRS.values()),
    *(bad("x2", "NoneType", called(layer, x(2, 4), None)) for layer in PAIRS.values()),
    *(bad("x1", "int64", called(layer, whole(2, 4), x(2, 4))) for layer in PAIRS.values()),
    *(bad("x2", "int64", called(layer, x(2, 4), whole(2, 4))) for layer in PAIRS.values()),
    *(bad("x2", "(3, 4)", called(layer, x(2, 4), x(3, 4))) for layer in PAIRS.values()),
    bad("x2", "(2, 5)", called(nn.Bilinear(4, 4, 2), x(2, 4), x(2, 5))),
    bad("axis", "3", called(nn.CosineSimilarity(3), x(2, 4), x(2, 4))),
    bad("p", "0", called(nn.PairwiseDistance(0), x(2, 4), x(2, 4))),
    # ---- cells
    *(bad("x", "(2, 5)", called(cell, x(2, 5))) for cell in CELLS.values()),
    *(bad("x", "(2, 2, 4)", called(cell, x(2, 2, 4))) for cell in CELLS.values()),
    *(bad("x", "list", called(cell, [1.0])) for cell in CELLS.values()),
    *(bad("x", "int64", called(cell, whole(2, 4))) for cell in CELLS.values()),
    *(bad("state", "(2, 4)", called(CELLS[kind], x(2, 4), x(2, 4))) for kind in ("GRUCell", "RNNCell")),
    bad("state", "(3, 3)", called(CELLS["LSTMCell"], x(2, 4), (x(3, 3), x(2, 3)))),
    bad("state", "ndarray", called(CELLS["LSTMCell"], x(2, 4), x(2, 3))),
    bad("state", "list", called(CELLS["GRUCell"], x(2, 4), [1.0])),
    # ---- states and resets of sequences without a batch
    bad("h0", "()", called(nn.GRU(4, 3), x(5, 4), np.float32(1) * np.ones(()))),
    bad("h0", "str", called(nn.RNN(4, 3), x(5, 4), "zeros")),
    bad("h0", "(1, 1, 3)", called(nn.GRU(4, 3), x(5, 4), x(1, 1, 3))),
    bad("c0", "int", called(nn.LSTM(4, 3), x(5, 4), (None, 3))),
    bad("reset", "(5,)", called(nn.LSTM(4, 3), x(5, 2, 4), reset=whole(5) > 0)),
    bad("reset", "int64", called(nn.GRU(4, 3), x(5, 2, 4), reset=whole(5, 2))),
    bad("lengths", "float64", called(nn.LSTM(4, 3, bidirectional=True), x(5, 2, 4), lengths=EMPTY_LENGTHS)),
    # ---- transformers
    bad("src", "int64", called(ENCODER, whole(5, 2, 4))),
    bad("src", "NoneType", called(ENCODER, None)),
    bad("tgt", "int64", called(DECODER, whole(5, 2, 4), K)),
    bad("memory", "int64", called(DECODER, Q, whole(6, 2, 4))),
    bad("memory", "list", called(DECODER, Q, [1.0])),
    bad("memory", "(6, 4)", called(DECODER, Q, x(6, 4))),
    bad("src", "(6, 2, 5)", called(BOTH, x(6, 2, 5), Q)),
    bad("tgt", "(5, 2, 3)", called(BOTH, K, x(5, 2, 3))),
    bad("tgt", "NoneType", called(BOTH, K, None)),
    bad("attn_mask", "(6, 6)", called(BOTH, K, Q, tgt_mask=whole(6, 6) > 0)),
    bad("key_padding_mask", "(2, 5)", called(BOTH, K, Q, src_key_padding_mask=whole(2, 5) > 0)),
    # ---- options of calls
    *(bad("activation", came, called(layer, x(2, 4), activation=value))
      for layer in (nn.Linear(4, 4), nn.BatchNorm1d(4), nn.LayerNorm(4), nn.GroupNorm(2, 4))
      for value, came in ((["relu"], "['relu']"), (np.ones(2), "array"), (3, "3"))),
    *(bad(name, came, called(nn.MultiheadAttention(4, 2), Q, K, K, **{name: value}))
      for name in ("need_weights", "average_attn_weights", "is_causal")
      for value, came in ((np.ones(2), "ndarray"), ("no", "str"))),
    *(bad("output_size", came, called(TRANSPOSED[1], x(1, 4, 6), output_size=value))
      for value, came in ((3, "int"), ("8", "str"), ((8.0,), "float"), (np.ones(1), "ndarray"))),
    bad("output_size", "int", called(UNPOOL, x(1, 1, 2, 2), PLACES, 4)),
    *(bad("reset", "str", called(getattr(nn, kind)(4, 3), x(5, 2, 4), reset="no")) for kind in ("LSTM", "GRU", "RNN", "MinGRU")),
    bad("mode", "str", called(nn.Linear(4, 3).train, "eval")),
    bad("mode", "ndarray", called(nn.Sequential(nn.ReLU()).train, np.ones(2))),
    # ---- metrics
    bad("prediction", "list", called(metrics.accuracy, [1.0], [1])),
    bad("target", "(3,)", called(metrics.accuracy, x(2, 4), whole(3))),
    bad("target", "(2, 1)", called(metrics.accuracy, x(2, 4), whole(2, 1))),
    bad("target", "(2, 1)", called(metrics.mean_absolute_error, x(2), x(2, 1))),
    bad("sz", "float", lambda: nn.Transformer.generate_square_subsequent_mask(2.5)),  # type: ignore[arg-type]
]  # fmt: skip
