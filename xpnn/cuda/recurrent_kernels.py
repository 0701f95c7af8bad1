"""The cells, and the two structs of recurrent.cuh that all recurrent kernels take."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from .arguments import Arguments, Layout
from .dtypes import C_TYPES, ITEM_SIZE

__all__ = [
    "FLOPS",
    "GRU",
    "GRU_BEFORE",
    "LSTM",
    "RNN",
    "SIZES",
    "TYPES",
    "Cell",
    "backward_bytes",
    "backward_layout",
    "forward_bytes",
    "forward_layout",
    "wide",
]

# What the kernels of single steps store, as C++ spells it, and its bytes.
TYPES = {**C_TYPES, "float64": "double"}
SIZES = {**ITEM_SIZE, "float64": 8}


@dataclass(frozen=True)
class Cell:
    """One of the cells of recurrent.cuh: its name and number there, its gates, and what it keeps for backward.

    same: the gradients of what x and of what h gives to the gates are the same.
    """

    name: str
    number: int
    gates: int
    has_c: bool = False
    keeps_gates: bool = True
    keeps_candidate: bool = False
    same: bool = True


LSTM = Cell("Lstm", 0, 4, has_c=True)
GRU = Cell("Gru", 1, 3, keeps_candidate=True, same=False)
RNN = Cell("Rnn", 2, 1, keeps_gates=False)
# Gru with the reset gate before the product: single steps in two parts, 3 and 4.
GRU_BEFORE = Cell("Gru", 3, 3, keeps_candidate=True)

# Operations of a step of a unit beside the products, a transcendental function counted as ten.
FLOPS = {LSTM: 60, GRU: 45, RNN: 13}

_NUMBERS = "times", "batch", "hidden", "reverse"


def wide(dtype: str) -> str:
    """The dtype of arithmetic and of c for a dtype that is stored."""
    return dtype if dtype == "float64" else "float32"


def forward_bytes(cell: Cell, dtype: str, *, keep: bool) -> int:
    """What a step of a unit must move: the inputs' part of the gates, what is kept of them, the states after it."""
    kept = cell.gates * cell.keeps_gates + cell.keeps_candidate if keep else 0
    return SIZES[dtype] * (cell.gates + kept + 1) + SIZES[wide(dtype)] * (cell.has_c and keep)


def backward_bytes(cell: Cell, dtype: str) -> int:
    """What a step of a unit must move: what was kept, the states beside it, dy, the gradients of the gates."""
    kept = cell.gates * cell.keeps_gates + cell.keeps_candidate
    gradients = cell.gates * (1 if cell.same else 2)
    return SIZES[dtype] * (kept + gradients + 1 + (not cell.has_c)) + 2 * SIZES[wide(dtype)] * cell.has_c


def _wide(t: str) -> str:
    return t if t == "double" else "float"


@functools.cache
def forward_layout(t: str) -> Layout:
    written = ("gates", t), ("candidate", t), ("h", t), ("c", _wide(t)), ("y", t), ("h_last", t), ("c_last", t)
    read = (
        *((name, t) for name in ("h0", "c0", "w", "product", "b_ih", "b_hh")),
        ("lengths", "int"),
        ("reset", "unsigned char"),
    )
    return _layout(f"Forward<{t}>", written, read, (*_NUMBERS, "keep", "relu", "cell", "rows", "time"))


@functools.cache
def backward_layout(t: str) -> Layout:
    written = ("dx", t), ("dh", t), ("dh0", t), ("dc0", t), ("carry", _wide(t)), ("dc", _wide(t))
    read = (
        *(("gates", t), ("candidate", t), ("h", t), ("c", _wide(t)), ("dy", t), ("dh_last", t), ("dc_last", t)),
        *(("w", t), ("product", t), ("lengths", "int"), ("reset", "unsigned char")),
    )
    return _layout(f"Backward<{t}>", written, read, (*_NUMBERS, "relu", "cell", "rows", "time"))


def filled(layout: Layout, values: dict[str, Any]) -> Arguments:
    """The struct with the values of some fields; pointers that are not among them are null, numbers zero."""
    return layout(**{name: values.get(name, 0 if kind.dtype is None else None) for name, kind in layout.kinds.items()})


def _layout(
    struct: str, written: tuple[tuple[str, str], ...], read: tuple[tuple[str, str], ...], numbers: tuple[str, ...]
) -> Layout:
    pointers = [*((name, f"{t}*") for name, t in written), *((name, f"const {t}*") for name, t in read)]
    return Layout(struct, (*pointers, *((name, "int") for name in numbers)))
