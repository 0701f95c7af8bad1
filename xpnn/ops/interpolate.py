"""interpolate: images of other sizes, by torch's modes."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

from ..namespace import namespace
from ._checks import check_floating, check_number, check_whole, check_word
from ._windows import per_axis
from .adaptive_avg_pool import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

__all__ = ["check_grid", "interpolate"]

_LINEAR = {"linear": 1, "bilinear": 2, "trilinear": 3}
_MODES = ("nearest", "nearest-exact", *_LINEAR, "bicubic", "area")
_A = -0.75  # of the cubic convolution (Keys 1981)

# For each neighbour that counts: where it is for each element of the output, and its weight there.
Neighbours = list[tuple[list[int], list[float]]]


def interpolate(
    x: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
) -> Any:  # fmt: skip
    """x at the places of a finer or coarser grid: x (N, C, *S) -> y (N, C, *S'), with 1 to 3 axes S.

    size, or scale_factor: a number or one per axis; S' is size, or floor(S scale_factor). mode: "nearest" (rounding as torch does),
    "nearest-exact", "linear", "bilinear", "trilinear" (1, 2, 3 axes), "bicubic" (2 axes), "area" (the means of adaptive pooling).
    align_corners (linear and cubic modes): the outermost elements keep their places, else the outermost edges do.
    recompute_scale_factor: steps of S / S' and not of 1 / scale_factor.
    """
    check_grid(size, scale_factor, mode, align_corners, recompute_scale_factor)
    check_floating("x", x)
    axes = x.ndim - 2
    _check(x, axes, mode)
    sizes = tuple(x.shape[2:])
    out, factors = _sizes(sizes, size, scale_factor, recompute_scale_factor)
    if mode == "area":
        return (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[axes - 1](x, out)
    xp = namespace(x)
    wide = x.dtype == xp.float64
    for axis, (old, new, factor) in enumerate(zip(sizes, out, factors, strict=True), start=2):
        if old != new or factor not in (None, 1):
            x = _along(xp, x, axis, _neighbours(mode, old, new, factor, bool(align_corners), wide))
    return x


def check_grid(
    size: Any,
    scale_factor: Any,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute: bool | None = None,
) -> None:
    """Raises for options that no x goes with."""
    check_word("mode", mode, *_MODES)
    if align_corners is not None and mode not in (*_LINEAR, "bicubic"):
        raise ValueError(f"align_corners: expected None for mode {mode!r}, got {align_corners}")
    if (size is None) == (scale_factor is None):
        raise ValueError(f"size, scale_factor: expected one of the two, got {size} and {scale_factor}")
    if size is not None and recompute:
        raise ValueError("recompute_scale_factor: expected a scale_factor, got a size")
    for n in size if isinstance(size, list | tuple) else () if size is None else (size,):
        check_whole("size", n)
        if n < 1:
            raise ValueError(f"size: expected 1 or more, got {size}")
    factors = scale_factor if isinstance(scale_factor, list | tuple) else (scale_factor,)
    for factor in () if scale_factor is None else factors:
        check_number("scale_factor", factor)
        if not 0 < factor < math.inf:
            raise ValueError(f"scale_factor: expected numbers of more than 0, got {scale_factor}")


def _check(x: Any, axes: int, mode: str) -> None:
    wanted = 2 if mode == "bicubic" else _LINEAR.get(mode, axes)
    if axes not in (1, 2, 3) or axes != wanted or 0 in x.shape[2:]:
        count = f"{wanted}" if wanted in (1, 2, 3) else "1 to 3"
        raise ValueError(f"x: expected shape (N, C, *S) with {count} axes S for mode {mode!r}, got {tuple(x.shape)}")


def _sizes(
    sizes: tuple[int, ...], size: Any, scale_factor: Any, recompute: bool | None
) -> tuple[tuple[int, ...], Sequence[float | None]]:
    """The sizes of the output, and for each axis the factor that gives the step (None: the ratio of the sizes)."""
    if size is not None:
        return per_axis("size", size, len(sizes)), (None,) * len(sizes)
    factors = tuple(scale_factor) if isinstance(scale_factor, list | tuple) else (scale_factor,) * len(sizes)
    if len(factors) != len(sizes):
        raise ValueError(f"scale_factor: expected a number or {len(sizes)} of them, got {scale_factor}")
    out = tuple(math.floor(n * factor) for n, factor in zip(sizes, factors, strict=True))
    if min(out) < 1:
        raise ValueError(f"scale_factor: expected at least 1 element on each axis, got {out} of {sizes}")
    return out, (None,) * len(sizes) if recompute else factors


def _along(xp: Any, x: Any, axis: int, neighbours: Neighbours) -> Any:
    """The weighted sum of the neighbours along one axis."""
    shape = (1,) * axis + (-1,) + (1,) * (x.ndim - axis - 1)
    total: Any = None
    for places, weights in neighbours:
        part = _taken(xp, x, places, axis)
        if any(weight != 1 for weight in weights):
            part = part * xp.reshape(xp.asarray(weights, dtype=x.dtype, device=x.device), shape)
        total = part if total is None else total + part
    return total


def _taken(xp: Any, x: Any, places: list[int], axis: int) -> Any:
    if 0 in x.shape:  # CuPy takes nothing from an empty array
        return xp.zeros((*x.shape[:axis], len(places), *x.shape[axis + 1 :]), dtype=x.dtype, device=x.device)
    return xp.take(x, xp.asarray(places, dtype=xp.int64, device=x.device), axis=axis)


def _neighbours(mode: str, old: int, new: int, factor: float | None, align: bool, wide: bool) -> Neighbours:
    if mode.startswith("nearest"):
        step = 1 / factor if factor else old / new
        step = step if wide else _single(step)
        shift = 0.5 if mode == "nearest-exact" else 0.0
        return [([min(math.floor(_single((i + shift) * step)), old - 1) for i in range(new)], [1.0] * new)]
    if align:
        step = (old - 1) / (new - 1) if new > 1 else 0.0
        sources = [i * step for i in range(new)]
    else:
        step = 1 / factor if factor else old / new
        sources = [(i + 0.5) * step - 0.5 for i in range(new)]
    return _cubic(sources, old) if mode == "bicubic" else _linear([max(s, 0.0) for s in sources], old)


def _linear(sources: list[float], old: int) -> Neighbours:
    """The elements before and behind each place."""
    low = [min(int(s), old - 1) for s in sources]
    far = [min(max(s - i, 0.0), 1.0) for s, i in zip(sources, low, strict=True)]
    return [(low, [1 - t for t in far]), ([min(i + 1, old - 1) for i in low], far)]


def _cubic(sources: list[float], old: int) -> Neighbours:
    """The two elements before and the two behind each place; those beyond an end are the last one."""
    low = [math.floor(s) for s in sources]
    far = [s - i for s, i in zip(sources, low, strict=True)]
    return [([min(max(i + k, 0), old - 1) for i in low], [_kernel(abs(t - k)) for t in far]) for k in (-1, 0, 1, 2)]


def _kernel(d: float) -> float:
    """The weight of an element at a distance of 0 to 2."""
    if d <= 1:
        return ((_A + 2) * d - (_A + 3)) * d * d + 1
    return ((_A * d - 5 * _A) * d + 8 * _A) * d - 4 * _A


def _single(x: float) -> float:
    """x rounded to float32, as torch rounds the nearest places, and the step but for arrays of float64."""
    return float(struct.unpack("f", struct.pack("f", x))[0])
