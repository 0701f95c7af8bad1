"""Functions of xpnn.ops, and random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnn import ops, random

from . import bad


def x(*shape: int) -> Any:
    return np.ones(shape, np.float32)


KEY = random.Key(1)
CELL = (x(12, 4), x(12, 3))  # weights of an lstm, 4 -> 3
IMAGE, WEIGHT = x(2, 4, 9, 9), x(6, 4, 3, 3)
PAIRS = ((0, 0), (0, 0))
WORDS = ("relu", "tanh", "sigmoid", "silu", "gelu", "elu", "leaky_relu", "softplus", "softmax", "log_softmax")

CASES = [
    *(bad("x", "list", lambda f=name: getattr(ops, f)([1.0])) for name in WORDS),
    *(bad("x", "NoneType", lambda f=name: getattr(ops, f)(None)) for name in WORDS),
    *(bad("x", "int64", lambda f=name: getattr(ops, f)(np.arange(3))) for name in WORDS if name != "relu"),
    bad("axis", "1", lambda: ops.softmax(x(3), axis=1)),
    bad("axis", "float", lambda: ops.softmax(x(3), axis=0.5)),
    bad("x", "(2, 5)", lambda: ops.linear(x(2, 5), x(3, 4))),
    bad("weight", "(4,)", lambda: ops.linear(x(2, 4), x(4))),
    bad("bias", "(4,)", lambda: ops.linear(x(2, 4), x(3, 4), x(4))),
    bad("weight", "list", lambda: ops.linear(x(2, 4), [[1.0]])),
    bad("x", "int64", lambda: ops.linear(np.ones((2, 4), int), x(3, 4))),
    bad("activation", "'elu'", lambda: ops.linear(x(2, 4), x(3, 4), activation="elu")),
    bad("x", "(2, 3, 9, 9)", lambda: ops.conv2d(x(2, 3, 9, 9), WEIGHT)),
    bad("x", "(9, 9)", lambda: ops.conv2d(x(9, 9), WEIGHT)),
    bad("x", "int64", lambda: ops.conv2d(np.ones((2, 4, 9, 9), int), WEIGHT)),
    bad("x", "(2, 2)", lambda: ops.conv2d(x(1, 4, 2, 2), WEIGHT)),
    bad("weight", "(6, 4, 3)", lambda: ops.conv2d(IMAGE, x(6, 4, 3))),
    bad("weight", "list", lambda: ops.conv2d(IMAGE, [1.0])),
    bad("bias", "(5,)", lambda: ops.conv2d(IMAGE, WEIGHT, x(5))),
    bad("stride", "-1", lambda: ops.conv2d(IMAGE, WEIGHT, stride=-1)),
    bad("stride", "'2'", lambda: ops.conv2d(IMAGE, WEIGHT, stride="2")),
    bad("padding", "(-1, 0)", lambda: ops.conv2d(IMAGE, WEIGHT, padding=(-1, 0))),
    bad("dilation", "0", lambda: ops.conv2d(IMAGE, WEIGHT, dilation=0)),
    bad("groups", "4", lambda: ops.conv2d(IMAGE, x(6, 1, 3, 3), groups=4)),
    bad("groups", "str", lambda: ops.conv2d(IMAGE, WEIGHT, groups="1")),
    bad("data_format", "'NHWC'", lambda: ops.conv2d(IMAGE, WEIGHT, data_format="NHWC")),
    bad("kernel_size", "-2", lambda: ops.max_pool2d(IMAGE, -2)),
    bad("padding", "2", lambda: ops.avg_pool2d(IMAGE, 2, padding=2)),
    bad("divisor_override", "0", lambda: ops.avg_pool2d(IMAGE, 2, divisor_override=0)),
    bad("divisor_override", "str", lambda: ops.avg_pool2d(IMAGE, 2, divisor_override="2")),
    bad("output_size", "0", lambda: ops.adaptive_avg_pool2d(IMAGE, 0)),
    bad("x", "(9, 9)", lambda: ops.adaptive_max_pool2d(x(9, 9), 3)),
    bad("p", "1.5", lambda: ops.dropout(x(3), 1.5, key=KEY)),
    bad("p", "str", lambda: ops.dropout(x(3), "0.5", key=KEY)),
    bad("key", "int", lambda: ops.dropout(x(3), 0.5, key=3)),
    bad("x", "int64", lambda: ops.dropout(np.ones(3, int), 0.5, key=KEY)),
    bad("x", "list", lambda: ops.dropout([1.0], 0.5, key=KEY)),
    bad("weight", "(3,)", lambda: ops.embedding(np.zeros(2, int), x(3))),
    bad("indices", "list", lambda: ops.embedding([0, 1], x(3, 2))),
    bad("padding_idx", "3", lambda: ops.embedding(np.zeros(2, int), x(3, 2), padding_idx=3)),
    bad("x", "(2, 4)", lambda: ops.layer_norm(x(2, 4), normalized_shape=(3,))),
    bad("eps", "-1", lambda: ops.layer_norm(x(2, 4), normalized_shape=(4,), eps=-1)),
    bad("weight", "(3,)", lambda: ops.rms_norm(x(2, 4), x(3), normalized_shape=(4,))),
    bad("num_groups", "3", lambda: ops.group_norm(x(2, 4), num_groups=3)),
    bad("num_groups", "float", lambda: ops.group_norm(x(2, 4), num_groups=2.0)),
    bad("x", "(4,)", lambda: ops.batch_norm(x(4))),
    bad("mean", "(3,)", lambda: ops.batch_norm_eval(x(2, 4), x(3), x(4))),
    bad("x", "(2, 4)", lambda: ops.lstm(x(2, 4), None, None, *CELL)),
    bad("w_ih", "(12, 4)", lambda: ops.lstm(x(5, 2, 3), None, None, *CELL)),
    bad("w_hh", "(12, 4)", lambda: ops.lstm(x(5, 2, 4), None, None, x(12, 4), x(12, 4))),
    bad("c0", "(3, 3)", lambda: ops.lstm(x(5, 2, 4), None, x(3, 3), *CELL)),
    bad("lengths", "(3,)", lambda: ops.lstm(x(5, 2, 4), None, None, *CELL, None, None, np.array([1, 2, 3]))),
    bad("lengths", "6", lambda: ops.lstm(x(5, 2, 4), None, None, *CELL, None, None, np.array([1, 6]))),
    bad("nonlinearity", "'elu'", lambda: ops.rnn(x(5, 2, 4), None, x(3, 4), x(3, 3), nonlinearity="elu")),
    bad("b", "(5, 3)", lambda: ops.linear_scan(x(5, 2), x(5, 3))),
    bad("x", "(4, 9)", lambda: ops.causal_conv1d(x(4, 9), x(4, 1, 3))),
    bad("x", "list", lambda: ops.causal_conv1d([1.0], x(4, 1, 3))),
    bad("x", "int64", lambda: ops.causal_conv1d(np.ones((2, 4, 9), int), x(4, 1, 3))),
    bad("weight", "(4, 3)", lambda: ops.causal_conv1d(x(2, 4, 9), x(4, 3))),
    bad("weight", "list", lambda: ops.causal_conv1d(x(2, 4, 9), [1.0])),
    bad("bias", "(5,)", lambda: ops.causal_conv1d(x(2, 4, 9), x(4, 1, 3), x(5))),
    bad("state", "(2, 4, 3)", lambda: ops.causal_conv1d(x(2, 4, 9), x(4, 1, 3), None, x(2, 4, 3))),
    bad("state", "list", lambda: ops.causal_conv1d(x(2, 4, 9), x(4, 1, 3), None, [1.0])),
    bad("activation", "'gelu'", lambda: ops.causal_conv1d(x(2, 4, 9), x(4, 1, 3), activation="gelu")),
    bad("data_format", "'NCL'", lambda: ops.causal_conv1d(x(2, 4, 9), x(4, 1, 3), data_format="NCL")),
    bad("target", "4", lambda: ops.softmax_cross_entropy(x(2, 4), np.array([0, 4]))),
    bad("target", "(3,)", lambda: ops.softmax_cross_entropy(x(2, 4), np.array([0, 1, 2]))),
    bad("reduction", "'avg'", lambda: ops.softmax_cross_entropy(x(2, 4), np.array([0, 1]), reduction="avg")),
    bad("q", "(4,)", lambda: ops.attention(x(4), x(5, 4), x(5, 4))),
    bad("k", "(5, 3)", lambda: ops.attention(x(3, 4), x(5, 3), x(5, 4))),
    bad("v", "(6, 4)", lambda: ops.attention(x(3, 4), x(5, 4), x(6, 4))),
    bad("v", "NoneType", lambda: ops.attention(x(3, 4), x(5, 4), None)),
    bad("q", "int64", lambda: ops.attention(np.ones((3, 4), int), x(5, 4), x(5, 4))),
    bad("attn_mask", "(3, 4)", lambda: ops.attention(x(3, 4), x(5, 4), x(5, 4), np.ones((3, 4), bool))),
    bad("dropout", "-0.5", lambda: ops.attention(x(3, 4), x(5, 4), x(5, 4), dropout=-0.5)),
    bad("key", "NoneType", lambda: ops.attention(x(3, 4), x(5, 4), x(5, 4), dropout=0.5)),
    bad("scale", "str", lambda: ops.attention(x(3, 4), x(5, 4), x(5, 4), scale="1")),
    # ---- of one, two and three axes
    *(
        bad("x", came, lambda f=f"{name}{axes}d", a=args, w=wrong: getattr(ops, f)(w, *a))
        for axes in (1, 2, 3)
        for name, args in {
            "conv": (x(6, 4, *(3,) * axes),),
            "max_pool": (2,),
            "avg_pool": (2,),
            "adaptive_avg_pool": (2,),
            "adaptive_max_pool": (2,),
        }.items()
        for wrong, came in (([1.0], "list"), (x(4), "(4,)"), (np.ones((1, 4, *(5,) * axes), int), "int64"))
    ),
    *(
        bad("x", "list", lambda f=f, a=args, o=options: getattr(ops, f)([1.0], *a, **o))
        for f, args, options in (
            ("conv", (WEIGHT,), {"stride": (1, 1), "padding": PAIRS, "dilation": (1, 1)}),
            ("max_pool", (), {"kernel": (2, 2), "stride": (1, 1), "padding": PAIRS, "dilation": (1, 1)}),
            ("avg_pool", (), {"kernel": (2, 2), "stride": (1, 1), "padding": PAIRS, "counted": PAIRS}),
            ("adaptive_avg_pool", (), {"output": (2, 2)}),
            ("adaptive_max_pool", (), {"output": (2, 2)}),
            ("layer_norm", (), {"normalized_shape": (4,)}),
            ("rms_norm", (), {"normalized_shape": (4,)}),
            ("group_norm", (), {"num_groups": 2}),
            ("batch_norm", (), {}),
            ("batch_norm_eval", (x(4), x(4)), {}),
            ("lstm", (None, None, *CELL), {}),
            ("gru", (None, x(9, 4), x(9, 3)), {}),
            ("rnn", (None, x(3, 4), x(3, 3)), {}),
            ("linear", (x(3, 4),), {}),
        )
    ),
    bad("a", "list", lambda: ops.linear_scan([1.0], x(5, 3))),
    bad("logits", "list", lambda: ops.softmax_cross_entropy([1.0], np.array([0]))),
    bad("target", "list", lambda: ops.softmax_cross_entropy(x(1, 4), [0])),
    bad("q", "list", lambda: ops.attention([1.0], x(5, 4), x(5, 4))),
    bad("w_ih", "(8, 4)", lambda: ops.gru(x(5, 2, 4), None, x(8, 4), x(9, 3))),
    bad("h0", "(2, 4)", lambda: ops.gru(x(5, 2, 4), x(2, 4), x(9, 4), x(9, 3))),
    # ---- random numbers
    bad("keep_prob", "1.5", lambda: random.dropout_mask(KEY, (2,), 1.5)),
    bad("shape", "-1", lambda: random.uniform(KEY, (2, -1))),
]
