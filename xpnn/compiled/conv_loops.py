"""The loops of conv.py: columns of windows and back, and convolution of single channels; imports Numba.

Axes are three, (D, H, W), the missing ones of size 1. A row of outputs is one (d, h). ``sizes``, ``kernel``, ``stride``, ``before``
(the padding in front), ``step`` (dilation) and ``out`` are tuples of three.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .float32 import compiled

__all__ = ["channel", "channel_back", "channel_weight", "gather", "scatter"]

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
def gather(
    x: Any, columns: Any, at: int, rows: Any, kernel: Any, stride: Any, before: Any, step: Any, out: Any
) -> None:
    """columns (C taps, columns), from column ``at`` on, of the output rows from rows[0] to rows[1]; x (C, D, H, W)."""
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
                    od, oh = rows[0] // out[1], rows[0] % out[1]
                    for row in range(rows[1] - rows[0]):
                        d = od * stride[0] + kd * step[0] - before[0]
                        h = oh * stride[1] + kh * step[1] - before[1]
                        begin = at + row * places
                        target = line[begin : begin + places]
                        if 0 <= d < depth and 0 <= h < height:
                            for i in range(lo):
                                target[i] = _f(0)
                            _copy(x[c, d, h], target[lo:hi], lo * stride[2] + tap, stride[2])
                            for i in range(hi, places):
                                target[i] = _f(0)
                        else:
                            for i in range(places):
                                target[i] = _f(0)
                        oh += 1
                        if oh == out[1]:
                            oh = 0
                            od += 1


@compiled
def scatter(
    x: Any, columns: Any, at: int, rows: Any, kernel: Any, stride: Any, before: Any, step: Any, out: Any
) -> None:
    """The transpose of gather: adds to x (C, D, H, W) what the columns have for it."""
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
                    od, oh = rows[0] // out[1], rows[0] % out[1]
                    for row in range(rows[1] - rows[0]):
                        d = od * stride[0] + kd * step[0] - before[0]
                        h = oh * stride[1] + kh * step[1] - before[1]
                        if 0 <= d < depth and 0 <= h < height:
                            begin = at + row * places
                            own, source = x[c, d, h], line[begin + lo : begin + hi]
                            start = lo * stride[2] + tap
                            if stride[2] == 1:
                                target = own[start : start + len(source)]
                                for i in range(len(source)):
                                    target[i] += source[i]
                            else:
                                for i in range(len(source)):
                                    own[start + i * stride[2]] += source[i]
                        oh += 1
                        if oh == out[1]:
                            oh = 0
                            od += 1


@compiled
def _add(source: Any, target: Any, w: Any, start: int, stride: int) -> None:
    """target[i] += w source[start + i stride]."""
    if stride == 1:
        own = source[start : start + len(target)]
        for i in range(len(target)):
            target[i] += w * own[i]
    else:
        for i in range(len(target)):
            target[i] += w * source[start + i * stride]


@compiled
def channel(
    planes: Any, x: Any, y: Any, weight: Any, bias: Any, kernel: Any, stride: Any, before: Any, step: Any
) -> None:
    """y (N, K, D, H, W), each filter k of one channel k // (K / C) of x (N, C, D, H, W); weight (K, *kernel); planes: n K + k."""
    filters, (depth, height, width) = y.shape[1], x.shape[2:]
    each = filters // x.shape[1]
    for plane in planes:
        n, k = plane // filters, plane % filters
        own, out = x[n, k // each], y[n, k]
        for od in range(y.shape[2]):
            for oh in range(y.shape[3]):
                line = out[od, oh]
                for i in range(len(line)):
                    line[i] = bias[k]
                for kd in range(kernel[0]):
                    d = od * stride[0] + kd * step[0] - before[0]
                    if 0 <= d < depth:
                        for kh in range(kernel[1]):
                            h = oh * stride[1] + kh * step[1] - before[1]
                            if 0 <= h < height:
                                source = own[d, h]
                                for kw in range(kernel[2]):
                                    tap = kw * step[2] - before[2]
                                    lo, hi = _span(width, tap, stride[2], len(line))
                                    w = weight[k, kd, kh, kw]
                                    _add(source, line[lo:hi], w, lo * stride[2] + tap, stride[2])


@compiled
def channel_back(planes: Any, dx: Any, g: Any, weight: Any, kernel: Any, stride: Any, before: Any, step: Any) -> None:
    """dx, zeros before, of the same; planes: n C + c."""
    channels, (depth, height, width) = dx.shape[1], dx.shape[2:]
    each = g.shape[1] // channels
    for plane in planes:
        n, c = plane // channels, plane % channels
        for k in range(c * each, (c + 1) * each):
            for od in range(g.shape[2]):
                for oh in range(g.shape[3]):
                    line = g[n, k, od, oh]
                    for kd in range(kernel[0]):
                        d = od * stride[0] + kd * step[0] - before[0]
                        if 0 <= d < depth:
                            for kh in range(kernel[1]):
                                h = oh * stride[1] + kh * step[1] - before[1]
                                if 0 <= h < height:
                                    target = dx[n, c, d, h]
                                    for kw in range(kernel[2]):
                                        tap = kw * step[2] - before[2]
                                        lo, hi = _span(width, tap, stride[2], len(line))
                                        w, start = weight[k, kd, kh, kw], lo * stride[2] + tap
                                        if stride[2] == 1:
                                            some, part = target[start : start + hi - lo], line[lo:hi]
                                            for i in range(hi - lo):
                                                some[i] += w * part[i]
                                        else:
                                            for i in range(hi - lo):
                                                target[start + i * stride[2]] += w * line[lo + i]


@compiled
def _dot(source: Any, line: Any, start: int, stride: int) -> Any:
    total = _f(0)
    if stride == 1:
        own = source[start : start + len(line)]
        for i in range(len(line)):
            total += own[i] * line[i]
    else:
        for i in range(len(line)):
            total += source[start + i * stride] * line[i]
    return total


@compiled
def channel_weight(filters: Any, x: Any, g: Any, dw: Any, kernel: Any, stride: Any, before: Any, step: Any) -> None:
    """dw (K, *kernel), zeros before, of the same; filters: the numbers k."""
    depth, height, width = x.shape[2:]
    each = g.shape[1] // x.shape[1]
    for k in filters:
        for n in range(len(x)):
            own = x[n, k // each]
            for od in range(g.shape[2]):
                for oh in range(g.shape[3]):
                    line = g[n, k, od, oh]
                    for kd in range(kernel[0]):
                        d = od * stride[0] + kd * step[0] - before[0]
                        if 0 <= d < depth:
                            for kh in range(kernel[1]):
                                h = oh * stride[1] + kh * step[1] - before[1]
                                if 0 <= h < height:
                                    for kw in range(kernel[2]):
                                        tap = kw * step[2] - before[2]
                                        lo, hi = _span(width, tap, stride[2], len(line))
                                        dw[k, kd, kh, kw] += _dot(
                                            own[d, h], line[lo:hi], lo * stride[2] + tap, stride[2]
                                        )
