"""max_pool: the largest element in a sliding window; max_pool1d, 2d and 3d take torch's arguments; max_unpool1d, 2d and 3d."""

from __future__ import annotations

import math
from typing import Any

from ..cpu import max_pool as cpu
from ..cuda import max_pool as cuda
from ..gradients import custom_vjp
from ..namespace import namespace
from ..namespace.array import unbox
from ..namespace.libraries import library_name, raw_namespace
from ..namespace.scatter import add_taken_along
from ..primitive import Primitive
from ._checks import check_array, check_floating
from ._places import Positions, largest_places
from ._windows import Pairs, batched, first_axis, fitting_sizes, pad, per_axis, pooling_padding, taps

__all__ = [
    "max_pool",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]


def reference(
    x: Any,
    *,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    data_format: str = "channels_first",
) -> Any:
    """y[o] = max over t of x[o stride + t dilation], x padded with -inf; nan wins.

    x (N, C, *S) -> y (N, C, *O), with data_format="channels_last" x (N, *S, C) -> y (N, *O, C); floating point. One tuple
    entry for each axis S, padding (before, after). The gradient goes to the first of several largest elements.
    """
    first = first_axis(data_format)
    out = fitting_sizes(tuple(x.shape[first : first + len(kernel)]), kernel, stride, padding, dilation)
    xp = namespace(x)
    best = None
    for seen in taps(pad(xp, x, padding, -math.inf, first), kernel, out, stride, dilation, first):
        best = seen if best is None else xp.where(xp.logical_or(seen > best, xp.isnan(seen)), seen, best)
    return best


max_pool = Primitive(reference, name="max_pool")
max_pool.add("numpy", cpu)
max_pool.add("cupy", cuda)


def max_pool1d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False, *, data_format: str = "channels_first",
) -> Any:  # fmt: skip
    """The largest element in windows over one axis: x (N, C, L) or (C, L) -> y (N, C, O) or (C, O)."""
    return _max_pool(1, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, data_format)


def max_pool2d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False, *, data_format: str = "channels_first",
) -> Any:  # fmt: skip
    """The largest element in windows over two axes: x (N, C, H, W) or (C, H, W) -> y.

    kernel_size, stride (None: the kernel), padding, dilation: an integer, or one for each axis. ceil_mode: a last window
    that the input fills only in part counts. return_indices: (y, int64 of its shape), where in H W each element of y was.
    """
    return _max_pool(2, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, data_format)


def max_pool3d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False, *, data_format: str = "channels_first",
) -> Any:  # fmt: skip
    """The largest element in windows over three axes: x (N, C, D, H, W) or (C, D, H, W) -> y."""
    return _max_pool(3, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, data_format)


def _max_pool(
    axes: int, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, places: bool, data_format: str
) -> Any:  # fmt: skip
    """max_pool with its arguments in normal form; an x without a batch axis gets one meanwhile."""
    kernel = per_axis("kernel_size", kernel_size, axes)
    stride = kernel if stride is None else per_axis("stride", stride, axes)
    dilation = per_axis("dilation", dilation, axes)
    check_floating("x", x)
    xp = namespace(x)
    x, had_batch = batched(xp, x, axes)
    first = first_axis(data_format)
    amounts = per_axis("padding", padding, axes, least=0)
    pairs = pooling_padding(tuple(x.shape[first : first + axes]), kernel, stride, amounts, dilation, ceil_mode)
    y = max_pool(x, kernel=kernel, stride=stride, padding=pairs, dilation=dilation, data_format=data_format)
    found: tuple[Any, ...] = (y,)
    if places:
        found = (
            y,
            largest_places(x, _positions(y.shape[first : first + axes], kernel, stride, pairs, dilation), first),
        )
    found = found if had_batch else tuple(xp.squeeze(z, axis=0) for z in found)
    return found if places else found[0]


def _positions(
    out: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], padding: Pairs, dilation: tuple[int, ...]
) -> Positions:
    """What each position of the window sees at each of its places, counted in the input without its padding."""
    return [
        [[o * move + t * step - before for o in range(n)] for t in range(k)]
        for n, k, move, (before, _), step in zip(out, kernel, stride, padding, dilation, strict=True)
    ]


# ---- back to the places


def max_unpool1d(
    x: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """The elements of a max_pool1d back in their places, zeros between them: x (N, C, O) or (C, O) -> y (N, C, L) or (C, L)."""
    return _max_unpool(1, x, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    x: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """The elements of a max_pool2d back in their places, zeros between them; indices as max_pool2d returns them.

    x (N, C, *O) or (C, *O) -> y (N, C, H, W) or (C, H, W), H and W being output_size (None: what the windows cover).
    """
    return _max_unpool(2, x, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    x: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """The elements of a max_pool3d back in their places, zeros between them."""
    return _max_unpool(3, x, indices, kernel_size, stride, padding, output_size)


def _max_unpool(axes: int, x: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any) -> Any:
    kernel = per_axis("kernel_size", kernel_size, axes)
    stride = kernel if stride is None else per_axis("stride", stride, axes)
    amounts = per_axis("padding", padding, axes, least=0)
    check_floating("x", x)
    _check_places(indices)
    if x.ndim not in (axes + 1, axes + 2) or indices.shape != x.shape:
        raise ValueError(
            f"indices: expected the shape of x, with {axes + 2} or {axes + 1} axes, got {indices.shape} for {x.shape}"
        )
    zipped = zip(x.shape[-axes:], kernel, stride, amounts, strict=True)
    covered = tuple((n - 1) * move + k - 2 * amount for n, k, move, amount in zipped)
    sizes = covered if output_size is None else _near(output_size, covered, stride, axes)
    xp, before = namespace(x), tuple(x.shape[:-axes])
    _check_reach(unbox(indices), sizes)
    rows = tuple(xp.reshape(z, (*before, math.prod(x.shape[-axes:]))) for z in (x, indices))
    return xp.reshape(_scattered(rows[0], unbox(rows[1]), math.prod(sizes)), (*before, *sizes))


def _check_places(indices: Any) -> None:
    check_array("indices", indices)
    raw = unbox(indices)
    if not raw_namespace(raw).isdtype(raw.dtype, "integral"):
        raise TypeError(f"indices: expected integers, got dtype {raw.dtype}")


def _check_reach(indices: Any, sizes: tuple[int, ...]) -> None:
    """Only where looking at a value costs no synchronisation."""
    count = math.prod(sizes)
    if library_name(indices) == "numpy" and indices.size and not 0 <= indices.min() <= indices.max() < count:
        got = f"{indices.min()} to {indices.max()}"
        raise ValueError(f"indices: expected integers in 0..{count - 1}, the places of {sizes}, got {got}")


def _near(output_size: Any, covered: tuple[int, ...], stride: tuple[int, ...], axes: int) -> tuple[int, ...]:
    """output_size as one size for each axis, which differ from what the windows cover by less than a stride."""
    if not isinstance(output_size, list | tuple):
        raise TypeError(f"output_size: expected {axes} sizes, got {type(output_size).__name__}")
    sizes = per_axis("output_size", tuple(output_size)[-axes:], axes)
    if any(abs(size - n) >= move for size, n, move in zip(sizes, covered, stride, strict=True)):
        raise ValueError(f"output_size: expected sizes nearer to {covered} than the stride {stride}, got {sizes}")
    return sizes


def _put(x: Any, indices: Any, size: int) -> tuple[Any, Any]:
    """x (..., O) in the places ``indices`` of (..., size); what comes twice has the same value, and is put once."""
    xp = raw_namespace(x)
    total, count = (add_taken_along(z, indices, size, x.ndim - 1) for z in (x, xp.ones_like(x)))
    return xp.where(count > 1, total / xp.where(count > 1, count, xp.ones_like(count)), total), indices


def _picked(indices: Any, g: Any) -> tuple[Any, None, None]:
    return namespace(g).take_along_axis(g, indices, axis=-1), None, None


_scattered = custom_vjp(_put, _picked)
