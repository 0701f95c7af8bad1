"""Faults planted in the convolution kernels, one token each: all must be seen, as a wrong number or as the emulator's error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn.cuda import conv
from xpnn.precision import PRECISIONS

from .emulated import emulating
from .mutations import holds, plant
from .test_conv import case, expected, gradient

CASES: dict[str, Any] = {
    "strided": ((2, 4, 11, 9), 6, (3, 3), 3, (3, 2), 2, 2),
    "plain": ((2, 5, 9, 9), 7, (3, 3), 1, (1, 1)),
    "shared sum": ((5, 2, 12, 12), 3, (2, 2), 1, (1, 0)),
    "one step": ((2, 5, 9, 9), 7, (2, 2)),
    "eight": ((2, 8, 6, 6), 8, (3, 3), 1, (1, 1)),
}
EPILOGUE_BARRIER = "    __syncthreads();\n#pragma unroll\n    for (int i = 0; i < TM"
# kernel, dtype, case, a place behind the kernel's name (or in all of the text), what comes there instead
FAULTS = [
    ("", "float32", "strided", "(at - first * a.dilation[x])", "(at + first * a.dilation[x])"),
    ("", "float32", "plain", "unsigned(at[2] + tap.z) <", "unsigned(at[2] + tap.z) <="),
    ("", "float32", "plain", "columns.n0 + n >= a.outputs", "columns.n0 + n > a.outputs"),
    ("", "float32", "plain", "if (++i[0] < p.places[0])", "if (++i[0] <= p.places[0])"),
    ("conv_gather(", "float32", "plain", "copy_async_wait<STAGES - 2>", "copy_async_wait<STAGES - 1>"),
    ("conv_gather(", "float32", "plain", "__syncthreads();\n        if (s +", "if (s +"),
    ("conv_gather(", "float32", "plain", EPILOGUE_BARRIER, EPILOGUE_BARRIER.replace("__syncthreads();", "")),
    ("conv_gather(", "float32", "plain", "along.advance();", ""),
    ("conv_weight(", "float32", "plain", "n0 + n < all_columns && inside", "inside"),
    ("conv_weight(", "float32", "strided", "for (int i = 0; i < BK", "for (int i = 1; i < BK"),
    ("conv_combine(", "float32", "shared sum", "p < a.splits", "p < a.splits - 1"),
    ("conv_pack(", "float16", "plain", "c0 + i < channels", "c0 + i <= channels"),
    ("", "float16", "plain", "row % 2 * 4 + chunk", "row % 2 * 3 + chunk"),
    ("conv_gather_tensor(", "float16", "plain", "lane / 8 % 2)]", "lane / 16)]"),
    ("conv_gather_tensor(", "float16", "plain", "while (channel >= a.channels)", "while (channel > a.channels)"),
    ("conv_gather_tensor(", "float16", "one step", "__syncthreads();\n    put", "put"),
    ("conv_weight_tensor(", "float16", "eight", "< a.dy_group", "<= a.dy_group"),
    ("conv_weight_tensor(", "float16", "plain", "left -= ROWS;", ""),
    ("", "high", "plain", "small_a[i], big)", "big_a[i], big)"),
    ("", "high", "plain", "big_a[i], small)", "small_a[i], small)"),
    ("", "high", "plain", "sum[i][j][e] += part[e]", "sum[i][j][e] = part[e]"),
    ("", "high", "plain", "value - __uint_as_float(big)", "value + __uint_as_float(big)"),
    ("", "medium", "eight", "chunk ^ (row % 4 * 2)", "chunk & (row % 4 * 2)"),
    ("", "medium", "eight", "m + g + e % 2 * 8", "m + g + e / 2 * 8"),
    ("", "medium", "eight", "n + g + e / 2 * 8", "n + g + e % 2 * 8"),
    ("", "float16", "eight", "k + lane % 8 + lane / 16 * 8", "k + lane % 16"),
]


@pytest.fixture(autouse=True)
def gathering(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other kernel has its faults in test_conv_halo.py."""
    monkeypatch.setenv("XPNN_CONV", "gather")


def is_right(dtype: str, name: str) -> bool:
    """Whether the kernels compute this case of small integers exactly; raises what the emulator raises.

    dtype: or a precision of float32; for "high" x has one bit more than a factor of a tensor core.
    """
    arrays, static = case(*CASES[name])
    precision, dtype = (dtype, "float32") if dtype in PRECISIONS else ("highest", dtype)
    if precision == "high":
        arrays = (arrays[0] * 1025, *arrays[1:])
    given = [a if a is None else a.astype(dtype) for a in arrays]
    need = (True, True, arrays[2] is not None)
    with xpnn.precision(precision):
        y, residuals = conv.forward(*given, **static, need=need)
    found = [y, *conv.backward(residuals, gradient(y.shape).astype(dtype), need)]
    exact = expected(arrays, static)
    return all(np.array_equal(a, b) for a, b in zip([a for a in found if a is not None], exact, strict=True))


@pytest.mark.parametrize(("kernel", "dtype", "name", "place", "fault"), FAULTS)
def test_a_planted_fault_is_seen(
    monkeypatch: pytest.MonkeyPatch, kernel: str, dtype: str, name: str, place: str, fault: str
) -> None:
    def change(source: str, entry: str) -> str | None:
        before, found, behind = source.partition(f" {kernel}const __grid_constant__") if kernel else ("", " ", source)
        if not found or place not in behind or (kernel and entry.partition("<")[0] != kernel[:-1]):
            return None
        return before + found + behind.replace(place, fault, 1)

    planted = plant(monkeypatch, change)
    with emulating(monkeypatch):
        right = holds(lambda: is_right(dtype, name))
    assert planted and not right


@pytest.mark.parametrize("dtype", ["float32", "float16", "high", "medium"])
@pytest.mark.parametrize("name", CASES)
def test_without_a_fault_all_is_right(monkeypatch: pytest.MonkeyPatch, dtype: str, name: str) -> None:
    with emulating(monkeypatch):
        assert is_right(dtype, name)
