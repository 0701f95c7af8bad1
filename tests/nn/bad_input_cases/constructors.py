"""Layers that cannot be made: sizes, probabilities, groups, words."""

from __future__ import annotations

import numpy as np

from xpnn import nn

from . import bad

SIZES = {
    "Linear": ("in_features", "out_features"),
    "Embedding": ("num_embeddings", "embedding_dim"),
    "Conv1d": ("in_channels", "out_channels", "kernel_size"),
    "Conv2d": ("in_channels", "out_channels", "kernel_size"),
    "Conv3d": ("in_channels", "out_channels", "kernel_size"),
    "CausalConv1d": ("channels", "kernel_size"),
    "LSTM": ("input_size", "hidden_size", "num_layers"),
    "GRU": ("input_size", "hidden_size", "num_layers"),
    "RNN": ("input_size", "hidden_size", "num_layers"),
    "MinGRU": ("input_size", "hidden_size", "num_layers"),
    "MinLSTM": ("input_size", "hidden_size", "num_layers"),
    "LayerNorm": ("normalized_shape",),
    "RMSNorm": ("normalized_shape",),
    "GroupNorm": ("num_groups", "num_channels"),
    "BatchNorm1d": ("num_features",),
    "BatchNorm2d": ("num_features",),
    "BatchNorm3d": ("num_features",),
    "InstanceNorm1d": ("num_features",),
    "InstanceNorm2d": ("num_features",),
    "InstanceNorm3d": ("num_features",),
    "MaxPool1d": ("kernel_size",),
    "MaxPool2d": ("kernel_size",),
    "AvgPool2d": ("kernel_size",),
    "AvgPool3d": ("kernel_size",),
    "AdaptiveAvgPool2d": ("output_size",),
    "AdaptiveMaxPool1d": ("output_size",),
    "MultiheadAttention": ("embed_dim", "num_heads"),
    "TransformerEncoderLayer": ("d_model", "nhead", "dim_feedforward"),
    "TransformerDecoderLayer": ("d_model", "nhead", "dim_feedforward"),
    "PositionalEncoding": ("d_model",),
}
OPTIONAL = {
    "MultiheadAttention": ((4, 2), ("kdim", "vdim")),
    "PositionalEncoding": ((4,), ("max_len",)),
    "Transformer": ((), ("num_encoder_layers", "num_decoder_layers")),
    "Conv2d": ((4, 4, 3), ("stride", "dilation", "groups")),
    "MaxPool2d": ((2,), ("stride", "dilation")),
    "AvgPool1d": ((2,), ("stride",)),
}
KINDS = ("-1", "0", "1.5", "'3'")
VALUES = {"-1": -1, "0": 0, "1.5": 1.5, "'3'": "3"}
WORDS = {"1.5": "float", "'3'": "str"}


def _sized() -> list[object]:
    """Every size of every layer by a negative number, zero, a float and a string; the message may name value or type."""
    found = []
    for kind, names in SIZES.items():
        for i, name in enumerate(names):
            for text in KINDS:
                args = [4] * len(names)
                args[i] = VALUES[text]  # type: ignore[call-overload]
                came = text if "kernel" in name or "output" in name else WORDS.get(text, text)
                found.append(bad(name, came, lambda kind=kind, args=args: getattr(nn, kind)(*args)))
    for kind, (args, names) in OPTIONAL.items():
        for name in names:
            for text in KINDS:
                came = text if name in ("stride", "dilation") else WORDS.get(text, text)
                options = {name: VALUES[text]}
                found.append(
                    bad(name, came, lambda kind=kind, args=args, o=options: getattr(nn, kind)(*args, **o))  # type: ignore[misc]
                )
    return found


PROBABILITIES = [
    (name, kind, args)
    for name, kinds in {
        "p": {"Dropout": ()},
        "dropout": {
            "LSTM": (4, 4, 2),
            "GRU": (4, 4, 2),
            "RNN": (4, 4, 2),
            "MultiheadAttention": (4, 2),
            "TransformerEncoderLayer": (4, 2),
            "TransformerDecoderLayer": (4, 2),
            "PositionalEncoding": (4,),
        },
    }.items()
    for kind, args in kinds.items()
]
EPS = {
    "LayerNorm": (4,), "RMSNorm": (4,), "GroupNorm": (2, 4), "BatchNorm1d": (4,), "BatchNorm2d": (4,),
    "InstanceNorm2d": (4,),
}  # fmt: skip

CASES = [
    *_sized(),
    *(
        bad(name, came, lambda n=name, k=kind, a=args, p=p: getattr(nn, k)(*a, **{n: p}))
        for name, kind, args in PROBABILITIES
        for p, came in ((-0.1, "-0.1"), (1.5, "1.5"), ("0.5", "str"), (float("nan"), "nan"))
    ),
    *(
        bad("eps", came, lambda k=kind, a=args, e=eps: getattr(nn, k)(*a, eps=e))
        for kind, args in EPS.items()
        for eps, came in ((-1e-5, "-1e-05"), ("1e-5", "str"))
    ),
    *(
        bad("momentum", came, lambda k=kind, m=m: getattr(nn, k)(4, momentum=m))
        for kind in ("BatchNorm1d", "InstanceNorm1d")
        for m, came in ((1.5, "1.5"), (-0.1, "-0.1"), ("0.1", "str"))
    ),
    # ---- what has to divide
    bad("groups", 3, lambda: nn.Conv2d(4, 6, 3, groups=3)),
    bad("groups", 4, lambda: nn.Conv1d(4, 6, 3, groups=4)),
    bad("groups", -1, lambda: nn.Conv3d(4, 6, 3, groups=-1)),
    bad("num_groups", 3, lambda: nn.GroupNorm(3, 4)),
    bad("num_heads", 4, lambda: nn.MultiheadAttention(6, 4)),
    bad("nhead", 4, lambda: nn.TransformerEncoderLayer(6, 4)),
    bad("nhead", 4, lambda: nn.TransformerDecoderLayer(6, 4)),
    bad("nhead", 5, lambda: nn.Transformer(8, 5)),
    # ---- words
    bad("padding", "'valid '", lambda: nn.Conv2d(4, 4, 3, padding="valid ")),
    bad("padding", "stride (2,)", lambda: nn.Conv1d(4, 4, 3, padding="same", stride=2)),
    bad("padding", -1, lambda: nn.Conv2d(4, 4, 3, padding=-1)),
    bad("padding", 0.5, lambda: nn.MaxPool2d(2, padding=0.5)),
    bad("padding", "(1, 2, 3)", lambda: nn.AvgPool2d(2, padding=(1, 2, 3))),
    bad("kernel_size", "(3, 3)", lambda: nn.Conv3d(4, 4, (3, 3))),
    bad("kernel_size", "(3, 3)", lambda: nn.MaxPool1d((3, 3))),
    bad("kernel_size", None, lambda: nn.AvgPool1d(None)),
    bad("kernel_size", True, lambda: nn.Conv2d(4, 4, True)),
    bad("stride", "(1, 1, 1)", lambda: nn.Conv2d(4, 4, 3, stride=(1, 1, 1))),
    bad("dilation", "(0, 1)", lambda: nn.Conv2d(4, 4, 3, dilation=(0, 1))),
    bad("output_size", "(2, 2, 2)", lambda: nn.AdaptiveAvgPool2d((2, 2, 2))),
    bad("output_size", "(2, -2)", lambda: nn.AdaptiveMaxPool2d((2, -2))),
    *(
        bad("data_format", "'NCHW'", lambda k=kind, a=args: getattr(nn, k)(*a, data_format="NCHW"))
        for kind, args in {
            "Conv2d": (4, 4, 3),
            "Conv1d": (4, 4, 3),
            "MaxPool2d": (2,),
            "AvgPool3d": (2,),
            "AdaptiveAvgPool1d": (2,),
        }.items()
    ),
    bad("nonlinearity", "'sigmoid'", lambda: nn.RNN(4, 4, nonlinearity="sigmoid")),
    bad("approximate", "'yes'", lambda: nn.GELU(approximate="yes")),
    bad("activation", "'tanh'", lambda: nn.TransformerEncoderLayer(4, 2, activation="tanh")),
    bad("activation", 3, lambda: nn.TransformerDecoderLayer(4, 2, activation=3)),
    bad("reduction", "'average'", lambda: nn.MSELoss(reduction="average")),
    bad("normalized_shape", "()", lambda: nn.LayerNorm(())),
    bad("normalized_shape", "float", lambda: nn.RMSNorm((4, 2.0))),
    bad("padding_idx", 10, lambda: nn.Embedding(10, 4, padding_idx=10)),
    bad("padding_idx", "float", lambda: nn.Embedding(10, 4, padding_idx=1.5)),
    bad("dim", "float", lambda: nn.Softmax(dim=0.5)),
    bad("dim", "str", lambda: nn.LogSoftmax(dim="1")),
    bad("start_dim", "str", lambda: nn.Flatten("1")),
    bad("end_dim", "float", lambda: nn.Flatten(1, 2.0)),
    bad("negative_slope", "str", lambda: nn.LeakyReLU("0.1")),
    bad("alpha", "str", lambda: nn.ELU("1")),
    bad("beta", "NoneType", lambda: nn.Softplus(None)),
    bad("threshold", "str", lambda: nn.Softplus(1.0, "20")),
    bad("layer_norm_eps", -1, lambda: nn.TransformerEncoderLayer(4, 2, layer_norm_eps=-1)),
    bad("encoder_layer", "int", lambda: nn.TransformerEncoder(3, 2)),
    bad("num_layers", 0, lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 4), 0)),
    bad("num_layers", "str", lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 4), "2")),
    bad("sz", -1, lambda: nn.Transformer.generate_square_subsequent_mask(-1)),
    bad("dtype", "'float33'", lambda: nn.Linear(4, 4, dtype="float33")),
    bad("dtype", "int32", lambda: nn.Conv2d(4, 4, 3, dtype="int32")),
    bad("device", "'tpu'", lambda: nn.Linear(4, 4, device="tpu")),
    # ---- containers
    bad("module 1", "int", lambda: nn.Sequential(nn.ReLU(), 3)),
    bad("module 0", "ndarray", lambda: nn.ModuleList([np.ones(2)])),
    bad("ModuleDict", "'train'", lambda: nn.ModuleDict({"train": nn.ReLU()})),
]
