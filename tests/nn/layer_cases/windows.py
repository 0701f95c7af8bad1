"""Convolutions, pooling, upsampling, and windows as columns, over one, two and three axes."""

from __future__ import annotations

import numpy as np

from . import case

SIZES = {1: (9,), 2: (7, 6), 3: (5, 4, 6)}
KERNELS = {1: (3,), 2: (2, 3), 3: (2, 1, 3)}


def first(axes: int, channels: int = 4, extra: int = 0) -> tuple[int, ...]:
    """A batch with the channels first."""
    return (2, channels, *(n + extra for n in SIZES[axes]))


def last(axes: int, channels: int = 4) -> tuple[int, ...]:
    return (2, *SIZES[axes], channels)


def places(axes: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Where in (6, …) the elements of (2, 3, *(3, …)) go: one in each window of 2."""
    rng = np.random.default_rng(0)
    corners = np.meshgrid(*[np.arange(0, 6, 2)] * axes, indexing="ij")
    flat = np.zeros((2, 3, *(3,) * axes), np.int64)
    for corner in corners:
        flat = flat * 6 + corner + rng.integers(0, 2, flat.shape)
    return flat


def lopsided(axes: int) -> tuple[int, ...]:
    return (1, 2, 1)[:axes]


CONVOLUTIONS = [
    *(
        case(f"Conv{n}d", 4, 6, *args, shape=shape, **options)
        for n in (1, 2, 3)
        for args, shape, options in (
            ((3,), first(n), {}),
            ((KERNELS[n], lopsided(n), lopsided(n)), first(n), {"bias": False}),
            ((2,), first(n), {"dilation": 2, "groups": 2, "stride": 2}),
            ((3,), first(n)[1:], {"padding": "same", "dilation": lopsided(n)}),
            ((1,), first(n), {"padding": "valid"}),
            ((KERNELS[n],), last(n), {"data_format": "channels_last", "padding": 1, "groups": 2}),
            ((2,), last(n)[1:], {"data_format": "channels_last", "stride": 2}),
        )
    ),
    case("Conv2d", 4, 8, 3, padding="same", groups=4, bias=False, shape=(2, 4, 7, 6)),
    *(
        case(f"ConvTranspose{n}d", 4, 6, *args, shape=shape, **options)
        for n in (1, 2, 3)
        for args, shape, options in (
            ((3,), first(n), {}),
            ((KERNELS[n], 2, 1), first(n), {"output_padding": 1, "bias": False}),
            ((2,), first(n)[1:], {"dilation": lopsided(n), "groups": 2}),
            ((KERNELS[n],), last(n), {"data_format": "channels_last", "stride": lopsided(n)}),
            ((3, 2), first(n), {"call": {"output_size": [2 * size + 2 for size in SIZES[n]]}}),
        )
    ),
]
POOLS = [
    *(
        case(f"MaxPool{n}d", *args, shape=shape, **options)
        for n in (1, 2, 3)
        for args, shape, options in (
            ((2,), first(n), {}),
            ((3, 2, 1), first(n), {"ceil_mode": True}),
            ((KERNELS[n], 1), first(n)[1:], {"dilation": lopsided(n)}),
            ((2,), first(n), {"return_indices": True, "stride": 1}),
            ((2, 2, 1, 2), last(n), {"data_format": "channels_last"}),
            ((2,), last(n), {"data_format": "channels_last", "return_indices": True}),
        )
    ),
    *(
        case(f"AvgPool{n}d", *args, shape=shape, **options)
        for n in (1, 2, 3)
        for args, shape, options in (
            ((2,), first(n), {}),
            ((3, 2, 1), first(n), {"ceil_mode": True}),
            ((KERNELS[n], 1), first(n)[1:], {}),
            ((3, 2, 1), first(n), {"count_include_pad": False, "ceil_mode": True}),
            ((2, 1), last(n), {"data_format": "channels_last", "padding": 1, "count_include_pad": False}),
        )
    ),
    *(case(f"AvgPool{n}d", 3, 2, 1, True, False, 5, shape=first(n)) for n in (2, 3)),
    *(case(f"AvgPool{n}d", 2, divisor_override=3, data_format="channels_last", shape=last(n)) for n in (2, 3)),
    *(
        case(f"LPPool{n}d", *args, inputs=(np.abs(np.random.default_rng(n).normal(size=shape)) + 0.1,), **options)
        for n in (1, 2, 3)
        for args, shape, options in (
            ((2, 3), first(n), {}),
            ((3.0, KERNELS[n] if n > 1 else 3), first(n), {"stride": 1, "ceil_mode": True}),
            ((1, 2), first(n)[1:], {"stride": lopsided(n) if n > 1 else 1}),
            ((2, 2), last(n), {"data_format": "channels_last"}),
        )
    ),
    *(case(f"LPPool{n}d", 2, 3, 2, True, shape=first(n)) for n in (1, 2, 3)),
    *(
        case(f"Adaptive{kind}Pool{n}d", size, shape=shape, **options)
        for kind in ("Avg", "Max")
        for n in (1, 2, 3)
        for size, shape, options in (
            (4, first(n), {}),
            (1, first(n)[1:], {}),
            ((5, None, 2)[:n], first(n), {}),
            (3, last(n), {"data_format": "channels_last"}),
        )
    ),
    *(case(f"AdaptiveMaxPool{n}d", 3, True, shape=first(n)) for n in (1, 2, 3)),
    *(
        case(f"MaxUnpool{n}d", 2, *args, inputs=((2, 3, *(3,) * n), places(n)), **options)
        for n in (1, 2, 3)
        for args, options in (
            ((), {}),
            ((2, 0), {"call": {"output_size": [6] * n}}),
            ((3, 1), {}),
        )
    ),
]
GRIDS = [
    case("Upsample", (5, 9), shape=first(2)),
    case("Upsample", scale_factor=2, shape=first(1)),
    case("Upsample", scale_factor=(1.5, 1, 2), shape=first(3)),
    case("Upsample", scale_factor=1.7, mode="nearest-exact", shape=first(2)),
    case("Upsample", scale_factor=1.5, mode="linear", shape=first(1)),
    case("Upsample", size=13, mode="linear", align_corners=True, shape=first(1)),
    case("Upsample", scale_factor=1.6, mode="bilinear", recompute_scale_factor=True, shape=first(2)),
    case("Upsample", size=(3, 9), mode="bilinear", align_corners=False, shape=first(2)),
    case("Upsample", scale_factor=2.5, mode="bicubic", shape=first(2)),
    case("Upsample", size=(4, 11), mode="bicubic", align_corners=True, shape=first(2)),
    case("Upsample", scale_factor=2, mode="trilinear", align_corners=True, shape=first(3)),
    case("Upsample", size=(3, 2, 8), mode="area", shape=first(3)),
    case("UpsamplingNearest2d", scale_factor=2, shape=first(2)),
    case("UpsamplingNearest2d", (9, 4), shape=first(2)),
    case("UpsamplingBilinear2d", 9, shape=first(2)),
    case("UpsamplingBilinear2d", scale_factor=(2, 1.5), shape=first(2)),
    case("Unfold", 3, padding=1, shape=first(2)),
    case("Unfold", (2, 3), dilation=(2, 1), stride=(1, 2), shape=first(2)),
    case("Unfold", 2, shape=first(2)[1:]),
    case("Fold", (4, 5), 2, shape=(2, 8, 12)),
    case("Fold", (5, 6), (2, 3), dilation=(2, 1), padding=1, stride=(1, 2), shape=(2, 12, 15)),
    case("Fold", 4, 2, stride=2, shape=(8, 4)),
]

CASES = [*CONVOLUTIONS, *POOLS, *GRIDS]
