"""conv by compiled loops against its reference, in float32: columns, single channels, Winograd's products."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.compiled import conv, winograd
from xpnn.cpu.im2col import geometry
from xpnn.testing import check_primitive


def of(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def case(
    x: tuple[int, ...], filters: int, kernel: tuple[int, ...], stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1, activation: str | None = None, bias: bool = True,
) -> Any:  # fmt: skip
    axes = len(kernel)

    def each(v: Any) -> tuple[Any, ...]:
        return (v,) * axes if isinstance(v, int) else tuple(v)

    pairs = tuple(p if isinstance(p, tuple) else (p, p) for p in each(padding))
    options = {
        "stride": each(stride), "padding": pairs, "dilation": each(dilation), "groups": groups, "activation": activation,
    }  # fmt: skip
    return (of(*x), of(filters, x[1] // groups, *kernel), of(filters) if bias else None), options


CASES = [
    case((2, 3, 9), 4, (3,), 2, 1),
    case((2, 3, 7), 4, (1,), bias=False),
    case((3, 2, 8), 3, (4,), 1, ((5, 0),), 1),
    case((2, 3, 7, 6), 5, (3, 3), 1, 1, activation="relu"),
    case((2, 3, 7, 6), 5, (3, 2), (2, 1), ((0, 2), (1, 0)), (1, 2), activation="tanh"),
    case((5, 4, 6, 6), 6, (1, 1), 2),
    case((5, 4, 6, 6), 6, (1, 1), activation="sigmoid"),
    case((1, 2, 5, 4, 3), 3, (2, 3, 2), (1, 2, 1), 1),
    case((3, 2, 4, 4), 2, (4, 4), bias=False),
    case((2, 2, 3, 3), 3, (3, 3), 1, 3),
    case((2, 1, 9, 9), 4, (5, 5), 1, ((0, 4), (4, 0))),
    case((2, 4, 10), 4, (3,), 1, ((2, 0),), groups=4),
    case((2, 4, 7, 8), 8, (3, 3), 2, 1, groups=4, activation="relu"),
    case((2, 4, 7, 8), 4, (2, 3), (1, 2), (1, 3), (3, 2), groups=4, bias=False),
    case((1, 3, 4, 5, 6), 3, (3, 3, 3), 1, 1, groups=3),
]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_against_the_reference(threads: int, number: int) -> None:
    arrays, options = CASES[number]
    assert conv.refusal(*arrays, **options) is None
    check_primitive(ops.conv, [CASES[number]])


@pytest.mark.parametrize("bytes_", [1, 4000, 20000])
@pytest.mark.parametrize("number", [0, 3, 4, 5, 7, 8])
def test_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch, threads: int, bytes_: int, number: int) -> None:
    """One row of outputs, some, an image, or several."""
    monkeypatch.setattr(conv, "_BYTES", bytes_)
    monkeypatch.setattr(conv, "_COLUMNS", 1)
    for cached in (conv._blocks, conv._room):
        cached.cache_clear()
    check_primitive(ops.conv, [CASES[number]])
    for cached in (conv._blocks, conv._room):
        cached.cache_clear()


def test_blocks_cover_every_output_once() -> None:
    for batch, sizes in [(1, (40, 50)), (7, (9, 9)), (3, (300,)), (2, (4, 30, 30))]:
        axes, ones = len(sizes), (1,) * len(sizes)
        plan = geometry((batch, 64, *sizes), (8, 64, *(3,) * axes), ones, ((1, 1),) * axes, ones, 1)
        rows = int(np.prod(conv.axes_of(plan).out[:2]))
        seen = np.zeros((batch, rows), int)
        for block in conv._blocks(plan):
            seen[block.first : block.last, block.begin : block.end] += 1
        assert (seen == 1).all()


@pytest.mark.parametrize(
    ("height", "width", "padding"), [(8, 8, 1), (5, 9, 0), (7, 4, 2), (1, 6, 1), (3, 3, 0), (6, 5, 1)]
)
@pytest.mark.parametrize("activation", [None, "relu"])
def test_winograd(
    monkeypatch: pytest.MonkeyPatch, threads: int, height: int, width: int, padding: int, activation: str | None
) -> None:
    monkeypatch.setattr(winograd, "_FEWEST", 1)
    monkeypatch.setattr(winograd, "_SHORTEST", 1)
    monkeypatch.setattr(winograd, "_BYTES", 700)
    check_primitive(ops.conv, [case((3, 3, height, width), 5, (3, 3), 1, padding, activation=activation)])
    check_primitive(ops.conv, [case((2, 2, height, width), 3, (3, 3), 1, ((padding, 2), (1, padding)), bias=False)])


def test_winograd_is_more_accurate_than_the_direct_sum() -> None:
    (x, w, b), options = case((2, 64, 24, 24), 64, (3, 3), 1, 1)
    assert winograd.pays(geometry(x.shape, w.shape, (1, 1), options["padding"], (1, 1), 1))
    exact = ops.conv(x.astype(float), w.astype(float), b.astype(float), **options)
    error = np.sqrt(np.mean((ops.conv(x, w, b, **options) - exact) ** 2) / np.mean(exact**2))
    assert error < 4e-7


@pytest.mark.parametrize(
    ("change", "why"),
    [({"data_format": "channels_last"}, "data_format channels_last"), ({"groups": 2}, "2 groups of several channels")],
)
def test_what_is_left_to_the_plain_form(change: dict[str, Any], why: str) -> None:
    (x, _, b), options = case((2, 4, 5, 5), 4, (3, 3))
    w = of(4, 4 // change.get("groups", 1), 3, 3)
    x = np.moveaxis(x, 1, -1) if "data_format" in change else x
    assert conv.refusal(x, w, b, **{**options, **change}) == why
