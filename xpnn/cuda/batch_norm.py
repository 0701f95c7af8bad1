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
from .plan import Dim, Plan

__all__ = ["GIVEN", "backward", "forward", "instantiations", "plans", "pull", "refusal", "refuse_sizes", "standardise"]

GIVEN = ("given_mean", "given_var", "wide_mean", "wide_var")  # of the kernels' arguments, what evaluation sets

_FILE = "batch_norm.cu"
_MOST = 2**30  # the kernels count samples, channels and the elements of a plane in int
# As in the kernel file.
_THREADS, _ALL, _GATHER, _APPLY = 256, 0, 1, 2
# Blocks that are enough for the largest GPUs; and how many may share a channel, since each of them adds up the parts of all.
_BLOCKS, _MOST_CHUNKS = 512, 256
_MATRIX_BLOCKS, _MOST_MATRIX_CHUNKS = 256, 64


def refusal(x: Any, weight: Any, bias: Any, *, eps: float = 1e-5) -> str | None:
    if x.ndim < 2 or x.shape[0] * prod(x.shape[2:]) == 1 or not eps >= 0:
        return "arguments that do not fit"
    if any(a is not None and a.shape != x.shape[1:2] for a in (weight, bias)):
        return "shapes of the parameters"
    return refuse_sizes(x) or refuse_dtypes(x, weight, bias)


def forward(x: Any, weight: Any, bias: Any, *, eps: float = 1e-5, need: tuple[bool, ...]) -> tuple[Any, Any]:
    xp = raw_namespace(x)
    x, weight, bias = (None if a is None else contiguous(a) for a in (x, weight, bias))
    own = xp.zeros if 0 in x.shape else xp.empty
    mean, var = (own(x.shape[1], dtype=xp.float32) for _ in range(2))
    centre, scale = (own(x.shape[1], dtype=xp.float32) if True in need else None for _ in range(2))
    y = standardise(x, weight, bias, eps, mean=mean, var=var, centre=centre, scale=scale)
    return (y, mean, var), (x, weight, centre, scale, eps)


def backward(residuals: Any, gs: Any, need: Sequence[bool]) -> tuple[Any, Any, Any]:
    x, weight, centre, scale, eps = residuals
    xp = raw_namespace(x)
    g, dmean, dvar = (None if a is None else contiguous(a) for a in gs)
    g = xp.zeros(x.shape, dtype=x.dtype) if g is None else g
    dx = xp.empty_like(x) if need[0] else None
    own = xp.zeros if 0 in x.shape else xp.empty
    dweight, dbias = (own(x.shape[1], dtype=x.dtype) if wanted else None for wanted in need[1:])
    pull(
        g, x, weight, eps, dx=dx, dweight=dweight, dbias=dbias, centre=centre, scale=scale, dmean=dmean, dvar=dvar
    )  # fmt: skip
    return dx, dweight, dbias


def standardise(x: Any, weight: Any, bias: Any, eps: float, **arrays: Any) -> Any:
    """y; arrays: what else the kernel writes (mean, var, centre, scale), or what it is given (GIVEN), all (C,)."""
    xp = raw_namespace(x)
    y = xp.empty_like(x)
    if 0 in x.shape:
        return y
    given = any(arrays.get(name) is not None for name in GIVEN)
    shape, aligned = (x.shape[0], x.shape[1], prod(x.shape[2:])), is_aligned(x, y)
    tiling = _tiling(dtype_name(x.dtype), *shape, aligned)
    parts = None
    if tiling.chunks > 1 and not given:
        parts = xp.empty((tiling.chunks, 2, x.shape[1]), dtype=xp.float32)
    for plan, stage in plans("forward", dtype_name(x.dtype), *shape, sums=not given, apply=True, aligned=aligned):
        launch(
            plan, _arguments(plan, tiling, shape, stage, eps, y=y, parts=parts, x=x, weight=weight, bias=bias, **arrays)
        )
    return y


def pull(g: Any, x: Any, weight: Any, eps: float, **arrays: Any) -> None:
    """Writes what of arrays (dx, dweight, dbias; sum, along) is there; the rest of them the kernel reads."""
    if 0 in x.shape:
        return
    xp = raw_namespace(x)
    dx = arrays["dx"]
    given = any(arrays.get(name) is not None for name in GIVEN)
    wanted = any(arrays.get(name) is not None for name in ("dweight", "dbias", "sum", "along"))
    shape, aligned = (x.shape[0], x.shape[1], prod(x.shape[2:])), is_aligned(g, x, dx)
    tiling = _tiling(dtype_name(x.dtype), *shape, aligned)
    sums = wanted or not given
    parts = xp.empty((tiling.chunks, 2, x.shape[1]), dtype=xp.float32) if sums and tiling.chunks > 1 else None
    for plan, stage in plans("backward", dtype_name(x.dtype), *shape, sums=sums, apply=dx is not None, aligned=aligned):
        launch(plan, _arguments(plan, tiling, shape, stage, eps, parts=parts, g=g, x=x, weight=weight, **arrays))


def refuse_sizes(x: Any) -> str | None:
    """Why x has too many elements somewhere, or None."""
    sizes = x.shape[0], x.shape[1], prod(x.shape[2:])
    return f"sizes {sizes[0]}, {sizes[1]} and {sizes[2]}" if max(sizes) > _MOST else None


@functools.lru_cache(1024)
def plans(
    way: str, dtype: str, samples: int, channels: int, size: int, *, sums: bool, apply: bool, aligned: bool
) -> tuple[tuple[Plan, int], ...]:
    """The launches of a way, "forward" or "backward", each with its stage.

    sums: whether statistics or gradients of channels are computed. apply: whether y or dx is. aligned: all arrays begin at
    multiples of 16 bytes.
    """
    tiling = _tiling(dtype, samples, channels, size, aligned)
    read = 1 if way == "forward" else 2
    elements, parts = samples * channels * size, 8 * tiling.chunks * channels
    make = functools.partial(
        Plan,
        file=_FILE,
        entry=f"batch_norm_{way}<{C_TYPES[dtype]}, {tiling.vector}>",
        layout=_layout(way, C_TYPES[dtype]),
        grid=(tiling.tiles * tiling.chunks, 1, 1),
        block=tiling.block,
    )
    if not sums or tiling.chunks == 1:
        read = 1 if not sums else read
        return (
            (make(bytes=(read + apply) * elements * ITEM_SIZE[dtype], flops=8 * elements), _ALL if sums else _APPLY),
        )
    moved = (read + apply) * elements * ITEM_SIZE[dtype] if apply else 0
    return (
        (make(bytes=read * elements * ITEM_SIZE[dtype] + parts, flops=5 * elements), _GATHER),
        (make(bytes=moved + parts, flops=4 * elements * apply), _APPLY),
    )


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for."""
    for dtype in C_TYPES:
        for aligned in (True, False):
            for way in ("forward", "backward"):
                yield plans(way, dtype, 2, 8, 8, sums=True, apply=True, aligned=aligned)[0][0]


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
    height = _THREADS // width
    chunks = max(min(-(-steps // (height * flight)), most), 1)
    each = -(-steps // chunks)
    return _Tiling(tiles, -(-steps // each), each, (width, height, 1), vector)


def _arguments(plan: Plan, tiling: _Tiling, shape: tuple[int, int, int], stage: int, eps: float, **arrays: Any) -> Any:
    """The kernel's arguments; an array that is not named is a null pointer."""
    samples, channels, size = shape
    numbers = {
        "samples": samples, "channels": channels, "size": size, "chunks": tiling.chunks, "each": tiling.each,
        "stage": stage, "eps": eps,
    }  # fmt: skip
    return plan.layout(
        **{name: numbers[name] if name in numbers else arrays.get(name) for name, _ in plan.layout.fields}
    )


@functools.cache
def _layout(way: str, t: str) -> Layout:
    names = {
        "forward": (("y",), ("mean", "var", "centre", "scale", "parts"), ("x", "weight", "bias"), ()),
        "backward": (
            ("dx", "dweight", "dbias"), ("sum", "along", "parts"), ("g", "x", "weight"), ("centre", "scale", "dmean", "dvar")
        ),
    }[way]  # fmt: skip
    kinds = f"{t}*", "float*", f"const {t}*", "const float*"
    arrays = [(name, kind) for own, kind in zip(names, kinds, strict=True) for name in own]
    given = [(name, kind) for name, kind in zip(GIVEN, (kinds[2], kinds[2], kinds[3], kinds[3]), strict=True)]
    sizes = [(name, "int") for name in ("samples", "channels", "size", "chunks")]
    rest = [("each", "long long"), ("stage", "int"), ("eps", "float")]
    return Layout(f"{way.capitalize()}Arguments<{t}>", (*arrays, *given, *sizes, *rest))
