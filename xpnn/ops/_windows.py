"""What convolution and pooling have in common: their arguments in normal form, padding, and the positions of a window."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from operator import index
from typing import Any

from ..cpu.windows import Pairs, output_sizes, transposed_sizes, window_slices
from ..namespace import namespace
from ._checks import check_array, check_floating, check_whole

__all__ = [
    "Pairs",
    "batched",
    "channels_of",
    "convolved",
    "first_axis",
    "fitting_sizes",
    "pad",
    "per_axis",
    "pooling_padding",
    "taps",
    "transposed_sizes",
    "zero_padding",
]


def per_axis(name: str, value: Any, axes: int, least: int = 1) -> tuple[int, ...]:
    """An integer for every axis: of a single one, or of a sequence with one for each axis."""
    try:
        values = (index(value),) * axes if hasattr(value, "__index__") else tuple(map(index, value))
    except TypeError:
        values = ()
    if len(values) != axes or min(values) < least or isinstance(value, bool):
        raise ValueError(f"{name}: expected an integer or {axes} of them, each at least {least}, got {value!r}")
    return values


def zero_padding(padding: Any, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]) -> Pairs:
    """How much is put (before, after) each axis, of torch's padding: integers, "valid" or "same"."""
    if not isinstance(padding, str):
        return tuple((p, p) for p in per_axis("padding", padding, len(kernel), least=0))
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding != "same":
        raise ValueError(f'padding: expected integers, "valid" or "same", got {padding!r}')
    if any(move != 1 for move in stride):
        raise ValueError(f'padding: "same" needs stride 1, expected no other with it, got stride {stride}')
    totals = [step * (k - 1) for k, step in zip(kernel, dilation, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)


def pooling_padding(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
) -> Pairs:
    """How much is put (before, after) each axis; with ceil_mode so much that a last, incomplete window fits.

    As in torch, a window that would start beyond the input and the padding before it is left out.
    """
    if 0 in sizes:
        raise ValueError(f"x: expected axes of at least 1 element to pool over, got {sizes}")
    pairs = []
    for size, k, move, amount, step in zip(sizes, kernel, stride, padding, dilation, strict=True):
        width = step * (k - 1) + 1
        if amount > width // 2:
            raise ValueError(f"padding: expected at most half of the window of {width}, got {amount}")
        after = amount
        if ceil_mode:
            windows = -(-(size + 2 * amount - width) // move) + 1
            if (windows - 1) * move >= size + amount:
                windows -= 1
            after = max(amount, (windows - 1) * move + width - size - amount)
        pairs.append((amount, after))
    return tuple(pairs)


def fitting_sizes(
    sizes: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], padding: Pairs, dilation: tuple[int, ...]
) -> tuple[int, ...]:
    """The sizes of the output; ValueError if the window does not fit into the padded input."""
    out = output_sizes(sizes, kernel, stride, padding, dilation)
    if any(n < 1 for n in out):
        least = tuple(step * (k - 1) + 1 for k, step in zip(kernel, dilation, strict=True))
        window = f"the window {kernel} of dilation {dilation}"
        raise ValueError(f"x: axes {sizes}, padded by {padding}, are smaller than {window}, expected at least {least}")
    return out


def first_axis(data_format: str) -> int:
    """The first axis that a window slides along."""
    if not isinstance(data_format, str) or data_format not in ("channels_first", "channels_last"):
        raise ValueError(f'data_format: expected "channels_first" or "channels_last", got {data_format!r}')
    return 2 if data_format == "channels_first" else 1


def batched(xp: Any, x: Any, axes: int) -> tuple[Any, bool]:
    """x with a batch axis of size 1 in front if it has none, and whether it had one."""
    if x.ndim not in (axes + 1, axes + 2):
        raise ValueError(f"x: expected {axes + 2} axes, or {axes + 1} without a batch, got shape {x.shape}")
    return (x, True) if x.ndim == axes + 2 else (xp.expand_dims(x, axis=0), False)


def convolved(axes: int, x: Any, weight: Any, bias: Any, groups: Any, order: str) -> tuple[Any, Any, bool]:
    """(the library, x with a batch axis, whether it had one) for a convolution over some axes.

    order: of the weight's axes before the kernel, for the message.
    """
    check_array("weight", weight)
    if weight.ndim != axes + 2:
        raise ValueError(f"weight: expected {axes + 2} axes ({order}, *kernel), got shape {weight.shape}")
    check_whole("groups", groups)
    check_floating("x", x)
    xp = namespace(x, weight, bias)
    return xp, *batched(xp, x, axes)


def channels_of(x: Any, weight: Any, groups: int, data_format: str, what: str) -> int:
    """The channels of x (N, C, *S) or (N, *S, C); ValueError where the weight is none for its axes, or groups do not divide.

    what: the first axis of the weight is, for the message.
    """
    first_axis(data_format)
    if x.ndim != weight.ndim or not 3 <= x.ndim <= 5:
        raise ValueError(f"x: expected as many axes as the weight of shape {weight.shape}, 3 to 5, got {x.shape}")
    if 0 in weight.shape[2:]:
        raise ValueError(f"weight: expected a kernel of size 1 or more along each axis, got shape {weight.shape}")
    if groups < 1 or weight.shape[0] % groups:
        raise ValueError(f"groups: expected a divisor of the {weight.shape[0]} {what}, got {groups}")
    return x.shape[1 if data_format == "channels_first" else -1]  # type: ignore[no-any-return]


def pad(xp: Any, x: Any, padding: Pairs, value: float, first: int = 2) -> Any:
    """x with its axes from ``first`` on made longer by (before, after) elements of ``value``."""
    for axis, amounts in enumerate(padding, start=first):
        before, after = (
            [xp.full((*x.shape[:axis], n, *x.shape[axis + 1 :]), value, dtype=x.dtype, device=x.device)] if n else []
            for n in amounts
        )
        x = xp.concat([*before, x, *after], axis=axis) if before or after else x
    return x


def taps(
    x: Any,
    kernel: tuple[int, ...],
    out: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    first: int = 2,
) -> Iterator[Any]:
    """What each position of the window sees of the padded x, at all places of the window; last axis fastest."""
    for tap in product(*map(range, kernel)):
        yield x[((slice(None),) * first + window_slices(tap, out, stride, dilation) + (...,))]
