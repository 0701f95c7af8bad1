"""rnn: the reference against torch, row by row, the fused form against the reference, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import ops
from xpnn.testing import check_primitive

from ..conftest import Library
from .against_torch import check_against_torch
from .recurrent_cases import LENGTHS, arrays, fused_cases, row_by_row


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_reference_agrees_with_torch(
    lib: Library, lengths: tuple[int, ...] | None, reverse: bool, nonlinearity: str
) -> None:
    def run(x: Any, states: Any, weights: Any) -> tuple[Any, ...]:
        import torch

        one = getattr(torch, "rnn_" + nonlinearity)
        y, h = one(x, states[0][None], list(weights), True, 1, 0.0, False, False, False)
        return y, h[0]

    given = None if lengths is None else lib.asarray(np.array(lengths))
    ours = lambda *a: ops.rnn(*a, given, nonlinearity=nonlinearity, reverse=reverse)  # noqa: E731
    check_against_torch(lib, ours, row_by_row(run, lengths, reverse, 1), arrays(1, 1, (5, 3, 2, 4)))


@pytest.mark.parametrize("missing", ["states", "b_ih b_hh"])
def test_absent_arrays_are_zeros(lib: Library, missing: str) -> None:
    given = arrays(1, 1, (5, 3, 2, 4), missing=missing)
    zeros = [np.zeros_like(b) if a is None else b for a, b in zip(given, arrays(1, 1, (5, 3, 2, 4)), strict=True)]
    with_none = ops.rnn(*(None if a is None else lib.asarray(a) for a in given))
    with_zeros = ops.rnn(*map(lib.asarray, zeros))
    for a, b in zip(with_none, with_zeros, strict=True):
        np.testing.assert_allclose(lib.to_numpy(a), lib.to_numpy(b), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_form_agrees_with_the_reference(dtype: Any, nonlinearity: str) -> None:
    assert check_primitive(ops.rnn, fused_cases(1, 1, dtype, nonlinearity=nonlinearity)) == 26


def test_only_the_last_state_may_be_used() -> None:
    """No gradient arrives at y: the fused backward gets None for it."""
    x, *rest = arrays(1, 1, (5, 3, 2, 4))

    def last(x: Any, use: Any) -> Any:
        return xpnn.namespace(x).sum(use(x, *rest, np.array([2, 5, 0]))[1])

    expected = xpnn.grad(lambda x: last(x, ops.rnn.reference))(x)
    np.testing.assert_allclose(xpnn.grad(lambda x: last(x, ops.rnn))(x), expected, rtol=1e-11, atol=1e-13)
    assert not expected[2:, 0].any() and not expected[:, 2].any() and expected[:, 1].all()


def test_errors_name_the_argument() -> None:
    with pytest.raises(ValueError, match='nonlinearity: expected "tanh" or "relu", got \'sigmoid\''):
        ops.rnn(*arrays(1, 1, (5, 3, 2, 4)), nonlinearity="sigmoid")
    with pytest.raises(ValueError, match=r"w_hh: expected shape \(1 H, H\), got \(4, 2\)"):
        ops.rnn(*arrays(1, 1, (5, 3, 2, 4))[:3], np.ones((4, 2)))
