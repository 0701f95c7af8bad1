"""attention: values and gradients of torch under every kind of mask, the block-wise form, rows that see nothing, errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import ops, random
from xpnn.cpu import attention as cpu
from xpnn.ops.attention import attention_weights
from xpnn.primitive import explain, use_reference
from xpnn.testing import check_gradient, check_primitive

from ..conftest import Library
from .against_torch import check_against_torch


def draw(*shape: int, seed: int = 0, dtype: Any = np.float64) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def inputs(lead: tuple[int, ...], t: int, s: int, e: int, d: int, dtype: Any = np.float64) -> tuple[Any, Any, Any]:
    q, k, v = draw(*lead, t, e, seed=1), draw(*lead, s, e, seed=2), draw(*lead, s, d, seed=3)
    return q.astype(dtype), k.astype(dtype), v.astype(dtype)


def seen(*shape: int) -> Any:
    """A boolean mask, the first row of which sees nothing."""
    mask = np.random.default_rng(5).random(shape) < 0.6
    mask[..., :1, :] = False
    return mask


def added(*shape: int) -> Any:
    """A mask of numbers, some of them -inf, the first row all of them."""
    return np.where(seen(*shape), draw(*shape, seed=6), -np.inf)


SHAPES = [((2, 3), 4, 5, 6, 7), ((), 3, 4, 2, 1), ((2,), 1, 1, 1, 1), ((3,), 5, 2, 4, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", ["none", "bool", "added", "shared", "causal", "scale"])
def test_values_and_gradients_of_torch(lib: Library, shape: Any, kind: str) -> None:
    lead, t, s, *_ = shape
    masks = {"bool": seen(*lead, t, s), "added": added(*lead, t, s), "shared": added(t, s)}
    options: dict[str, Any] = {"causal": {"is_causal": True}, "scale": {"scale": 0.3}}.get(kind, {})

    def theirs(q: Any, k: Any, v: Any, mask: Any) -> Any:
        import torch

        return torch.nn.functional.scaled_dot_product_attention(q, k, v, mask, **options)

    ours = lambda *arrays: ops.attention(*arrays, **options)  # noqa: E731
    check_against_torch(lib, ours, theirs, (*inputs(*shape), masks.get(kind)))


def cases(dtype: Any) -> Iterator[tuple[Any, Any]]:
    for shape in [*SHAPES, ((2, 2), 11, 13, 3, 5), ((0,), 3, 2, 4, 4), ((2,), 0, 3, 2, 2), ((2,), 3, 2, 0, 2)]:
        lead, t, s, *_ = shape
        for causal in (False, True):
            masks: list[Any] = [None, seen(t, s), added(t, s), draw(s)]
            if lead and lead[0]:
                masks += [seen(*lead, t, s), added(*lead, t, s), added(*lead[:-1], 1, t, s), draw(*lead, 1, s)]
            for mask in masks:
                own = mask if mask is None or mask.dtype == bool else mask.astype(dtype)
                yield (*inputs(*shape, dtype), own), {"is_causal": causal}
    yield (*inputs((2,), 3, 4, 5, 6, dtype), None), {"scale": 2.0}
    q, k, v = inputs((2, 3), 4, 5, 6, 6, dtype)
    yield (q.swapaxes(0, 1)[::-1], k.swapaxes(0, 1)[::-1], v.swapaxes(0, 1), None), {}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("block", [1, 30, 2**19])
def test_blocks_of_any_size_agree_with_the_reference(monkeypatch: pytest.MonkeyPatch, dtype: Any, block: int) -> None:
    monkeypatch.setattr(cpu, "_BLOCK", block)
    assert check_primitive(ops.attention, cases(dtype)) > 90


def test_the_scores_of_all_queries_are_never_held() -> None:
    import tracemalloc

    q, k, v = inputs((1, 2), 2048, 2048, 8, 8, np.float32)
    ops.attention(q, k, v)
    tracemalloc.start()
    _, pullback = xpnn.vjp(lambda *a: ops.attention(*a, is_causal=True), q, k, v)
    pullback(np.ones_like(q))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * 2048 * 2048 * 4 / 2


def test_a_query_that_sees_nothing_gives_zeros_and_no_gradient(lib: Library) -> None:
    q, k, v = (lib.asarray(x) for x in inputs((2,), 3, 4, 5, 2))
    for mask in (np.zeros((3, 4), bool), np.full((3, 4), -np.inf)):
        out, pullback = xpnn.vjp(lambda *a: ops.attention(*a, lib.asarray(mask)), q, k, v)  # noqa: B023
        for x in (out, *pullback(lib.asarray(np.ones((2, 3, 2))))):
            assert not lib.to_numpy(x).any()
    empty = ops.attention(q, k[:, :0, ...], v[:, :0, ...])
    assert empty.shape == (2, 3, 2) and not lib.to_numpy(empty).any()


def test_weights_sum_to_one_or_zero() -> None:
    q, k, _ = inputs((2,), 3, 4, 5, 2)
    weights = attention_weights(q, k, seen(3, 4))
    np.testing.assert_allclose(np.sum(weights, axis=-1), [[0, 1, 1]] * 2, atol=1e-15)


def test_scores_far_from_zero_do_not_overflow() -> None:
    q, k, v = inputs((2,), 3, 4, 5, 2)
    mask = seen(3, 4)
    for options in ({}, {"is_causal": True}):
        fused = ops.attention(q * 1e4, k, v, mask, **options)
        with use_reference():
            np.testing.assert_allclose(fused, ops.attention(q * 1e4, k, v, mask, **options), rtol=1e-9)


def test_a_nan_reaches_its_own_query_only() -> None:
    q, k, v = inputs((1,), 3, 4, 5, 2)
    q[0, 1, 2] = np.nan
    for found in (ops.attention(q, k, v), _reference(q, k, v)):
        assert np.isnan(found[0, 1]).all() and np.isfinite(found[0, [0, 2]]).all()


def _reference(*arrays: Any) -> Any:
    with use_reference():
        return ops.attention(*arrays)


def test_dropout_drops_weights_by_the_key(lib: Library) -> None:
    q, k, v = inputs((2,), 3, 4, 5, 2)
    key = random.Key(7)
    found = lib.to_numpy(ops.attention(*map(lib.asarray, (q, k, v)), dropout=0.4, key=key))
    kept = random.dropout_mask(key, (2, 3, 4), 0.6)
    np.testing.assert_allclose(found, (attention_weights(q, k) * kept / 0.6) @ v, rtol=1e-12)
    with use_reference():
        zero = ops.attention(q, k, v, dropout=1.0, key=key)
    assert not zero.any()


@pytest.mark.parametrize("mask", [None, "added"])
def test_second_derivatives(mask: str | None) -> None:
    arrays = inputs((2,), 3, 4, 3, 2)
    own = draw(3, 4, seed=6) if mask else None
    check_gradient(lambda *a: ops.attention(*a, own, is_causal=True), *arrays, order=2)


def test_who_computes() -> None:
    q, k, v = inputs((2,), 3, 4, 5, 2)
    assert explain(ops.attention, q, k, v) == ["attention: cpu.attention"]
    line, *_ = explain(lambda: ops.attention(q, k, v, dropout=0.1, key=random.Key(1)))
    assert line == "attention: reference (cpu.attention refused: dropout 0.1)"


Q, K, V = inputs((2,), 3, 4, 5, 6)


@pytest.mark.parametrize(
    ("arrays", "options", "error", "message"),
    [
        ((Q[0, 0], K, V), {}, ValueError, r"q: expected shape \(\.\.\., T, E\), got \(5,\)"),
        ((Q, K[..., :4], V), {}, ValueError, r"k: expected shape \(2, S, 5\) for q \(2, 3, 5\), got \(2, 4, 4\)"),
        ((Q, K[0], V), {}, ValueError, r"k: expected shape \(2, S, 5\) for q \(2, 3, 5\), got \(4, 5\)"),
        ((Q, K[:1], V), {}, ValueError, r"k: expected shape \(2, S, 5\)"),
        ((Q, K, V[:, :3]), {}, ValueError, r"v: expected shape \(2, 4, D\) for k \(2, 4, 5\), got \(2, 3, 6\)"),
        ((Q.astype(int), K, V), {}, TypeError, "q: expected a floating-point dtype, got int64"),
        ((Q, K.astype(np.float32), V), {}, TypeError, "k: expected q's dtype float64, got float32"),
        ((Q, K, V.astype(np.float32)), {}, TypeError, "v: expected q's dtype float64, got float32"),
        ((Q, K, V, np.ones((3, 3), bool)), {}, ValueError, r"attn_mask: .* \(2, 3, 4\), got \(3, 3\)"),
        ((Q, K, V, np.ones((1, 2, 3, 4), bool)), {}, ValueError, r"attn_mask: .*got \(1, 2, 3, 4\)"),
        ((Q, K, V, np.ones((3, 4), int)), {}, TypeError, "attn_mask: expected bool or q's dtype float64, got int64"),
        ((Q, K, V), {"dropout": 1.5}, ValueError, r"dropout: expected a probability in \[0, 1\], got 1.5"),
        ((Q, K, V), {"dropout": 0.5}, TypeError, "key: expected a Key of xpnn.random for dropout 0.5, got NoneType"),
    ],
)
def test_errors_name_the_argument(arrays: Any, options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        ops.attention(*arrays, **options)
