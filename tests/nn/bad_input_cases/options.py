"""Options of layers and losses of the wrong kind: flags, numbers, words, sizes, layers; made, not yet called."""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnn import nn

from . import bad

CONV, POOL, NORM, SEQUENCE = (4, 4, 3), (2,), (4,), (4, 4)
# flags by layer, with what its constructor needs
FLAGS: list[tuple[str, tuple[Any, ...], str]] = [
    ("Linear", (4, 4), "bias"),
    ("Bilinear", (4, 4, 4), "bias"),
    ("Conv2d", CONV, "bias"),
    ("ConvTranspose1d", CONV, "bias"),
    *(("BatchNorm2d", NORM, name) for name in ("affine", "track_running_stats", "bias")),
    *(("InstanceNorm1d", NORM, name) for name in ("affine", "track_running_stats", "bias")),
    *(("GroupNorm", (2, 4), name) for name in ("affine", "bias")),
    *(("LayerNorm", NORM, name) for name in ("elementwise_affine", "bias")),
    ("RMSNorm", NORM, "elementwise_affine"),
    *((kind, SEQUENCE, name) for kind in ("LSTM", "GRU", "RNN") for name in ("bias", "batch_first", "bidirectional")),
    *((kind, SEQUENCE, "bias") for kind in ("LSTMCell", "GRUCell", "RNNCell")),
    *((kind, SEQUENCE, "reset_after") for kind in ("GRU", "GRUCell")),
    *(("MultiheadAttention", (4, 2), name) for name in ("bias", "add_bias_kv", "add_zero_attn", "batch_first")),
    *(("TransformerEncoderLayer", (4, 2), name) for name in ("batch_first", "norm_first", "bias")),
    *(("TransformerDecoderLayer", (4, 2), name) for name in ("batch_first", "norm_first", "bias")),
    *(
        ("TransformerEncoder", (nn.TransformerEncoderLayer(4, 2, 4), 1), name)
        for name in ("enable_nested_tensor", "mask_check")
    ),
    *(("MaxPool2d", POOL, name) for name in ("return_indices", "ceil_mode")),
    *(("AvgPool2d", POOL, name) for name in ("ceil_mode", "count_include_pad")),
    ("AdaptiveMaxPool1d", POOL, "return_indices"),
    ("LPPool2d", (2, 2), "ceil_mode"),
    *(("Embedding", (5, 4), name) for name in ("scale_grad_by_freq", "sparse")),
    *((kind, (), "inplace") for kind in ("ReLU", "ELU", "Hardtanh", "RReLU", "Dropout", "Dropout2d", "AlphaDropout")),
    ("Threshold", (0.0, 1.0), "inplace"),
    ("PairwiseDistance", (), "keepdim"),
    ("Upsample", (3,), "align_corners"),
    ("Upsample", (3,), "recompute_scale_factor"),
    ("KLDivLoss", (), "log_target"),
    ("GaussianNLLLoss", (), "full"),
    *(("PoissonNLLLoss", (), name) for name in ("log_input", "full")),
    ("TripletMarginLoss", (), "swap"),
    ("CTCLoss", (), "zero_infinity"),
]
# numbers, integers and words by layer
NUMBERS: list[tuple[str, tuple[Any, ...], str]] = [
    *((kind, (), "alpha") for kind in ("ELU", "CELU")),
    *(("Hardtanh", (), name) for name in ("min_val", "max_val")),
    *(("RReLU", (), name) for name in ("lower", "upper")),
    *((kind, (), "lambd") for kind in ("Hardshrink", "Softshrink")),
    *(("Softplus", (), name) for name in ("beta", "threshold")),
    ("PReLU", (), "init"),
    *(("LocalResponseNorm", (3,), name) for name in ("alpha", "beta", "k")),
    *(("PairwiseDistance", (), name) for name in ("p", "eps")),
    ("CosineSimilarity", (), "eps"),
    ("Embedding", (5, 4), "norm_type"),
    ("HuberLoss", (), "delta"),
    ("SmoothL1Loss", (), "beta"),
    ("CrossEntropyLoss", (), "label_smoothing"),
    *(
        (kind, (), "margin")
        for kind in ("HingeEmbeddingLoss", "MarginRankingLoss", "MultiMarginLoss", "CosineEmbeddingLoss")
    ),
    *(("TripletMarginLoss", (), name) for name in ("margin", "p", "eps")),
    *((kind, (), "eps") for kind in ("GaussianNLLLoss", "PoissonNLLLoss")),
]
WHOLE: list[tuple[str, tuple[Any, ...], str]] = [
    *((kind, (), "ignore_index") for kind in ("CrossEntropyLoss", "NLLLoss")),
    ("CTCLoss", (), "blank"),
    ("MultiMarginLoss", (), "p"),
    ("CosineSimilarity", (), "dim"),
    *((kind, (), "dim") for kind in ("Softmax", "Softmin", "LogSoftmax", "GLU")),
]
SIZES = (("PixelShuffle", "upscale_factor"), ("PixelUnshuffle", "downscale_factor"), ("ChannelShuffle", "groups"),
         ("LocalResponseNorm", "size"))  # fmt: skip
WINDOWS = {"Unfold": (2,), "Fold": (4, 2)}
WORDS: list[tuple[str, tuple[Any, ...], str]] = [
    ("GELU", (), "approximate"),
    ("RNN", SEQUENCE, "nonlinearity"),
    ("RNNCell", SEQUENCE, "nonlinearity"),
    ("ConvTranspose2d", CONV, "padding_mode"),
    ("Conv2d", CONV, "padding_mode"),
    ("Conv1d", CONV, "data_format"),
    ("AvgPool3d", POOL, "data_format"),
    ("AdaptiveAvgPool2d", POOL, "data_format"),
    ("Upsample", (3,), "mode"),
    ("TransformerEncoderLayer", (4, 2), "activation"),
    ("MSELoss", (), "reduction"),
]
ARRAY = np.ones(2)


def made(kind: str, args: tuple[Any, ...], **options: Any) -> Any:
    return lambda: getattr(nn, kind)(*args, **options)


CASES = [
    *(
        bad(name, came, made(kind, args, **{name: value}))
        for kind, args, name in FLAGS
        for value, came in (("False", "str"), (2, "2"), (ARRAY, "ndarray"))
    ),
    *(
        bad(name, came, made(kind, args, **{name: value}))
        for kind, args, name in NUMBERS
        for value, came in (("1", "str"), (None, "NoneType"), (ARRAY, "ndarray"), (True, "bool"))
    ),
    *(
        bad(name, came, made(kind, args, **{name: value}))
        for kind, args, name in WHOLE
        for value, came in ((1.5, "float"), ("1", "str"), (ARRAY, "ndarray"))
    ),
    *(
        bad(name, came, made(kind, (value,)))
        for kind, name in SIZES
        for value, came in ((0, "0"), (-2, "-2"), (1.5, "float"), (ARRAY, "ndarray"), (None, "NoneType"))
    ),
    *(
        bad(name, str(value), made(kind, args, **{name: value}))
        for kind, args in WINDOWS.items()
        for name in ("dilation", "padding", "stride")
        for value in (-1, 1.5, (1, 2, 3), None)
    ),
    *(bad("kernel_size", str(value), made(kind, (*args[:-1], value))) for kind, args in WINDOWS.items() for value in (0, "3")),
    bad("output_size", "-4", made("Fold", (-4, 2))),
    *(
        bad(name, came, made(kind, args, **{name: value}))
        for kind, args, name in WORDS
        for value, came in ((ARRAY, "array"), (None, "None"), (["x"], "['x']"))
        if not (name == "activation" and value is None)
    ),
    # ---- grids
    bad("size", "None", made("Upsample", ())),
    bad("size", "2", made("Upsample", (2, 2))),
    bad("size", "-1", made("Upsample", (-1,))),
    bad("size", "float", made("Upsample", ((2, 1.5),))),
    bad("size", "ndarray", made("UpsamplingNearest2d", (ARRAY,))),
    bad("scale_factor", "0", made("Upsample", (None, 0))),
    bad("scale_factor", "nan", made("UpsamplingBilinear2d", (), scale_factor=float("nan"))),
    bad("scale_factor", "str", made("UpsamplingNearest2d", (), scale_factor="2")),
    bad("mode", "'cubic'", made("Upsample", (3,), mode="cubic")),
    bad("align_corners", "True", made("Upsample", (3,), align_corners=True)),
    # ---- unflatten
    *(
        bad("unflattened_size", came, made("Unflatten", (1, value)))
        for value, came in ((3, "int"), ("3", "str"), (None, "NoneType"), (ARRAY, "ndarray"), ((2, 1.5), "float"),
                            ((-1, -1), "(-1, -1)"), ((2, -2), "(2, -2)"), ((), "()"))
    ),
    bad("dim", "str", made("Unflatten", ("1", (2, 2)))),
    bad("dim", "float", made("Unflatten", (1.0, (2, 2)))),
    # ---- embedding
    bad("max_norm", "str", made("Embedding", (5, 4), max_norm="1")),
    bad("padding_idx", "ndarray", made("Embedding", (5, 4), padding_idx=ARRAY)),
    # ---- pools
    bad("divisor_override", "str", made("AvgPool2d", (2,), divisor_override="2")),
    bad("norm_type", "NoneType", made("LPPool1d", (None, 2))),
    bad("output_size", "True", made("AdaptiveAvgPool2d", (True,))),
    # ---- convolutions
    bad("padding_mode", "'reflect'", made("ConvTranspose2d", CONV, padding_mode="reflect")),
    bad("output_padding", "-1", made("ConvTranspose2d", CONV, output_padding=-1)),
    bad("padding", "'same'", made("ConvTranspose2d", CONV, padding="same")),
    bad("groups", "3", made("ConvTranspose3d", CONV, groups=3)),
    bad("stride", "0", made("ConvTranspose1d", CONV, stride=0)),
    # ---- layers as arguments
    bad("norm", "str", made("TransformerEncoder", (nn.TransformerEncoderLayer(4, 2, 4), 1), norm="layer")),
    bad("norm", "bool", made("TransformerDecoder", (nn.TransformerDecoderLayer(4, 2, 4), 1), norm=True)),
    bad("custom_encoder", "str", made("Transformer", (4, 2), custom_encoder="encoder")),
    bad("custom_decoder", "ndarray", made("Transformer", (4, 2), custom_decoder=ARRAY)),
    # ---- weights of losses
    *(
        bad("weight", came, made(kind, (), weight=value))
        for kind in ("CrossEntropyLoss", "NLLLoss", "BCELoss", "BCEWithLogitsLoss", "MultiMarginLoss", "MultiLabelSoftMarginLoss")
        for value, came in (("1", "str"), (2.0, "float"))
    ),
    bad("pos_weight", "int", made("BCEWithLogitsLoss", (), pos_weight=2)),
    # ---- where and what
    *(
        bad("dtype", str(value), made(kind, args, dtype=value))
        for kind, args in (("Linear", (4, 4)), ("LSTM", SEQUENCE), ("BatchNorm1d", NORM))
        for value in (True, 1.5, [])
    ),
    *(
        bad("device", came, made(kind, args, device=value))
        for kind, args in (("Linear", (4, 4)), ("MultiheadAttention", (4, 2)))
        for value, came in ((0, "int"), (ARRAY, "ndarray"))
    ),
]  # fmt: skip
