"""lstm: single rows, batches, small and large layers, rows of different lengths."""

from __future__ import annotations

from xpnn import ops

from ..recurrent import SIZES, case

CASES = [case("lstm", 4, 2, ops.lstm, "lstm", size) for size in SIZES]
CASES.append(case("lstm", 4, 2, ops.lstm, "lstm", SIZES[1], ragged=True))
