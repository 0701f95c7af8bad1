"""gru: the reference against torch, row by row, the fused form against the reference, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import ops
from xpnn.cpu import recurrent
from xpnn.testing import check_primitive

from ..conftest import Library
from .against_torch import check_against_torch
from .recurrent_cases import LENGTHS, arrays, fused_cases, row_by_row


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_reference_agrees_with_torch(lib: Library, lengths: tuple[int, ...] | None, reverse: bool) -> None:
    def run(x: Any, states: Any, weights: Any) -> tuple[Any, ...]:
        import torch

        one = torch.gru
        y, h = one(x, states[0][None], list(weights), True, 1, 0.0, False, False, False)
        return y, h[0]

    given = None if lengths is None else lib.asarray(np.array(lengths))
    ours = lambda *a: ops.gru(*a, given, reverse=reverse)  # noqa: E731
    check_against_torch(lib, ours, row_by_row(run, lengths, reverse, 1), arrays(3, 1, (5, 3, 2, 4)))


@pytest.mark.parametrize("missing", ["states", "b_ih b_hh"])
def test_absent_arrays_are_zeros(lib: Library, missing: str) -> None:
    given = arrays(3, 1, (5, 3, 2, 4), missing=missing)
    zeros = [np.zeros_like(b) if a is None else b for a, b in zip(given, arrays(3, 1, (5, 3, 2, 4)), strict=True)]
    with_none = ops.gru(*(None if a is None else lib.asarray(a) for a in given))
    with_zeros = ops.gru(*map(lib.asarray, zeros))
    for a, b in zip(with_none, with_zeros, strict=True):
        np.testing.assert_allclose(lib.to_numpy(a), lib.to_numpy(b), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("chunk_bytes", [1 << 19, 3000])
def test_fused_form_agrees_with_the_reference(dtype: Any, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With little room, backward prepares few steps at a time."""
    monkeypatch.setattr(recurrent, "_CHUNK_BYTES", chunk_bytes)
    assert check_primitive(ops.gru, fused_cases(3, 1, dtype)) == 26


def test_only_the_last_state_may_be_used() -> None:
    """No gradient arrives at y: the fused backward gets None for it."""
    x, *rest = arrays(3, 1, (5, 3, 2, 4))

    def last(x: Any, use: Any) -> Any:
        return xpnn.namespace(x).sum(use(x, *rest, np.array([2, 5, 0]))[1])

    expected = xpnn.grad(lambda x: last(x, ops.gru.reference))(x)
    np.testing.assert_allclose(xpnn.grad(lambda x: last(x, ops.gru))(x), expected, rtol=1e-11, atol=1e-13)
    assert not expected[2:, 0].any() and not expected[:, 2].any() and expected[:, 1].all()


def test_errors_name_the_argument() -> None:
    x, h0, w_ih, w_hh, *biases = arrays(3, 1, (5, 3, 2, 4))
    with pytest.raises(ValueError, match=r"h0: expected shape \(3, 4\)"):
        ops.gru(x, h0[:2], w_ih, w_hh, *biases)
    with pytest.raises(ValueError, match=r"lengths: expected integers in 0\.\.5, got 1 to 9"):
        ops.gru(x, h0, w_ih, w_hh, *biases, np.array([1, 2, 9]))
