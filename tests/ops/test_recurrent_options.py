"""What lstm, gru and rnn offer beside torch's plain layers: reset, the projection of lstm, reset_after=False of gru."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import ops
from xpnn.primitive import explain
from xpnn.testing import check_gradient, check_primitive

from ..conftest import Library
from .against_torch import check_against_torch
from .recurrent_cases import LENGTHS, arrays, row_by_row

# gates, states
OPS = {"lstm": (4, 2), "gru": (3, 1), "rnn": (1, 1)}
every = pytest.mark.parametrize("name", OPS)


def flags(steps: int, batch: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).random((steps, batch)) < 0.3


def projected(shape: tuple[int, ...], width: int, dtype: Any = np.float64) -> tuple[Any, ...]:
    """x, h0, c0, w_ih, w_hh, b_ih, b_hh and w_hr of an lstm whose h has ``width`` features."""
    x, h0, c0, w_ih, w_hh, b_ih, b_hh = arrays(4, 2, shape, dtype)
    rng = np.random.default_rng(5)
    h0, w_hr = (rng.normal(size=s).astype(dtype) for s in ((shape[1], width), (width, shape[3])))
    return x, h0, c0, w_ih, np.repeat(w_hh, width, axis=1)[:, :width], b_ih, b_hh, w_hr


def by_parts(name: str, given: Any, reset: Any, lengths: Any, reverse: bool, **options: Any) -> tuple[Any, ...]:
    """Each row alone, in parts that begin where the flags are true, each but the first from zeros: the definition of reset."""
    states = OPS[name][1]
    x, first, weights = given[0], given[1 : 1 + states], given[1 + states :]
    y, ends = np.zeros((*x.shape[:2], first[0].shape[1])), [s.copy() for s in first]
    for n, length in enumerate([x.shape[0]] * x.shape[1] if lengths is None else lengths):
        held = [s[n : n + 1] for s in first]
        for t in range(length - 1, -1, -1) if reverse else range(length):
            held = [np.zeros_like(s) for s in held] if reset[t, n] else held
            _, *held = getattr(ops, name).reference(x[t : t + 1, n : n + 1], *held, *weights, **options)
            y[t, n] = held[0][0]
        for end, s in zip(ends, held, strict=True):
            end[n] = s[0]
    return y, *ends


@every
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, (2, 5, 0)])
def test_reset_begins_anew_from_zeros(lib: Library, name: str, lengths: Any, reverse: bool) -> None:
    given, reset = arrays(*OPS[name], (5, 3, 2, 4)), flags(5, 3)
    ends = None if lengths is None else lib.asarray(np.array(lengths))
    found = getattr(ops, name)(*map(lib.asarray, given), ends, lib.asarray(reset), reverse=reverse)
    for a, b in zip(found, by_parts(name, given, reset, lengths, reverse), strict=True):
        np.testing.assert_allclose(lib.to_numpy(a), b, rtol=1e-12, atol=1e-14)


def reset_cases(name: str, dtype: Any) -> Iterator[tuple[Any, Any]]:
    given = arrays(*OPS[name], (5, 3, 2, 4), dtype)
    for reverse in (False, True):
        for lengths in (None, np.array([2, 5, 3]), np.array([0, 1, 5])):
            yield (*given, lengths, flags(5, 3)), {"reverse": reverse}
    yield (*given, None, np.ones((5, 3), bool)), {}
    yield (*given, np.array([2, 5, 3]), np.zeros((5, 3), bool)), {}
    yield (*arrays(*OPS[name], (0, 2, 3, 2), dtype), None, flags(0, 2)), {}
    yield (*arrays(*OPS[name], (31, 17, 3, 6), dtype, "states b_hh"), None, flags(31, 17)), {"reverse": True}


@every
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_fused_form_with_reset_agrees_with_the_reference(name: str, dtype: Any) -> None:
    assert check_primitive(getattr(ops, name), reset_cases(name, dtype)) == 10


@every
def test_nothing_passes_a_reset(name: str) -> None:
    """Not even nan, nor a gradient."""
    x, *rest = arrays(*OPS[name], (4, 2, 2, 3))
    x[1] = np.nan
    reset = np.zeros((4, 2), bool)
    reset[2] = True
    for op in (getattr(ops, name), getattr(ops, name).reference):
        dx = xpnn.grad(lambda x, op=op: xpnn.namespace(x).sum(op(x, *rest, None, reset)[0][2:, ...]))(np.nan_to_num(x))
        assert not dx[:2].any() and dx[2:].all()
        assert np.isfinite(op(x, *rest, None, reset)[0][2:]).all()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_a_projection_agrees_with_torch(lib: Library, lengths: tuple[int, ...] | None, reverse: bool) -> None:
    def run(x: Any, states: Any, weights: Any) -> tuple[Any, ...]:
        import torch

        y, h, c = torch.lstm(x, (states[0][None], states[1][None]), list(weights), True, 1, 0.0, False, False, False)
        return y, h[0], c[0]

    given = None if lengths is None else lib.asarray(np.array(lengths))
    ours = lambda *a: ops.lstm(*a[:-1], given, None, a[-1], reverse=reverse)  # noqa: E731
    check_against_torch(lib, ours, row_by_row(run, lengths, reverse, 2), projected((5, 3, 2, 4), 3))


def projection_cases(dtype: Any) -> Iterator[tuple[Any, Any]]:
    for shape, width in (((1, 1, 1, 2), 1), ((5, 3, 2, 4), 3), ((3, 2, 2, 3), 5), ((3, 0, 2, 2), 1), ((0, 2, 3, 2), 1)):
        *given, w_hr = projected(shape, width, dtype)
        yield (*given, None, None, w_hr), {"reverse": shape[0] == 3}
    *given, w_hr = projected((5, 3, 2, 4), 3, dtype)
    for reverse in (False, True):
        for reset in (None, flags(5, 3)):
            yield (*given, np.array([2, 5, 0]), reset, w_hr), {"reverse": reverse}
    yield (given[0], None, None, *given[3:5], None, None, None, flags(5, 3), w_hr), {}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_fused_form_with_a_projection_agrees_with_the_reference(dtype: Any) -> None:
    assert check_primitive(ops.lstm, projection_cases(dtype)) == 10


def reset_before_cases(dtype: Any) -> Iterator[tuple[Any, Any]]:
    for reverse in (False, True):
        for lengths, reset in ((None, None), ((2, 5, 0), None), ((4, 3, 5), flags(5, 3))):
            given = arrays(3, 1, (5, 3, 2, 4), dtype)
            ends = None if lengths is None else np.array(lengths)
            yield (*given, ends, reset), {"reverse": reverse, "reset_after": False}
    for missing in ("states", "b_ih", "b_hh", "states b_ih b_hh"):
        yield (*arrays(3, 1, (7, 1, 3, 5), dtype, missing), None), {"reset_after": False}
    for shape in ((3, 0, 2, 2), (0, 2, 3, 2)):
        yield (*arrays(3, 1, shape, dtype), None), {"reset_after": False}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_fused_form_with_the_reset_gate_before_agrees_with_the_reference(dtype: Any) -> None:
    assert check_primitive(ops.gru, reset_before_cases(dtype)) == 12


def test_the_reset_gate_before_the_product(lib: Library) -> None:
    """The formula of Cho et al., version 3, and its gradient."""
    x, h0, w_ih, w_hh, b_ih, b_hh = given = arrays(3, 1, (4, 3, 2, 5))
    sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    h, outputs = h0, []
    for x_t in x:
        of_x, of_h, rows = x_t @ w_ih.T + b_ih + b_hh, h @ w_hh.T, slice(10, 15)
        r, z = sigmoid(of_x[:, :5] + of_h[:, :5]), sigmoid(of_x[:, 5:10] + of_h[:, 5:10])
        h = (1 - z) * np.tanh(of_x[:, rows] + (r * h) @ w_hh[rows].T) + z * h
        outputs.append(h)
    y, last = ops.gru(*map(lib.asarray, given), reset_after=False)
    np.testing.assert_allclose(lib.to_numpy(y), np.stack(outputs), rtol=1e-12)
    np.testing.assert_allclose(lib.to_numpy(last), h, rtol=1e-12)


def test_gradients_of_the_references() -> None:
    *given, w_hr = projected((3, 2, 2, 3), 2)
    check_gradient(lambda *a: ops.lstm.reference(*a[:-1], None, flags(3, 2), a[-1]), *given, w_hr)
    before = arrays(3, 1, (3, 2, 2, 3))
    check_gradient(lambda *a: ops.gru.reference(*a, None, flags(3, 2), reset_after=False), *before)


def test_a_layer_by_the_reference_is_one_too(lib: Library) -> None:
    given = [lib.asarray(a) for a in arrays(3, 1, (2, 3, 2, 4))]
    assert explain(lambda: ops.gru(*given, None, lib.asarray(flags(2, 3)), reset_after=False))[0].startswith("gru: ")


@every
def test_errors_name_the_argument(name: str) -> None:
    given = arrays(*OPS[name], (5, 3, 2, 4))
    with pytest.raises(ValueError, match=r"reset: expected booleans of shape \(5, 3\), got bool of shape \(3, 5\)"):
        getattr(ops, name)(*given, None, np.zeros((3, 5), bool))
    with pytest.raises(ValueError, match=r"reset: expected booleans of shape \(5, 3\), got int64 of shape"):
        getattr(ops, name)(*given, None, np.zeros((5, 3), np.int64))


def test_errors_of_a_projection_name_the_argument() -> None:
    x, h0, *rest, w_hr = projected((5, 3, 2, 4), 3)
    with pytest.raises(ValueError, match=r"w_hr: expected shape \(3, 4\)"):
        ops.lstm(x, h0, *rest, None, None, w_hr.T)
    with pytest.raises(ValueError, match=r"h0: expected shape \(3, 3\)"):
        ops.lstm(x, np.ones((3, 4)), *rest, None, None, w_hr)
    with pytest.raises(ValueError, match=r"w_hh: expected shape \(4 H, H\), got \(16, 3\)"):
        ops.lstm(x, h0, *rest)


@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in OPS), ("gru", {"reset_after": False})])
def test_inference_keeps_nothing(name: str, options: dict[str, Any]) -> None:
    """The form for NumPy returns no residuals, and of c only the last states of a step are ever there."""
    given, implementation = arrays(*OPS[name], (40, 3, 2, 8)), getattr(ops, name).implementations["numpy"][-1]
    out, residuals = implementation.forward(*given, None, need=(False,) * 10, **options)
    assert residuals is None
    kept, residuals = implementation.forward(*given, None, need=(True,) * 10, **options)
    assert residuals is not None
    for a, b in zip(out, kept, strict=True):
        np.testing.assert_array_equal(a, b)


def test_inference_takes_less_memory() -> None:
    """By the arrays of c and tanh(c), which training keeps for all steps."""
    given, implementation = arrays(4, 2, (200, 3, 2, 32)), ops.lstm.implementations["numpy"][-1]
    peaks = []
    for wanted in (False, True):
        tracemalloc.start()
        found = implementation.forward(*given, None, need=(wanted,) * 10)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        del found
    assert peaks[1] - peaks[0] > 1.8 * 200 * 3 * 32 * 8
