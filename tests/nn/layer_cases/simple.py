"""Activations, dropouts, linear layers, embeddings, and what moves or compares elements."""

from __future__ import annotations

import numpy as np

from . import Part, case

IMAGE = (2, 4, 7, 6)
INPLACE = "ReLU ReLU6 LeakyReLU ELU CELU SELU SiLU Mish Hardtanh Hardsigmoid Hardswish".split()
PLAIN = (
    "Tanh Sigmoid GELU LogSigmoid Softplus Softsign Tanhshrink Hardshrink Softshrink PReLU GLU Identity "
    "Softmax Softmin LogSoftmax"
).split()
DROPOUTS = {
    "Dropout": ((4, 6),),
    "Dropout1d": ((2, 4, 7), (4, 7)),
    "Dropout2d": (IMAGE, (2, 4, 7)),
    "Dropout3d": ((2, 4, 3, 2, 5), (4, 3, 2, 5)),
    "AlphaDropout": (IMAGE,),
    "FeatureAlphaDropout": (IMAGE,),
}
WIDE = np.linspace(-9, 9, 48).reshape(4, 2, 6)

CASES = [
    # ---- activations
    *(case(name, inplace=inplace) for name in INPLACE for inplace in (False, True)),
    *(case(name, inputs=(WIDE,)) for name in INPLACE),
    *(case(name) for name in PLAIN if name not in ("Softmax", "Softmin", "LogSoftmax")),
    *(case(name, inputs=(WIDE,)) for name in PLAIN if name not in ("Softmax", "Softmin", "LogSoftmax")),
    *(case(name, dim=dim, shape=(4, 6, 2)) for name in ("Softmax", "Softmin", "LogSoftmax", "GLU") for dim in (-1, 0, 1)),
    case("GELU", approximate="tanh"),
    case("GELU", "tanh", inputs=(WIDE,)),
    case("LeakyReLU", 0.2),
    case("LeakyReLU", negative_slope=-0.1, inputs=(WIDE,)),
    case("ELU", 1.7),
    case("CELU", alpha=0.5),
    case("Softplus", 2.0, 3.0, inputs=(WIDE,)),
    case("Softplus", threshold=1.0),
    case("Hardshrink", 0.9),
    case("Softshrink", 0.1),
    case("Hardtanh", -0.5, 0.7),
    case("Hardtanh", min_val=-3.0, max_val=2.0, inplace=True, inputs=(WIDE,)),
    case("Threshold", 0.1, 20),
    case("Threshold", -1.0, -5.0, True, inputs=(WIDE,)),
    case("PReLU", 4, 0.3, shape=IMAGE),
    case("PReLU", num_parameters=6, init=-0.2),
    case("RReLU", 0.1, 0.5, training=False),
    case("RReLU", inplace=True, training=False),
    case("RReLU", 0.3, 0.3),
    case("Softmax2d", shape=IMAGE),
    case("Softmax2d", shape=(4, 7, 6)),
    case("Identity", 54, unused=True, shape=(2, 3)),
    # ---- dropouts: what is drawn is no other's, but nothing and all can be compared
    *(
        case(name, p, shape=shape, training=training)
        for name, shapes in DROPOUTS.items()
        for shape in shapes
        for p, training in ((0.0, True), (0.5, False))
    ),
    *(case(name, 1.0, shape=DROPOUTS[name][0]) for name in ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d")),
    *(case(name, p=0.5, inplace=True, shape=shapes[0], training=False) for name, shapes in DROPOUTS.items()),
    # ---- linear
    case("Linear", 6, 3),
    case("Linear", 6, 3, bias=False, shape=(2, 5, 6)),
    case("Linear", 6, 1, shape=(6,)),
    case("Linear", 6, 3, shape=(0, 6)),
    case("Bilinear", 3, 4, 5, inputs=((6, 3), (6, 4))),
    case("Bilinear", 3, 4, 2, bias=False, inputs=((2, 6, 3), (2, 6, 4))),
    case("Flatten", shape=(2, 3, 4)),
    case("Flatten", 0, 1, shape=(2, 3, 4)),
    case("Flatten", start_dim=-2, shape=(2, 3, 4, 2)),
    case("Unflatten", 1, (3, -1), shape=(2, 6)),
    case("Unflatten", -2, (2, 2), shape=(2, 4, 3)),
    case("Sequential", Part("Linear", 6, 5), Part("ReLU"), Part("Linear", 5, 2)),
    case("Sequential", Part("Conv2d", 4, 3, 2, bias=False), Part("BatchNorm2d", 3), Part("Tanh"), Part("Flatten"), shape=IMAGE),
    case("Sequential", Part("LayerNorm", 6), Part("Sigmoid"), Part("Dropout", 0.3), training=False),
    # ---- embedding
    case("Embedding", 10, 4, inputs=((3, 5),), integers=10),
    case("Embedding", 10, 4, padding_idx=2, inputs=((3, 5),), integers=10),
    case("Embedding", 10, 4, 1, scale_grad_by_freq=True, inputs=((3, 5),), integers=10),
    case("Embedding", 10, 4, max_norm=1.2, inputs=((3, 5),), integers=10),
    case("Embedding", 10, 4, None, 1.5, 1.0, inputs=((6,),), integers=10),
    case("Embedding", 10, 4, sparse=True, inputs=((7,),), integers=10),
    # ---- shuffles and distances
    case("PixelShuffle", 2, shape=IMAGE),
    case("PixelShuffle", 3, shape=(9, 2, 5)),
    case("PixelUnshuffle", 2, shape=(2, 3, 4, 6)),
    case("ChannelShuffle", 2, shape=IMAGE),
    case("ChannelShuffle", 3, shape=(2, 6, 5)),
    case("CosineSimilarity", inputs=((4, 5), (4, 5))),
    case("CosineSimilarity", 0, 0.1, inputs=((4, 5), (4, 5))),
    case("CosineSimilarity", dim=-1, eps=10.0, inputs=((2, 4, 5), (2, 4, 5))),
    case("PairwiseDistance", inputs=((4, 5), (4, 5))),
    case("PairwiseDistance", 3.0, 0.1, True, inputs=((4, 5), (4, 5))),
    case("PairwiseDistance", p=1.0, inputs=((5,), (5,))),
    case("LocalResponseNorm", 3, 0.5, shape=IMAGE),
    case("LocalResponseNorm", 4, beta=0.5, k=2.0, shape=(2, 5, 3)),
]  # fmt: skip
