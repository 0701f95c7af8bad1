"""What explain() says of the loop over time that lstm, gru and rnn choose on CuPy, and that inference keeps nothing."""

from __future__ import annotations

from typing import Any

import array_api_compat.numpy
import numpy as np
import pytest

from xpnn.primitive import explain

from .recurrent_layers import DTYPES, LAYERS, case, layers, primitive

BLOCK = "persistent, a block with room for"
CASES = [
    ("auto", "lstm", "float32", 4, {}, f"{BLOCK} 64 units: cheaper by the model of the costs"),
    ("auto", "gru", "float16", 65, {}, f"{BLOCK} 128 units by tensor cores: cheaper by the model of the costs"),
    ("auto", "lstm", "float32", 97, {}, "steps: no block has room for the weights"),
    ("auto", "rnn", "float32", 4, {}, "steps: no block has room for the weights"),
    ("auto", "gru", "float64", 4, {}, "steps: no block has room for the weights"),
    ("persistent", "gru", "float32", 4, {"reset": 0}, "steps: reset"),
    ("persistent", "gru", "float32", 4, {"reset_after": False}, "steps: reset_after=False"),
    ("persistent", "gru", "float32", 4, {}, f"{BLOCK} 64 units: XPNN_RECURRENT"),
    ("steps", "gru", "float32", 4, {}, "steps: XPNN_RECURRENT"),
    ("cluster", "lstm", "float16", 200, {}, "cluster: XPNN_RECURRENT"),
]


@pytest.mark.parametrize(("asked", "name", "dtype", "hidden", "options", "expected"), CASES)
def test_explain_names_the_way_and_the_reason(
    monkeypatch: pytest.MonkeyPatch, asked: str, name: str, dtype: str, hidden: int, options: Any, expected: str
) -> None:
    monkeypatch.setenv("XPNN_RECURRENT", asked)
    kind = np.float64 if dtype == "float64" else DTYPES[dtype]
    given, static = case(name, (2, 1, 2, hidden), dtype=kind, **options)
    assert LAYERS[name].way(*given, **static) == expected


def test_large_batches_go_by_steps_for_their_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XPNN_RECURRENT", "auto")
    given, _ = case("gru", (1, 65536, 1, 65))
    assert LAYERS["gru"].way(*given) == "steps: cheaper by the model of the costs"


@pytest.mark.parametrize("name", LAYERS)
def test_a_call_is_explained(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with layers(monkeypatch, "steps"):
        (line,) = explain(primitive(name), *case(name, (2, 2, 2, 3), reset=0)[0])
    assert line == f"{name}: cuda.{name} (steps: reset)"


@pytest.mark.parametrize("way", ["steps", "persistent"])
@pytest.mark.parametrize("name", LAYERS)
def test_inference_keeps_nothing(monkeypatch: pytest.MonkeyPatch, name: str, way: str) -> None:
    """No residuals, and no room for them: only h has all times, beside the gates that the first product makes."""
    given, _ = case(name, (6, 2, 2, 5))
    rooms, plain = [], array_api_compat.numpy.empty

    def empty(shape: Any, **options: Any) -> Any:
        rooms.append(shape)
        return plain(shape, **options)

    with layers(monkeypatch, way):
        monkeypatch.setattr(array_api_compat.numpy, "empty", empty)
        _, residuals = LAYERS[name].forward(*given, need=(False,) * len(given))
        assert residuals is None and [s for s in rooms if len(s) == 3] == [(7, 2, 5)]
        _, residuals = LAYERS[name].forward(*given, need=(True,) * len(given))
    assert residuals is not None
