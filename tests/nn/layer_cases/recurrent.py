"""Recurrent layers, with and without states and lengths, and their cells."""

from __future__ import annotations

from typing import Any

from . import Case, case

STEPS, H = (5, 3, 4), 5  # T, N, I; features of the state
KINDS = ("LSTM", "GRU", "RNN")


def begun(kind: str, count: int, batch: tuple[int, ...] = (3,), width: int = H, **options: Any) -> Case:
    """A layer of ``count`` states that are given, too."""
    state: Any = (count, *batch, width)
    first = (5, *batch, 4) if not options.get("batch_first") else (*batch, 5, 4)
    return case(kind, 4, H, inputs=(first, (state, (count, *batch, H)) if kind == "LSTM" else state), **options)


def stepped(kind: str, batch: tuple[int, ...], **options: Any) -> Case:
    """A cell with its state."""
    state: Any = (*batch, H)
    return case(kind, 4, H, inputs=((*batch, 4), (state, state) if kind == "LSTMCell" else state), **options)


CASES = [
    *(
        case(name, 4, H, shape=STEPS, **options)
        for name in KINDS
        for options in (
            {},
            {"num_layers": 2, "bidirectional": True},
            {"bias": False, "lengths": (3, 5, 1)},
            {"bidirectional": True, "num_layers": 2, "lengths": (2, 4, 5)},
            {"num_layers": 2, "dropout": 0.5, "training": False},
            {"num_layers": 2, "dropout": 0.0},
        )
    ),
    *(case(name, 4, H, batch_first=True, shape=(3, 5, 4)) for name in KINDS),
    *(case(name, 4, H, batch_first=True, bidirectional=True, lengths=(2, 4, 5), shape=(3, 5, 4)) for name in KINDS),
    *(case(name, 4, H, shape=(5, 4)) for name in KINDS),
    *(begun(name, 1) for name in KINDS),
    *(begun(name, 4, num_layers=2, bidirectional=True) for name in KINDS),
    *(begun(name, 2, bidirectional=True, lengths=(2, 5, 3)) for name in KINDS),
    *(begun(name, 1, batch=()) for name in KINDS),
    *(begun(name, 1, batch_first=True) for name in KINDS),
    begun("LSTM", 2, width=3, bidirectional=True, proj_size=3),
    case("LSTM", 4, H, proj_size=3, shape=(5, 4)),
    case("LSTM", 4, H, proj_size=2, num_layers=2, bidirectional=True, bias=False, lengths=(2, 4, 5), shape=STEPS),
    case("RNN", 4, H, nonlinearity="relu", shape=STEPS),
    begun("RNN", 2, nonlinearity="relu", num_layers=2),
    *(
        make
        for kind in ("LSTMCell", "GRUCell", "RNNCell")
        for make in (
            case(kind, 4, H, shape=(3, 4)),
            case(kind, 4, H, bias=False, shape=(4,)),
            stepped(kind, (3,)),
            stepped(kind, ()),
            stepped(kind, (3,), bias=False),
        )
    ),
    stepped("RNNCell", (3,), nonlinearity="relu"),
    case("RNNCell", 4, H, True, "relu", shape=(3, 4)),
]
