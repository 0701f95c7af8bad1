"""Faults planted in the kernels of depthwise convolution with the channels last, and in what both layouts share: all are seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .emulated import emulating
from .mutations import behind_head, holds, plant
from .test_conv_depthwise import expect, integers
from .test_conv_depthwise_last import last, run

# name: case, activation
CASES: dict[str, Any] = {
    "sliding": ((2, 8, 1, (7, 6), (3, 3), {"padding": 1}), "relu"),
    "strided": ((2, 8, 1, (8, 9), (3, 3), {"stride": 2, "padding": 1}), None),
    "dilated": ((1, 8, 1, (21, 5), (3, 2), {"dilation": (2, 1), "padding": (2, 0)}), None),
    "large": ((3, 8, 1, (9, 23), (2, 2), {}), None),
    "several": ((2, 3, 2, (9, 5), (5, 2), {"padding": (2, 1)}), "relu"),
}
# case, kernel, a place in the text, first behind its name, what comes there instead
FAULTS = [
    ("sliding", "gather", "h + q * a.apart < a.size_h", "h + q * a.apart <= a.size_h"),
    ("sliding", "gather", "top + th * a.dilation_h", "top + 1 + th"),
    ("sliding", "gather", "unsigned(x) < unsigned(a.seen_w)", "x < a.seen_w"),
    ("sliding", "gather", "(a.reversed ? taps - 1 - t : t)", "t"),
    ("sliding", "gather", "taps + e];\n    }\n    __syncthreads();", "taps + e];\n    }"),
    ("sliding", "gather", "activated(a.activation, sum[i] + bias[i])", "activated(a.activation, sum[i]) + bias[i]"),
    ("strided", "gather", "add_product(sum[q], weight, x)", "add_product(sum[0], weight, x)"),
    ("strided", "spread", "y -= along_h.back", "y += along_h.back"),
    ("strided", "spread", "x -= along_w.back", "x += along_w.back"),
    ("strided", "spread", "from % stride == 0", "from / stride >= 0"),
    ("dilated", "gather", "strip % apart", "strip / apart"),
    ("several", "gather", "output / a.divide * a.times", "output / a.divide"),
    ("several", "gather", "+ channel + j, seen}", "+ channel, seen}"),
    ("sliding", "weight", "min((a.size_h - h + a.apart - 1) / a.apart, ROWS)", "ROWS"),
    ("sliding", "weight", "add_product(sum[r - q], g[q], x)", "add_product(sum[0], g[q], x)"),
    ("several", "weight", "filter / a.multiplier, seen}", "filter, seen}"),
    ("several", "weight", "th + below) * a.taps_w", "below) * a.taps_w"),
    ("sliding", "weight", "__syncthreads();\n        for", "for"),
    ("large", "weight", "w -= a.size_w, ++strip", "w -= a.size_w"),
]


def is_right(name: str) -> bool:
    """Whether the kernels compute this case of small integers exactly; raises what the emulator raises."""
    case, activation = CASES[name]
    arrays, static = last(case, integers(np.float32))
    static["activation"] = activation
    wanted = expect([a.astype(np.float64) for a in arrays], static)
    return all(np.array_equal(x, y) for x, y in zip(run(arrays, static), wanted, strict=True))


@pytest.mark.parametrize(("name", "kernel", "place", "fault"), FAULTS)
def test_a_planted_fault_is_seen(
    monkeypatch: pytest.MonkeyPatch, name: str, kernel: str, place: str, fault: str
) -> None:
    def change(source: str, entry: str) -> str | None:
        return behind_head(source, entry, place, fault) if f"depthwise_last_{kernel}" in entry else None

    planted = plant(monkeypatch, change)
    with emulating(monkeypatch):
        right = holds(lambda: is_right(name))
    assert planted and not right


@pytest.mark.parametrize("name", CASES)
def test_without_a_fault_all_is_right(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with emulating(monkeypatch):
        assert is_right(name)
