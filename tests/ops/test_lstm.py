"""lstm: the reference against torch, row by row, the fused form against the reference, errors."""

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

        one = torch.lstm
        y, h, c = one(x, (states[0][None], states[1][None]), list(weights), True, 1, 0.0, False, False, False)
        return y, h[0], c[0]

    given = None if lengths is None else lib.asarray(np.array(lengths))
    ours = lambda *a: ops.lstm(*a, given, reverse=reverse)  # noqa: E731
    check_against_torch(lib, ours, row_by_row(run, lengths, reverse, 2), arrays(4, 2, (5, 3, 2, 4)))


@pytest.mark.parametrize("missing", ["states", "b_ih b_hh"])
def test_absent_arrays_are_zeros(lib: Library, missing: str) -> None:
    given = arrays(4, 2, (5, 3, 2, 4), missing=missing)
    zeros = [np.zeros_like(b) if a is None else b for a, b in zip(given, arrays(4, 2, (5, 3, 2, 4)), strict=True)]
    with_none = ops.lstm(*(None if a is None else lib.asarray(a) for a in given))
    with_zeros = ops.lstm(*map(lib.asarray, zeros))
    for a, b in zip(with_none, with_zeros, strict=True):
        np.testing.assert_allclose(lib.to_numpy(a), lib.to_numpy(b), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("chunk_bytes", [1 << 19, 3000])
def test_fused_form_agrees_with_the_reference(dtype: Any, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With little room, backward prepares few steps at a time."""
    monkeypatch.setattr(recurrent, "_CHUNK_BYTES", chunk_bytes)
    assert check_primitive(ops.lstm, fused_cases(4, 2, dtype)) == 26


def test_only_the_last_state_may_be_used() -> None:
    """No gradient arrives at y: the fused backward gets None for it."""
    x, *rest = arrays(4, 2, (5, 3, 2, 4))

    def last(x: Any, use: Any) -> Any:
        return xpnn.namespace(x).sum(use(x, *rest, np.array([2, 5, 0]))[1])

    expected = xpnn.grad(lambda x: last(x, ops.lstm.reference))(x)
    np.testing.assert_allclose(xpnn.grad(lambda x: last(x, ops.lstm))(x), expected, rtol=1e-11, atol=1e-13)
    assert not expected[2:, 0].any() and not expected[:, 2].any() and expected[:, 1].all()


def test_what_stands_beyond_the_end_of_a_row_has_no_influence(lib: Library) -> None:
    x, *rest = arrays(4, 2, (5, 3, 2, 4))
    lengths = [2, 5, 0]
    noise = x.copy()
    noise[2:, 0] = 1e6
    noise[:, 2] = -1e6
    for reverse in (False, True):
        one, other = (ops.lstm(*map(lib.asarray, (a, *rest, np.array(lengths))), reverse=reverse) for a in (x, noise))
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(lib.to_numpy(a), lib.to_numpy(b), rtol=1e-13)


def test_saturated_gates_give_no_warnings() -> None:
    x, *rest = arrays(4, 2, (3, 2, 2, 4), np.float32)
    y, _, c = ops.lstm(x * 1e4, *rest)
    assert np.isfinite(y).all() and np.isfinite(c).all() and np.abs(y).max() <= 1


BASE = arrays(4, 2, (5, 3, 2, 4))


def changed(place: int, shape: tuple[int, ...]) -> tuple[Any, ...]:
    return (*BASE[:place], np.ones(shape), *BASE[place + 1 :])


@pytest.mark.parametrize(
    ("args", "lengths", "message"),
    [
        (changed(0, (5, 2)), None, r"x: expected shape \(T, N, I\), got \(5, 2\)"),
        (changed(1, (2, 4)), None, r"h0: expected shape \(3, 4\)"),
        (changed(2, (3, 3)), None, r"c0: expected shape \(3, 4\)"),
        (changed(3, (16, 3)), None, r"w_ih: expected shape \(16, 2\)"),
        (changed(4, (12, 4)), None, r"w_hh: expected shape \(4 H, H\), got \(12, 4\)"),
        (changed(5, (12,)), None, r"b_ih: expected shape \(16,\)"),
        (changed(6, (4,)), None, r"b_hh: expected shape \(16,\)"),
        (BASE, np.array([1, 2]), "lengths: expected 3 integers, got int64 of shape"),
        (BASE, np.array([1.0, 2.0, 3.0]), "lengths: expected 3 integers, got float64"),
        (BASE, np.array([1, 6, 3]), r"lengths: expected integers in 0\.\.5, got 1 to 6"),
        (BASE, np.array([-1, 2, 3]), r"lengths: expected integers in 0\.\.5, got -1 to 3"),
    ],
)
def test_errors_name_the_argument(args: Any, lengths: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ops.lstm(*args, lengths)
