"""The one formulation of the convolution kernels: phases and taps, as plain functions of integers.

Along every axis, for the targets o = b + out_step i of phase b (0 <= b < out_step),

    target[o] = sum over the taps j of the phase: source[i in_step + d_j] weight[r_j]
    r_j = r_0 + tap_step j,  d_j = d_0 + shift_step j

where a source outside of the array is zero. Over several axes the taps are the product of those of the axes, and so are the phases.

    op                                       phases              source -> target
    forward                                  one                 x -> y
    input gradient, transposed convolution   stride (each axis)  y -> x; every multiply-add is one that counts
    weight gradient                          one                 dw[r_j] = sum over o of dy[o] x[o in_step + d_j]

r_0 and d_0 of a phase have a closed form, so that a kernel finds them in a few instructions: b + shift must be a multiple of
g = gcd(out_step, dilation), then r_0 = (b + shift) / g * inverse modulo tap_step, and d_0 = (b + shift - r_0 dilation) / out_step.
"""

from __future__ import annotations

from math import gcd, prod
from typing import NamedTuple

from ..cpu.windows import Pairs

__all__ = ["AXES", "Axis", "Phase", "forward_axes", "gradient_axes", "phase", "phases", "taps"]

AXES = 3  # the kernels know three axes; missing ones are put in front, with size 1


class Axis(NamedTuple):
    """What a kernel is told of an axis; the names are those of its arguments."""

    source: int
    target: int
    kernel: int = 1
    out_step: int = 1
    in_step: int = 1
    shift: int = 0
    dilation: int = 1
    divisor: int = 1
    tap_step: int = 1
    inverse: int = 0
    shift_step: int = 1


class Phase(NamedTuple):
    """A phase of an axis: how many targets it has (places), and its taps: how many, the first one and its shift."""

    places: int
    taps: int
    first_tap: int
    first_shift: int


_NO_AXIS = Axis(1, 1)


def forward_axes(
    sources: tuple[int, ...],
    targets: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
) -> tuple[Axis, ...]:
    """The axes of the forward; sources are those of x, targets those of y. The padding behind the axis is in the targets."""
    own = [
        Axis(source, target, k, in_step=move, shift=-before, dilation=step, shift_step=step)
        for source, target, k, move, (before, _), step in zip(
            sources, targets, kernel, stride, padding, dilation, strict=True
        )
    ]
    return (*(_NO_AXIS,) * (AXES - len(own)), *own)


def gradient_axes(
    sources: tuple[int, ...],
    targets: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
) -> tuple[Axis, ...]:
    """The axes of the input gradient; sources are those of y, targets those of x: any size, so output_padding is one more."""
    own = []
    for source, target, k, move, (before, _), step in zip(
        sources, targets, kernel, stride, padding, dilation, strict=True
    ):
        divisor = gcd(move, step)
        tap_step = move // divisor
        own.append(
            Axis(
                source,
                target,
                k,
                out_step=move,
                shift=before,
                dilation=step,
                divisor=divisor,
                tap_step=tap_step,
                inverse=pow(step // divisor, -1, tap_step),
                shift_step=-step // divisor,
            )
        )
    return (*(_NO_AXIS,) * (AXES - len(own)), *own)


def phase(axis: Axis, b: int) -> Phase:
    """Phase b of an axis, as the kernels find it."""
    count = (axis.target - b + axis.out_step - 1) // axis.out_step
    at = b + axis.shift
    if at % axis.divisor:
        return Phase(count, 0, 0, 0)
    first = at // axis.divisor % axis.tap_step * axis.inverse % axis.tap_step
    taps = (axis.kernel - first + axis.tap_step - 1) // axis.tap_step if first < axis.kernel else 0
    return Phase(count, taps, first, (at - first * axis.dilation) // axis.out_step)


def taps(axis: Axis, b: int) -> list[tuple[int, int]]:
    """The pairs (r_j, d_j) of phase b."""
    found = phase(axis, b)
    return [(found.first_tap + axis.tap_step * j, found.first_shift + axis.shift_step * j) for j in range(found.taps)]


def phases(axes: tuple[Axis, ...]) -> int:
    """How many phases all axes have together."""
    return prod(axis.out_step for axis in axes)
