"""Phases and taps against naive loops: forward, input gradient, transposed convolution and weight gradient."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xpnn.cpu.windows import output_sizes
from xpnn.cuda.conv_taps import AXES, Axis, forward_axes, gradient_axes, phase, phases, taps

Shape = dict[str, Any]


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """A convolution over one to three axes, not empty; sizes as small as possible."""
    axes = draw(st.integers(1, 3))
    several = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(axes))  # noqa: E731
    kernel, stride, dilation = several(1, 4 if axes < 3 else 3), several(1, 4), several(1, 4)
    padding = tuple(zip(several(0, 3), several(0, 3), strict=True))
    least = [
        max(1, d * (k - 1) + 1 - before - after)
        for k, d, (before, after) in zip(kernel, dilation, padding, strict=True)
    ]
    sizes = tuple(n + draw(st.integers(0, 4)) for n in least)
    return {"sizes": sizes, "kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}


def output(shape: Shape) -> tuple[int, ...]:
    return output_sizes(*(shape[name] for name in ("sizes", "kernel", "stride", "padding", "dilation")))


def options(shape: Shape) -> tuple[Any, ...]:
    return tuple(shape[name] for name in ("kernel", "stride", "padding", "dilation"))


def pairs(shape: Shape) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
    """Every (output, input, position in the kernel) that the definition joins."""
    for o in itertools.product(*map(range, output(shape))):
        for r in itertools.product(*map(range, shape["kernel"])):
            moved = zip(o, r, shape["stride"], shape["dilation"], shape["padding"], strict=True)
            at = tuple(i * move + k * step - before for i, k, move, step, (before, _) in moved)
            if all(0 <= p < n for p, n in zip(at, shape["sizes"], strict=True)):
                yield o, at, r


def joined(axes: tuple[Axis, ...], dims: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
    """Every (target, source, position in the kernel) that phases and taps join."""
    for b in itertools.product(*(range(axis.out_step) for axis in axes)):
        counts = [range(phase(axis, start).places) for axis, start in zip(axes, b, strict=True)]
        steps = list(itertools.product(*(taps(axis, start) for axis, start in zip(axes, b, strict=True))))
        for i in itertools.product(*counts):
            target = tuple(start + axis.out_step * n for start, axis, n in zip(b, axes, i, strict=True))
            for tap in steps:
                source = tuple(n * axis.in_step + d for n, axis, (_, d) in zip(i, axes, tap, strict=True))
                if all(0 <= p < axis.source for p, axis in zip(source, axes, strict=True)):
                    yield target[-dims:], source[-dims:], tuple(r for r, _ in tap)[-dims:]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(shapes())
def test_the_forward_joins_what_the_definition_joins(shape: Shape) -> None:
    axes = forward_axes(shape["sizes"], output(shape), *options(shape))
    assert len(axes) == AXES and phases(axes) == 1
    assert sorted(joined(axes, len(shape["sizes"]))) == sorted(pairs(shape))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(shapes(), st.integers(0, 3))
def test_the_input_gradient_joins_the_same_turned_round(shape: Shape, more: int) -> None:
    """more: output_padding, or inputs that the last window does not reach; they get no taps or taps outside."""
    sizes = tuple(n + more for n in shape["sizes"])
    axes = gradient_axes(output(shape), sizes, *options(shape))
    turned = [(at, o, r) for o, at, r in pairs({**shape, "sizes": sizes})]
    expected = [p for p in turned if all(i < n for i, n in zip(p[1], output(shape), strict=True))]
    assert sorted(joined(axes, len(sizes))) == sorted(expected)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(shapes())
def test_every_target_belongs_to_one_phase(shape: Shape) -> None:
    axes = gradient_axes(output(shape), shape["sizes"], *options(shape))
    for axis in axes:
        own = [b + axis.out_step * i for b in range(axis.out_step) for i in range(phase(axis, b).places)]
        assert sorted(own) == list(range(axis.target))


def test_no_multiply_add_of_a_strided_gradient_is_wasted() -> None:
    """A 4x4 transposed convolution of stride 2 has four taps at each place; one of 1x1 has one, at every fourth place."""
    for kernel, expected in [(4, [2, 2]), (1, [1, 0]), (3, [2, 1])]:
        axis = gradient_axes((5,), (10,), (kernel,), (2,), ((0, 0),), (1,))[-1]
        assert [phase(axis, b).taps for b in range(2)] == expected


def test_the_weight_gradient_uses_the_taps_of_the_forward() -> None:
    rng = np.random.default_rng(0)
    shape = {"sizes": (9,), "kernel": (3,), "stride": (2,), "padding": ((2, 1),), "dilation": (2,)}
    axis = forward_axes(shape["sizes"], output(shape), *options(shape))[-1]
    x, g = rng.integers(-4, 5, 9), rng.integers(-4, 5, axis.target)
    dw = np.zeros(3, int)
    for r, d in taps(axis, 0):
        for o in range(axis.target):
            p = o * axis.in_step + d
            dw[r] += g[o] * x[p] if 0 <= p < 9 else 0
    expected = np.zeros(3, int)
    for (o,), (at,), (r,) in pairs(shape):
        expected[r] += g[o] * x[at]
    assert np.array_equal(dw, expected)
