"""rnn: single rows, batches, small and large layers, rows of different lengths."""

from __future__ import annotations

from xpnn import ops

from ..recurrent import SIZES, case

CASES = [case("rnn", 1, 1, ops.rnn, "rnn_tanh", size) for size in SIZES]
CASES.append(case("rnn", 1, 1, ops.rnn, "rnn_tanh", SIZES[1], ragged=True))
