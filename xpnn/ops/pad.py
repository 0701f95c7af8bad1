"""pad: arrays made longer at the ends of their last axes."""

from __future__ import annotations

from operator import index
from typing import Any

from ..namespace import namespace
from ._checks import check_array, check_floating, check_number

__all__ = ["pad"]


def pad(x: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """x made longer at both ends of its last axes, with torch's arguments: x (..., *S) -> y (..., *S').

    pad: how many elements (before, after) the last axis, then those of the one before it, and so on for any number of axes;
    a negative number cuts elements off. mode: "constant", filled with ``value`` (None: 0); "reflect", the elements mirrored at
    the first and the last one, which are not repeated; "replicate", the first and the last one repeated; "circular", the
    elements as if the other end followed. Any dtype. Elements that are cut off are still mirrored, as in torch, and what
    circular continues is without them.
    """
    check_array("x", x)
    _check_mode(x, mode, value)
    xp = namespace(x)
    for axis, before, after in _amounts(x, pad):
        if mode == "circular":
            x = _cut(x, axis, before, after)
        x = _extended(xp, x, axis, max(before, 0), max(after, 0), mode, value or 0)
        if mode != "circular":
            x = _cut(x, axis, before, after)
    return x


def _check_mode(x: Any, mode: Any, value: Any) -> None:
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise ValueError(f'mode: expected "constant", "reflect", "replicate" or "circular", got {mode!r}')
    if value is None:
        return
    check_number("value", value)
    if mode != "constant" and value != 0:
        raise ValueError(f'value: expected none with mode "{mode}", got {value}')
    if value % 1 != 0:
        check_floating("x", x)


def _amounts(x: Any, pad: Any) -> list[tuple[int, int, int]]:
    """(axis, before, after) for each axis to be padded."""
    try:
        flat = tuple(map(index, pad))
    except TypeError:
        flat = (0,)
    if len(flat) % 2:
        raise ValueError(f"pad: expected integers, two for each axis from the last one on, got {pad!r}")
    if len(flat) > 2 * x.ndim:
        raise ValueError(f"pad: expected two integers for each axis of x {tuple(x.shape)} at most, got {pad!r}")
    found = [(x.ndim - 1 - i, flat[2 * i], flat[2 * i + 1]) for i in range(len(flat) // 2)]
    for axis, before, after in found:
        if x.shape[axis] + min(before, 0) + min(after, 0) < 0:
            what = f"the {x.shape[axis]} elements of axis {axis} of x {tuple(x.shape)}"
            raise ValueError(f"pad: expected to cut off {what} at most, got {(before, after)}")
    return found


def _cut(x: Any, axis: int, before: int, after: int) -> Any:
    """x without what negative amounts cut off."""
    if before >= 0 and after >= 0:
        return x
    return _part(x, axis, max(-before, 0), x.shape[axis] + min(before, 0) + min(after, 0))


def _part(x: Any, axis: int, start: int, count: int) -> Any:
    return x[(*(slice(None),) * axis, slice(start, start + count), ...)]


def _extended(xp: Any, x: Any, axis: int, before: int, after: int, mode: str, value: float) -> Any:
    """x with so many elements more before and after an axis."""
    if not before and not after:
        return x
    size = x.shape[axis]
    most = {"reflect": max(size - 1, 0), "circular": size, "replicate": 0 if not size else before + after}.get(mode)
    if most is not None and max(before, after) > most:
        what = f'axis {axis} of x {tuple(x.shape)} in mode "{mode}"'
        raise ValueError(f"pad: expected a padding of at most {most} for {what}, got {(before, after)}")
    first = [_end(xp, x, axis, before, False, mode, value)] if before else []
    last = [_end(xp, x, axis, after, True, mode, value)] if after else []
    return xp.concat([*first, x, *last], axis=axis)


def _end(xp: Any, x: Any, axis: int, count: int, last: bool, mode: str, value: float) -> Any:
    """The ``count`` elements before the first one, or behind the last one, of an axis."""
    size, shape = x.shape[axis], (*x.shape[:axis], count, *x.shape[axis + 1 :])
    if mode == "constant":
        return xp.full(shape, value, dtype=x.dtype, device=x.device)
    if mode == "replicate":
        return xp.broadcast_to(_part(x, axis, size - 1 if last else 0, 1), shape)
    if mode == "circular":
        return _part(x, axis, 0 if last else size - count, count)
    return xp.flip(_part(x, axis, size - 1 - count if last else 1, count), axis=axis)
