"""Normalisations, those that keep statistics in training and in evaluation."""

from __future__ import annotations

from . import case

IMAGE, LINE, CUBE, STEPS = (2, 4, 7, 6), (2, 4, 9), (2, 2, 5, 4, 6), (5, 3, 4)
WITH_STATISTICS = (
    ("BatchNorm1d", (4, 6)),
    ("BatchNorm1d", LINE),
    ("BatchNorm2d", IMAGE),
    ("BatchNorm3d", CUBE),
    ("InstanceNorm1d", LINE),
    ("InstanceNorm2d", IMAGE),
    ("InstanceNorm3d", CUBE),
)

CASES = [
    case("LayerNorm", 6),
    case("LayerNorm", (3, 4), eps=0.1, shape=STEPS),
    case("LayerNorm", [4], bias=False, shape=STEPS),
    case("LayerNorm", 6, elementwise_affine=False),
    case("RMSNorm", 6),
    case("RMSNorm", (3, 4), eps=0.1, shape=STEPS),
    case("RMSNorm", 6, elementwise_affine=False),
    case("GroupNorm", 2, 4, shape=IMAGE),
    case("GroupNorm", 4, 4, eps=0.1, affine=False, shape=LINE),
    case("GroupNorm", 2, 6),
    case("GroupNorm", 3, 6, shape=(4, 6, 3)),
    case("GroupNorm", 2, 4, bias=False, shape=IMAGE),
    *(
        case(name, shape[1], shape=shape, training=training, **options)
        for name, shape in WITH_STATISTICS
        for training in (True, False)
        for options in (
            {"affine": True, "track_running_stats": True},
            {"momentum": None, "eps": 0.1, "affine": False, "track_running_stats": True},
            {"momentum": 0.7, "affine": True, "bias": False, "track_running_stats": True},
            {"affine": True, "track_running_stats": False},
        )
    ),
    *(case(f"InstanceNorm{n}d", 4, shape=(4, *(7, 6, 3)[:n])) for n in (1, 2, 3)),
]
