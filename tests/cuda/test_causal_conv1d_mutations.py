"""Faults planted in the kernels of causal_conv1d, one token each: all must be seen, as a wrong number or an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .emulated import emulating
from .mutations import behind_head, holds, plant
from .test_causal_conv1d import FIRST, LAST, draw, exact, ours

# name: shape, layout, activation. Columns: filters of 3 in room for 4, two strips; rows: vectors and both ends of them.
CASES: dict[str, Any] = {
    "columns": ((2, 8, 33, 3), LAST, "relu"),
    "single": ((2, 3, 19, 5), LAST, None),
    "rows": ((2, 3, 25, 4), FIRST, "relu"),
    "long rows": ((1, 2, 24, 6), FIRST, "relu"),
}
# case, kernel, a place in the text, first behind its name, what comes there instead
FAULTS = [
    ("columns", "forward", "begin - 1 - d", "begin - 2 - d"),
    ("columns", "forward", "if (d < a.taps - 1) store_floats", "if (d < a.taps) store_floats"),
    ("columns", "backward", "if (t < end) {", "{"),
    ("columns", "backward", "p + a.taps - 1 - a.steps", "p + a.taps - a.steps"),
    ("columns", "backward", "__syncthreads();\n        for", "for"),
    ("single", "backward", "d == K ? a.taps : a.taps - 1 - d", "d == K ? a.taps : d"),
    ("single", "forward", "t + taps > 0", "t + taps > 1"),
    ("rows", "forward", "chunk * N - row.lead", "chunk * N"),
    ("rows", "forward", "if (row.whole(first))", "if (a.vector)"),
    ("long rows", "forward", "row.taps - 1 > N", "row.taps - 2 > N"),
    ("rows", "backward", "a.chunks - a.ahead", "a.chunks"),
    ("rows", "backward", "place >= 0 && first + i", "place > 0 && first + i"),
    ("rows", "backward", "i >= N + a.taps - 1 ||", "i >= N + a.taps - 2 ||"),
    ("rows", "backward", "w < int(blockDim.x) / 32", "w < int(blockDim.x) / 64"),
    ("rows", "backward", "    __syncthreads();\n    const int d", "    const int d"),
]


def is_right(name: str) -> bool:
    """Whether the kernels compute this case of small integers exactly; raises what the emulator raises."""
    shape, layout, activation = CASES[name]
    arrays = draw(shape, "float32", layout is LAST, whole=True)
    found, wanted = (f(arrays, activation=activation, **layout) for f in (ours, exact))
    return all(np.array_equal(x, y) for x, y in zip(found, wanted, strict=True))


@pytest.mark.parametrize(("name", "kernel", "place", "fault"), FAULTS)
def test_a_planted_fault_is_seen(
    monkeypatch: pytest.MonkeyPatch, name: str, kernel: str, place: str, fault: str
) -> None:
    def change(source: str, entry: str) -> str | None:
        return behind_head(source, entry, place, fault) if kernel in entry.partition("<")[0] else None

    planted = plant(monkeypatch, change)
    with emulating(monkeypatch):
        right = holds(lambda: is_right(name))
    assert planted and not right


@pytest.mark.parametrize("name", CASES)
def test_without_a_fault_all_is_right(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with emulating(monkeypatch):
        assert is_right(name)
