"""Padding, what convolutions are padded by, and bags of embeddings."""

from __future__ import annotations

import numpy as np

from . import case

IMAGE, LINE, CUBE = (2, 4, 7, 6), (2, 4, 9), (2, 2, 5, 4, 6)
BAGS = {
    "offsets": np.array([0, 2, 2, 7]),
    "offsets, the last end too": np.array([0, 2, 2, 7, 12]),
    "factors": np.random.default_rng(1).normal(size=12),
}

CONVOLUTIONS = [
    *(
        case(f"Conv{n}d", shape[1], 4, 3, padding=padding, padding_mode=mode, shape=shape, **options)
        for mode in ("reflect", "replicate", "circular")
        for n, shape, padding, options in (
            (1, LINE, 2, {"stride": 2}),
            (1, LINE, "same", {"dilation": 3, "groups": 4}),
            (2, IMAGE, (2, 1), {"stride": (2, 1), "groups": 2, "bias": False}),
            (2, IMAGE, "same", {"dilation": (2, 1)}),
            (2, IMAGE, "valid", {}),
            (3, CUBE, (1, 0, 2), {}),
        )
    ),
    *(
        case("Conv2d", 4, 3, (3, 2), padding=padding, padding_mode=mode, data_format="channels_last", shape=shape)
        for mode in ("reflect", "replicate", "circular")
        for padding, shape in (((2, 1), (2, 7, 6, 4)), ("same", (7, 6, 4)))
    ),
    case("Conv2d", 4, 3, (2, 4), padding="same", padding_mode="circular", shape=(4, 7, 6)),
    case("Conv2d", 4, 3, 3, 1, 1, 1, 1, True, "reflect", shape=IMAGE),
]
CASES = [
    *CONVOLUTIONS,
    case("ConstantPad1d", (1, 2), 3.5, shape=LINE),
    case("ConstantPad1d", 2, -1, shape=(9,)),
    case("ConstantPad2d", (1, -2, 0, 3), 0.5, shape=IMAGE),
    case("ConstantPad3d", (1, 0, 2, 1, 0, 1), 2.0, shape=CUBE),
    *(case(f"ZeroPad{n}d", 1, shape=shape) for n, shape in ((1, LINE), (2, IMAGE), (3, CUBE))),
    *(
        case(f"{kind}Pad{n}d", padding, shape=shape)
        for kind in ("Reflection", "Replication", "Circular")
        for n, padding, shape in (
            (1, (3, 2), LINE),
            (1, 1, (4, 5)),
            (2, (1, 2, 3, 0), IMAGE),
            (2, 2, (4, 7, 6)),
            (3, (2, 1, 0, 2, 1, 1), CUBE),
        )
    ),
    *(
        case("EmbeddingBag", 10, 4, mode=mode, shape=shape, integers=10, **options)
        for mode in ("sum", "mean", "max")
        for shape, options in (
            ((3, 5), {}),
            ((3, 5), {"padding_idx": 2}),
            ((12,), {"call": {"offsets": BAGS["offsets"]}}),
            ((12,), {"call": {"offsets": BAGS["offsets"]}, "padding_idx": -3, "max_norm": 1.5, "norm_type": 1.0}),
            ((12,), {"call": {"offsets": BAGS["offsets, the last end too"]}, "include_last_offset": True}),
        )
    ),
    case(
        "EmbeddingBag", 10, 4, None, 2.0, False, "sum", shape=(12,), integers=10,
        call={"offsets": BAGS["offsets"], "per_sample_weights": BAGS["factors"]},
    ),
    # torch divides by other counts on a CPU where these are not all equal
    case("EmbeddingBag", 3, 4, scale_grad_by_freq=True, sparse=True, inputs=(np.array([[0, 1, 2], [2, 1, 0]]),)),
    case("EmbeddingBag", 3, 4, _weight=np.random.default_rng(2).normal(size=(3, 4)), integers=3, shape=(3, 5)),
]  # fmt: skip
