"""lstm and gru by compiled loops against their references, in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.compiled import gru, lstm
from xpnn.testing import check_primitive


def of(*shape: int, scale: float = 0.4) -> Any:
    return (scale * np.random.default_rng(sum(shape)).normal(size=shape)).astype(np.float32)


def arguments(
    gates: int, states: int, t: int, n: int, i: int, h: int, bias: bool = True, state: bool = True
) -> list[Any]:
    weights = [of(gates * h, i), of(gates * h, h), *((of(gates * h), of(gates * h)) if bias else (None, None))]
    return [of(t, n, i), *((of(n, h) if state else None) for _ in range(states)), *weights]


SIZES = [(1, 1, 1, 1), (5, 3, 4, 7), (3, 9, 2, 16), (0, 3, 4, 5), (4, 1, 3, 33)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("op", "module", "gates", "states"), [(ops.lstm, lstm, 4, 2), (ops.gru, gru, 3, 1)])
def test_sequences(
    threads: int, op: Any, module: Any, gates: int, states: int, size: tuple[int, int, int, int], reverse: bool
) -> None:
    t, n = size[:2]
    rng = np.random.default_rng(0)
    lengths, reset = rng.integers(0, t + 1, n), rng.random((t, n)) < 0.3
    cases = [
        [*arguments(gates, states, *size), None, None],
        [*arguments(gates, states, *size, bias=False, state=False), None, None],
        [*arguments(gates, states, *size), lengths, None],
        [*arguments(gates, states, *size), lengths, reset],
    ]
    if op is ops.lstm:
        cases = [[*case, None] for case in cases]
    assert all(module.refusal(*case, reverse=reverse) is None for case in cases)
    check_primitive(op, [(tuple(case), {"reverse": reverse}) for case in cases])


def test_what_is_left_to_the_plain_form() -> None:
    given = arguments(3, 1, 2, 3, 4, 5)
    assert gru.refusal(*given, None, None, reset_after=False) == "reset_after=False"
    projected = [of(2, 3, 4), None, None, of(20, 4), of(20, 2), None, None, None, None, of(2, 5)]
    assert lstm.refusal(*projected) == "a projection"


def test_the_smallest_cells_are_left_to_the_plain_form(monkeypatch: pytest.MonkeyPatch) -> None:
    from xpnn.compiled import loops

    monkeypatch.setattr(loops, "_FEWEST", 1024)
    assert "elements" in str(gru.refusal(*arguments(3, 1, 50, 32, 4, 5), None, None))


@pytest.mark.parametrize(("module", "gates", "states"), [(lstm, 4, 2), (gru, 3, 1)])
def test_inference_keeps_nothing(module: Any, gates: int, states: int) -> None:
    given = [*arguments(gates, states, 40, 3, 2, 8), None]
    out, residuals = module.forward(*given, need=(False,) * 10)
    assert residuals is None
    kept, residuals = module.forward(*given, need=(True,) * 10)
    assert residuals is not None
    for a, b in zip(out, kept, strict=True):
        np.testing.assert_array_equal(a, b)
