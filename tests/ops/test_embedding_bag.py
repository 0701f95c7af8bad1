"""embedding_bag: values and gradients of torch for every mode and form of bags, second derivatives, ties, nan, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import ops
from xpnn.testing import check_gradient

from ..conftest import Library
from .against_torch import check_against_torch

ROWS = np.array([[0, 2, 5], [2, 2, 1], [4, 6, 4], [1, 1, 1]])
LINE = np.array([0, 2, 5, 2, 2, 1, 4, 6, 4, 1, 1])
# Indices, offsets, options: what torch has too.
CASES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "rows": (ROWS, None, {}),
    "rows with padding": (ROWS, None, {"padding_idx": 1}),
    "rows of one": (ROWS[:, :1], None, {}),
    "no rows": (ROWS[:0], None, {}),
    "runs": (LINE, [0, 4, 5], {}),
    "runs, some empty": (LINE, [0, 0, 4, 4, 4, 9, 11], {}),
    "runs with padding": (LINE, [0, 3, 3, 8, 9], {"padding_idx": -6}),
    "runs with the last end": (LINE, [0, 4, 4, 11], {"include_last_offset": True}),
    "one run": (LINE, [0], {}),
    "no indices": (LINE[:0], [0, 0], {}),
    "rows of a length": (ROWS, None, {"max_norm": 1.5}),
    "runs of a length": (LINE, [0, 4, 4], {"max_norm": 1.5, "norm_type": 1.0}),
}


def table() -> Any:
    return np.random.default_rng(0).normal(size=(7, 4))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_of_torch(lib: Library, name: str, mode: str) -> None:
    indices, offsets, options = CASES[name]

    def ours(indices: Any, weight: Any, offsets: Any) -> Any:
        return ops.embedding_bag(indices, weight, offsets, mode=mode, **options)

    def theirs(indices: Any, weight: Any, offsets: Any) -> Any:
        import torch

        weight = weight.clone()  # which max_norm writes into
        return torch.nn.functional.embedding_bag(indices, weight, offsets, mode=mode, **options)

    check_against_torch(lib, ours, theirs, (indices, table(), None if offsets is None else np.array(offsets)))


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_gradients_by_frequency(lib: Library, mode: str) -> None:
    """As torch's documentation has them and its embedding; the gradients of its bags, on a CPU, divide by other counts."""

    def ours(indices: Any, weight: Any) -> Any:
        return ops.embedding_bag(indices, weight, mode=mode, scale_grad_by_freq=True)

    def theirs(indices: Any, weight: Any) -> Any:
        import torch

        rows = torch.nn.functional.embedding(indices, weight, scale_grad_by_freq=True)
        return getattr(rows, mode)(dim=1)

    check_against_torch(lib, ours, theirs, (ROWS, table()))
    runs = lib.asarray(np.arange(4) * 3)
    flat, g = lib.asarray(ROWS.reshape(-1)), lib.asarray(np.random.default_rng(0).normal(size=(4, 4)))

    def same(w: Any) -> Any:
        return ops.embedding_bag(flat, w, runs, mode=mode, scale_grad_by_freq=True)

    found, wanted = (xpnn.vjp(f, lib.asarray(table()))[1](g)[0] for f in (same, lambda w: ours(lib.asarray(ROWS), w)))
    np.testing.assert_allclose(lib.to_numpy(found), lib.to_numpy(wanted), rtol=1e-12)


@pytest.mark.parametrize(
    "name", ["rows", "rows with padding", "runs, some empty", "runs with padding", "runs with the last end"]
)
def test_factors_and_their_gradients(lib: Library, name: str) -> None:
    indices, offsets, options = CASES[name]
    factors = np.random.default_rng(1).normal(size=indices.shape)

    def ours(indices: Any, weight: Any, offsets: Any, factors: Any) -> Any:
        return ops.embedding_bag(indices, weight, offsets, mode="sum", per_sample_weights=factors, **options)

    def theirs(indices: Any, weight: Any, offsets: Any, factors: Any) -> Any:
        import torch

        f = torch.nn.functional.embedding_bag
        return f(indices, weight, offsets, mode="sum", per_sample_weights=factors, **options)

    check_against_torch(lib, ours, theirs, (indices, table(), None if offsets is None else np.array(offsets), factors))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("name", ["rows with padding", "runs, some empty", "runs with padding"])
def test_second_derivatives(lib: Library, name: str, mode: str) -> None:
    indices, offsets, options = CASES[name]
    indices, offsets = lib.asarray(indices), None if offsets is None else lib.asarray(np.array(offsets))
    check_gradient(
        lambda w: ops.embedding_bag(indices, w, offsets, mode=mode, **options) ** 3, lib.asarray(table()), order=2
    )


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_the_dtype_of_the_table_is_kept(mode: str, dtype: str) -> None:
    weight = table().astype(dtype)
    for indices, offsets in ((ROWS, None), (LINE, np.array([0, 3, 3], np.int32))):
        y = ops.embedding_bag(indices, weight, offsets, mode=mode)
        assert y.dtype == dtype
        np.testing.assert_allclose(y, ops.embedding_bag(indices, table(), offsets, mode=mode), rtol=3e-3, atol=3e-3)


def test_long_bags_have_the_largest_of_all(lib: Library) -> None:
    """Lengths on both sides of the powers of two by which the search reaches back."""
    lengths = [1, 2, 3, 4, 5, 7, 8, 9, 0, 15, 16, 17, 33]
    offsets = np.cumsum([0, *lengths])[:-1]
    rng = np.random.default_rng(0)
    indices, weight = rng.integers(0, 50, sum(lengths)), rng.normal(size=(50, 3))
    found = ops.embedding_bag(lib.asarray(indices), lib.asarray(weight), lib.asarray(offsets), mode="max")
    wanted = [
        weight[indices[i : i + n]].max(axis=0) if n else np.zeros(3) for i, n in zip(offsets, lengths, strict=True)
    ]
    np.testing.assert_array_equal(lib.to_numpy(found), wanted)


def test_of_equal_rows_the_first_gets_the_gradient_and_nan_stays(lib: Library) -> None:
    weight = np.array([[1.0, 2.0], [1.0, 3.0], [np.nan, 0.0]])
    grad = xpnn.grad(lambda w: xpnn.namespace(w).sum(ops.embedding_bag(lib.asarray(np.array([[1, 0]])), w, mode="max")))
    np.testing.assert_array_equal(lib.to_numpy(grad(lib.asarray(weight))), [[0, 0], [1, 1], [0, 0]])
    for order in ([0, 2, 1], [2, 0, 1], [0, 1, 2]):
        y = ops.embedding_bag(lib.asarray(np.array([order])), lib.asarray(weight), mode="max")
        np.testing.assert_array_equal(lib.to_numpy(y), [[np.nan, 3]])


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_what_lies_behind_the_last_end_is_in_no_bag(lib: Library, mode: str) -> None:
    """torch's documentation says so, too; its sums take it into the last bag."""
    ends, indices = lib.asarray(np.array([0, 4, 5, 7])), lib.asarray(LINE)

    def bags(w: Any, indices: Any) -> Any:
        return ops.embedding_bag(indices, w, ends, mode=mode, include_last_offset=True)

    y, pullback = xpnn.vjp(lambda w: bags(w, indices), lib.asarray(table()))
    wanted, expected = xpnn.vjp(lambda w: bags(w, indices[:7]), lib.asarray(table()))
    np.testing.assert_array_equal(lib.to_numpy(y), lib.to_numpy(wanted))
    g = lib.asarray(np.random.default_rng(0).normal(size=(3, 4)))
    np.testing.assert_array_equal(lib.to_numpy(pullback(g)[0]), lib.to_numpy(expected(g)[0]))
