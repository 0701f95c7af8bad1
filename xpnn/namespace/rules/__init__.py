"""The tables of gradient rules, one file per chapter of the standard: name -> rule.

Every name is in exactly one table. Names without a gradient are in ``zero``; constants, data types and functions that take
no array are listed in namespace/diff.py.
"""

from __future__ import annotations

from typing import Any

from . import (
    creation,
    decompositions,
    elementwise,
    fft,
    indexing,
    linalg,
    linear_algebra,
    manipulation,
    searching,
    sorting,
    special,
    statistical,
    utility,
    zero,
)

TABLES: dict[str, dict[str, Any]] = {
    "creation": creation.RULES,
    "elementwise": elementwise.RULES,
    "statistical": statistical.RULES,
    "manipulation": manipulation.RULES,
    "indexing": indexing.RULES,
    "searching": searching.RULES,
    "sorting": sorting.RULES,
    "linear_algebra": linear_algebra.RULES,
    "linalg": linalg.RULES,
    "decompositions": decompositions.RULES,
    "fft": fft.RULES,
    "utility": utility.RULES,
    "special": special.RULES,
    "zero": zero.RULES,
}
