"""gru: single rows, batches, small and large layers, rows of different lengths."""

from __future__ import annotations

from xpnn import ops

from ..recurrent import SIZES, case

CASES = [case("gru", 3, 1, ops.gru, "gru", size) for size in SIZES]
CASES.append(case("gru", 3, 1, ops.gru, "gru", SIZES[1], ragged=True))
