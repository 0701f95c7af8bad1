"""batch_norm for CuPy, x as (N, C, L): one launch where a channel has one block, two where several blocks share it.

The plans depend on shapes and dtypes only, not on the GPU: the statistics have the same bits on all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

from ..namespace.libraries import raw_namespace
from .arguments import Layout
from .arrays import VECTOR, contiguous, is_aligned
from .dtypes import C_TYPES, ITEM_SIZE, dtype_name, refuse_dtypes
from .launch import launch
from .norm import KINDS, THREADS
from .plan import Dim, Plan

__all__ = [
    "GIVEN",
    "backward",
    "forward",
    "instantiations",
    "plans",
    "pull",
    "refusal",
    "refuse_options",
    "standardise",
]

GIVEN = ("given_mean", "given_var", "wide_mean", "wide_var")  # of the kernels' arguments, what evaluation sets
GIVEN_GRADIENTS = ("given_dmean", "given_dvar", "wide_dmean", "wide_dvar")

# The kernels' other arrays: written in x's dtype and in float32, read in x's dtype and in float32.
_ARRAYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "forward": (("y",), ("mean", "var", "centre", "scale", "parts"), ("x", "weight", "bias"), ()),
    "backward": (
        ("dx", "dweight", "dbias", *GIVEN_GRADIENTS[:2]),
        (*GIVEN_GRADIENTS[2:], "parts"),
        ("dy", "y", "x", "weight"),
        ("centre", "scale", "dmean", "dvar"),
    ),
}

_FILE = "batch_norm.cu"
_MOST = 2**30  # the kernels count samples, channels and the elements of a plane in int
# As in the kernel file.
_ALL, _GATHER, _APPLY = 0, 1, 2
# Blocks that are enough for the largest GPUs; and how many may share a channel, since each of them adds up the parts of all.
_BLOCKS, _MOST_CHUNKS = 512, 256
_MATRIX_BLOCKS, _MOST_MATRIX_CHUNKS = 256, 64


def refusal(
    x: Any, weight: Any, bias: Any, *, eps: float = 1e-5, activation: str | None = None
) -> str | None:  # fmt: skip
    if x.ndim < 2 or x.shape[0] * prod(x.shape[2:]) == 1 or not eps >= 0:
        return "arguments that do not fit"
    if any(a is not None and a.shape != x.shape[1:2] for a in (weight, bias)):
        return "shapes of the parameters"
    return refuse_options(x, activation) or refuse_dtypes(x, weight, bias)


def forward(
    x: Any, weight: Any, bias: Any, *, eps: float = 1e-5, activation: str | None = None, need: tuple[bool, ...]
) -> tuple[Any, Any]:
    xp = raw_namespace(x)
    x, weight, bias = (None if a is None else contiguous(a) for a in (x, weight, bias))
    new = xp.zeros if 0 in x.shape else xp.empty
    mean, var = (new(x.shape[1], dtype=xp.float32) for _ in range(2))
    centre, scale = (new(x.shape[1], dtype=xp.float32) if True in need else None for _ in range(2))
    written = {"mean": mean, "var": var, "centre": centre, "scale": scale}
    y = standardise(x, eps, activation, weight=weight, bias=bias, **written)
    return (y, mean, var), (x, weight, y if activation else None, centre, scale, activation)


def backward(residuals: Any, gs: Any, need: Sequence[bool]) -> tuple[Any, Any, Any]:
    x, weight, y, centre, scale, activation = residuals
    xp = raw_namespace(x)
    dy, dmean, dvar = (None if a is None else contiguous(a) for a in gs)
    dy = xp.zeros(x.shape, dtype=x.dtype) if dy is None else dy
    new = xp.zeros if 0 in x.shape else xp.empty
    dx = xp.empty_like(x) if need[0] else None
    dweight, dbias = (new(x.shape[1], dtype=x.dtype) if wanted else None for wanted in need[1:])
    read = {"weight": weight, "centre": centre, "scale": scale, "dmean": dmean, "dvar": dvar}
    pull(dy, y, x, 0.0, activation, dx=dx, dweight=dweight, dbias=dbias, **read)
    return dx, dweight, dbias


def standardise(x: Any, eps: float, activation: str | None, **arrays: Any) -> Any:
    """y; arrays: what else the kernel writes (mean, var, centre, scale) or reads (weight, bias, GIVEN), all (C,)."""
    xp = raw_namespace(x)
    y = xp.empty_like(x)
    given = any(arrays.get(name) is not None for name in GIVEN)
    _launch("forward", x, {"y": y, "x": x, **arrays}, eps, activation, sums=not given, apply=True)
    return y


def pull(dy: Any, y: Any, x: Any, eps: float, activation: str | None, **arrays: Any) -> None:
    """Writes what of arrays is there (dx, dweight, dbias, GIVEN_GRADIENTS); the rest of them the kernel reads, as y and x."""
    given = any(arrays.get(name) is not None for name in GIVEN)
    wanted = any(arrays.get(name) is not None for name in ("dweight", "dbias", *GIVEN_GRADIENTS))
    arrays = {"dy": dy, "y": y, "x": x, **arrays}
    _launch("backward", x, arrays, eps, activation, sums=wanted or not given, apply=arrays["dx"] is not None)


def _launch(
    way: str, x: Any, arrays: dict[str, Any], eps: float, activation: str | None, *, sums: bool, apply: bool
) -> None:
    """The launches of a way; an array that is not named is a null pointer."""
    if 0 in x.shape:
        return
    shape, dtype = (x.shape[0], x.shape[1], prod(x.shape[2:])), dtype_name(x.dtype)
    aligned = is_aligned(*(arrays.get(name) for name in ("dx", "dy", "y", "x")))
    tiling, parts = _tiling(dtype, *shape, aligned), None
    if sums and tiling.chunks > 1:
        xp = raw_namespace(x)
        parts = xp.empty((tiling.chunks, 2, x.shape[1]), dtype=xp.float32)
    values = {**arrays, "parts": parts, "samples": shape[0], "channels": shape[1], "size": shape[2]}
    values |= {"chunks": tiling.chunks, "each": tiling.each, "activation": KINDS[activation], "eps": eps}
    for plan, stage in plans(way, dtype, *shape, activation, sums=sums, apply=apply, aligned=aligned):
        values["stage"] = stage
        launch(plan, plan.layout(**{name: values.get(name) for name, _ in plan.layout.fields}))


def refuse_options(x: Any, activation: str | None) -> str | None:
    """Why there is no kernel for the activation or for so many elements, or None."""
    if activation not in KINDS:
        return f"activation {activation}"
    sizes = x.shape[0], x.shape[1], prod(x.shape[2:])
    return f"sizes {sizes[0]}, {sizes[1]} and {sizes[2]}" if max(sizes) > _MOST else None


@functools.lru_cache(1024)
def plans(
    way: str, dtype: str, samples: int, channels: int, size: int, activation: str | None, *, sums: bool, apply: bool,
    aligned: bool,
) -> tuple[tuple[Plan, int], ...]:  # fmt: skip
    """The launches of a way, "forward" or "backward", each with its stage.

    sums: whether statistics or gradients of channels are computed. apply: whether y or dx is. aligned: all arrays begin at
    multiples of 16 bytes.
    """
    tiling = _tiling(dtype, samples, channels, size, aligned)
    array, parts = samples * channels * size * ITEM_SIZE[dtype], 8 * tiling.chunks * channels
    read = array if way == "forward" else (1 + sums + (activation is not None)) * array
    make = functools.partial(
        Plan,
        file=_FILE,
        entry=f"batch_norm_{way}<{C_TYPES[dtype]}, {tiling.vector}>",
        layout=_layout(way, C_TYPES[dtype]),
        grid=(tiling.tiles * tiling.chunks, 1, 1),
        block=tiling.block,
        flops=8 * samples * channels * size,
    )
    if not sums or tiling.chunks == 1:
        return ((make(bytes=read + apply * array), _ALL if sums else _APPLY),)
    return (make(bytes=read + parts), _GATHER), (make(bytes=apply * (read + array) + parts), _APPLY)


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for."""
    for dtype in C_TYPES:
        for aligned in (True, False):
            for way in ("forward", "backward"):
                yield plans(way, dtype, 2, 8, 8, None, sums=True, apply=True, aligned=aligned)[0][0]


class _Tiling(NamedTuple):
    """How blocks share x: tiles of channels, each of them `chunks` times; `each` packs or rows a chunk; vector elements at once."""

    tiles: int
    chunks: int
    each: int
    block: Dim
    vector: int


@functools.lru_cache(1024)
def _tiling(dtype: str, samples: int, channels: int, size: int, aligned: bool) -> _Tiling:
    vector = VECTOR // ITEM_SIZE[dtype]
    if not aligned or (size if size > 1 else channels) % vector:
        vector = 1
    flight = 8 if vector == 1 else 4
    if size > 1:  # a block for part of a channel
        width, tiles, steps = 1, channels, samples * (size // vector)
        most = min(_BLOCKS // channels, _MOST_CHUNKS)
    else:  # 128 bytes of a row, or as many channels as a warp has lanes
        packs = channels // vector
        width = min(8 if vector > 1 else 32, 1 << max(packs - 1, 0).bit_length())
        tiles, steps = -(-packs // width), samples
        most = min(_MATRIX_BLOCKS // tiles, _MOST_MATRIX_CHUNKS)
    height = THREADS // width
    chunks = max(min(-(-steps // (height * flight)), most), 1)
    each = -(-steps // chunks)
    return _Tiling(tiles, -(-steps // each), each, (width, height, 1), vector)


@functools.cache
def _layout(way: str, t: str) -> Layout:
    kinds = f"{t}*", "float*", f"const {t}*", "const float*"
    arrays = [(name, kind) for names, kind in zip(_ARRAYS[way], kinds, strict=True) for name in names]
    given = [(name, "const float*" if "wide" in name else f"const {t}*") for name in GIVEN]
    sizes = [(name, "int") for name in ("samples", "channels", "size", "chunks")]
    options = [("each", "long long"), ("stage", "int"), ("activation", "int"), ("eps", "float")]
    return Layout(f"{way.capitalize()}Arguments<{t}>", (*arrays, *given, *sizes, *options))
