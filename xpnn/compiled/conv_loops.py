"""The loops of conv.py and conv_single.py: columns of windows and back, and convolution of single channels; imports Numba.

Axes are three, (D, H, W), the missing ones of size 1. A row of outputs is one (d, h). kernel, stride, before (the padding in
front), step (dilation) and out are tuples of three.

With stride 1 what a row of the columns sees, the input moved by a tap, is one long piece of memory, if rows of outputs are taken
as long as those of the input that they see: a frame (C, D, H, W) of the padded input, as wide as that. The outputs between the end
of a row and that of the frame's row mean nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .float32 import compiled

__all__ = ["finish", "frame", "framed_channel", "framed_columns", "framed_weight", "gather", "pitch", "scatter"]

_f = np.float32


@compiled
def _span(size: int, tap: int, stride: int, out: int) -> Any:
    """The places o from lo to hi - 1 at which o stride + tap lies within the size."""
    lo = 0 if tap >= 0 else (-tap + stride - 1) // stride
    hi = (size - 1 - tap) // stride + 1 if size - 1 - tap >= 0 else 0
    return min(lo, out), max(min(hi, out), min(lo, out))


@compiled
def _copy(source: Any, target: Any, start: int, stride: int) -> None:
    if stride == 1:
        own = source[start : start + len(target)]
        for i in range(len(target)):
            target[i] = own[i]
    else:
        for i in range(len(target)):
            target[i] = source[start + i * stride]


@compiled
def _add(source: Any, target: Any, start: int, stride: int) -> None:
    if stride == 1:
        own = target[start : start + len(source)]
        for i in range(len(source)):
            own[i] += source[i]
    else:
        for i in range(len(source)):
            target[start + i * stride] += source[i]


@compiled
def _walk(
    x: Any, columns: Any, at: int, rows: Any, kernel: Any, stride: Any, before: Any, step: Any, out: Any, back: bool
) -> None:
    """Every row of outputs of every tap: from x to its columns, or back."""
    channels, depth, height, width = x.shape
    places = out[2]
    index = 0
    for c in range(channels):
        for kd in range(kernel[0]):
            for kh in range(kernel[1]):
                for kw in range(kernel[2]):
                    line = columns[index]
                    index += 1
                    tap = kw * step[2] - before[2]
                    lo, hi = _span(width, tap, stride[2], places)
                    start = lo * stride[2] + tap
                    od, oh = rows[0] // out[1], rows[0] % out[1]
                    for row in range(rows[1] - rows[0]):
                        d = od * stride[0] + kd * step[0] - before[0]
                        h = oh * stride[1] + kh * step[1] - before[1]
                        own = line[at + row * places : at + (row + 1) * places]
                        inside = 0 <= d < depth and 0 <= h < height
                        if back:
                            if inside:
                                _add(own[lo:hi], x[c, d, h], start, stride[2])
                        elif inside:
                            own[:lo] = _f(0)
                            _copy(x[c, d, h], own[lo:hi], start, stride[2])
                            own[hi:] = _f(0)
                        else:
                            own[:] = _f(0)
                        oh += 1
                        if oh == out[1]:
                            oh = 0
                            od += 1


@compiled
def gather(
    x: Any, columns: Any, at: int, rows: Any, kernel: Any, stride: Any, before: Any, step: Any, out: Any
) -> None:
    """columns (C taps, columns), from column ``at`` on, of the output rows from rows[0] to rows[1]; x (C, D, H, W)."""
    _walk(x, columns, at, rows, kernel, stride, before, step, out, False)


@compiled
def scatter(
    x: Any, columns: Any, at: int, rows: Any, kernel: Any, stride: Any, before: Any, step: Any, out: Any
) -> None:
    """The transpose of gather: adds to x (C, D, H, W) what the columns have for it."""
    _walk(x, columns, at, rows, kernel, stride, before, step, out, True)


@compiled
def frame(x: Any, out: Any, origin: Any, stride: Any) -> None:
    """out (C, D, H, W): x (C, D', H', W') with its elements ``stride`` apart, from the place ``origin`` on; zeros elsewhere."""
    channels, depth, height, width = out.shape
    lo = max(0, -((-origin[2]) // stride[2])) if origin[2] > 0 else 0
    for c in range(channels):
        for d in range(depth):
            at_d = d + origin[0]
            is_plane = at_d >= 0 and at_d % stride[0] == 0 and at_d // stride[0] < x.shape[1]
            for h in range(height):
                at_h = h + origin[1]
                line = out[c, d, h]
                if is_plane and at_h >= 0 and at_h % stride[1] == 0 and at_h // stride[1] < x.shape[2]:
                    source = x[c, at_d // stride[0], at_h // stride[1]]
                    start = lo * stride[2] - origin[2]
                    if stride[2] == 1:
                        count = max(0, min(len(source) - lo, width - start))
                        for i in range(start):
                            line[i] = _f(0)
                        own, some = source[lo : lo + count], line[start : start + count]
                        for i in range(count):
                            some[i] = own[i]
                        for i in range(start + count, width):
                            line[i] = _f(0)
                    else:
                        for i in range(width):
                            line[i] = _f(0)
                        count = max(0, min(len(source) - lo, (width - start + stride[2] - 1) // stride[2]))
                        for i in range(count):
                            line[start + i * stride[2]] = source[lo + i]
                else:
                    for i in range(width):
                        line[i] = _f(0)


@compiled
def framed_columns(frame: Any, columns: Any, at: int, count: int, room: int, kernel: Any, step: Any) -> None:
    """columns (C taps, columns) from column ``at`` on: ``count`` places of the frame (C, D, H, W), zeros up to ``room``."""
    channels, depth, height, width = frame.shape
    index = 0
    for c in range(channels):
        source = frame[c].reshape(depth * height * width)
        for kd in range(kernel[0]):
            for kh in range(kernel[1]):
                for kw in range(kernel[2]):
                    shift = (kd * step[0] * height + kh * step[1]) * width + kw * step[2]
                    own, line = source[shift : shift + count], columns[index, at : at + room]
                    index += 1
                    for i in range(count):
                        line[i] = own[i]
                    for i in range(count, room):
                        line[i] = _f(0)


@compiled
def pitch(g: Any, out: Any, at: int, begin: int, end: int, width: int) -> None:
    """out (K, columns) from column ``at`` on: the rows from begin to end of g (K, rows, W), each ``width`` wide, then zeros."""
    for k in range(len(g)):
        for row in range(begin, end):
            start = at + (row - begin) * width
            line, source = out[k, start : start + width], g[k, row]
            for i in range(len(source)):
                line[i] = source[i]
            for i in range(len(source), width):
                line[i] = _f(0)


@compiled
def finish(product: Any, y: Any, at: int, begin: int, end: int, width: int, bias: Any, is_relu: bool) -> None:
    """The transpose of pitch: y (K, rows, W) from product (K, columns), plus the bias, of which perhaps the positive part."""
    for k in range(len(y)):
        b = bias[k]
        for row in range(begin, end):
            start = at + (row - begin) * width
            line = y[k, row]
            source = product[k, start : start + len(line)]
            if is_relu:
                for i in range(len(line)):
                    v = source[i] + b
                    line[i] = _f(0) if v <= _f(0) else v
            else:
                for i in range(len(line)):
                    line[i] = source[i] + b


@compiled
def _extent(out: Any, stride: Any) -> Any:
    """How many places outputs span, at stride 1."""
    return (out[0] - 1) * stride[0] + 1, (out[1] - 1) * stride[1] + 1, (out[2] - 1) * stride[2] + 1


@compiled
def framed_channel(
    planes: Any, x: Any, y: Any, weight: Any, bias: Any, kernel: Any, spread: Any, stride: Any, before: Any, step: Any,
    turned: bool,
) -> None:  # fmt: skip
    """Sums over single channels; planes: n K + k, k of y (N, K, D, H, W), of channel k // (K / C) of x (N, C, D, H, W).

    Turned, as in the gradient of x: y has C channels and x K, each channel of y sums those of x that it gave to, and the taps
    come in reverse. spread: how far apart the elements of x are taken to be; weight (K, *kernel).
    """
    out = y.shape[2:]
    each = max(x.shape[1] // y.shape[1], 1) if turned else y.shape[1] // x.shape[1]
    span = _extent(out, stride)
    size = (
        span[0] + (kernel[0] - 1) * step[0],
        span[1] + (kernel[1] - 1) * step[1],
        span[2] + (kernel[2] - 1) * step[2],
    )
    room = np.empty((1, size[0], size[1], size[2]), np.float32)
    flat = room.reshape(size[0] * size[1] * size[2])
    total = np.empty(((span[0] - 1) * size[1] + span[1] - 1) * size[2] + span[2], np.float32)
    origin = (-before[0], -before[1], -before[2])
    for plane in planes:
        n, k = plane // y.shape[1], plane % y.shape[1]
        for i in range(len(total)):
            total[i] = bias[k]
        for part in range(each if turned else 1):
            source = k * each + part if turned else k // each
            own = source if turned else k
            frame(x[n, source : source + 1], room, origin, spread)
            for kd in range(kernel[0]):
                for kh in range(kernel[1]):
                    for kw in range(kernel[2]):
                        shift = (kd * step[0] * size[1] + kh * step[1]) * size[2] + kw * step[2]
                        seen = flat[shift : shift + len(total)]
                        w = weight[own, kd, kh, kw]
                        if turned:
                            w = weight[own, kernel[0] - 1 - kd, kernel[1] - 1 - kh, kernel[2] - 1 - kw]
                        for i in range(len(total)):
                            total[i] += w * seen[i]
        for d in range(out[0]):
            for h in range(out[1]):
                start = (d * stride[0] * size[1] + h * stride[1]) * size[2]
                _copy(total, y[n, k, d, h], start, stride[2])


@compiled
def framed_weight(filters: Any, x: Any, g: Any, dw: Any, kernel: Any, stride: Any, before: Any, step: Any) -> None:
    """dw (K, *kernel), zeros before, of the same; filters: the numbers k."""
    each = g.shape[1] // x.shape[1]
    span = _extent(g.shape[2:], stride)
    size = (
        span[0] + (kernel[0] - 1) * step[0],
        span[1] + (kernel[1] - 1) * step[1],
        span[2] + (kernel[2] - 1) * step[2],
    )
    room = np.empty((1, size[0], size[1], size[2]), np.float32)
    flat = room.reshape(size[0] * size[1] * size[2])
    wide = np.empty((1, span[0], size[1], size[2]), np.float32)
    line = wide.reshape(span[0] * size[1] * size[2])[: ((span[0] - 1) * size[1] + span[1] - 1) * size[2] + span[2]]
    for k in filters:
        for n in range(len(x)):
            frame(x[n, k // each : k // each + 1], room, (-before[0], -before[1], -before[2]), (1, 1, 1))
            frame(g[n, k : k + 1], wide, (0, 0, 0), stride)
            for kd in range(kernel[0]):
                for kh in range(kernel[1]):
                    for kw in range(kernel[2]):
                        shift = (kd * step[0] * size[1] + kh * step[1]) * size[2] + kw * step[2]
                        seen = flat[shift : shift + len(line)]
                        total = _f(0)
                        for i in range(len(line)):
                            total += seen[i] * line[i]
                        dw[k, kd, kh, kw] += total
