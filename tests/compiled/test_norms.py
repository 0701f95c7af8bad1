"""Normalisations by compiled loops against their references, in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.testing import check_primitive

ACTIVATIONS = [None, "relu", "tanh", "sigmoid"]


def of(*shape: int, mean: float = 0.5) -> Any:
    return (mean + np.random.default_rng(sum(shape)).normal(size=shape)).astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 5), (40, 12), (3, 2, 300), (700, 7)])
@pytest.mark.parametrize("affine", [True, False])
def test_layer_norm_and_rms_norm(threads: int, shape: tuple[int, ...], affine: bool) -> None:
    sizes = shape[-1:]
    w, b = (of(*sizes), of(*sizes)) if affine else (None, None)
    options = {"normalized_shape": sizes}
    check_primitive(ops.layer_norm, [((of(*shape), w, b), {**options, "activation": a}) for a in ACTIVATIONS])
    check_primitive(ops.rms_norm, [((of(*shape), w), options), ((of(*shape), w), {**options, "eps": 1e-3})])


def test_layer_norm_over_several_axes() -> None:
    check_primitive(ops.layer_norm, [((of(6, 3, 4, 5), of(4, 5), of(4, 5)), {"normalized_shape": (4, 5)})])


@pytest.mark.parametrize(
    ("shape", "groups"), [((3, 6, 5, 4), 2), ((20, 12), 2), ((20, 6), 2), ((2, 8, 33), 8), ((2, 3, 7), 1)]
)
@pytest.mark.parametrize("affine", [True, False])
def test_group_norm(threads: int, shape: tuple[int, ...], groups: int, affine: bool) -> None:
    w, b = (of(shape[1]), of(shape[1])) if affine else (None, None)
    options = {"num_groups": groups}
    check_primitive(ops.group_norm, [((of(*shape), w, b), {**options, "activation": a}) for a in ACTIVATIONS])


BATCHES = [(4, 3, 5, 6), (70, 9), (1500, 5), (2, 130, 3), (1, 4, 8)]


@pytest.mark.parametrize("shape", BATCHES)
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm(threads: int, shape: tuple[int, ...], affine: bool) -> None:
    w, b = (of(shape[1]), of(shape[1])) if affine else (None, None)
    check_primitive(ops.batch_norm, [((of(*shape), w, b), {"activation": a}) for a in ACTIVATIONS])
    mean, var = of(shape[1]), 0.5 + of(shape[1]) ** 2
    check_primitive(ops.batch_norm_eval, [((of(*shape), mean, var, w, b), {"activation": a}) for a in ACTIVATIONS])


@pytest.mark.parametrize("shape", [(2000, 3), (8, 3, 500)])
def test_variances_of_what_lies_far_from_zero(shape: tuple[int, ...]) -> None:
    x = of(*shape, mean=3000)
    x[: len(x) // 2] += 10  # what the first rows have for a mean is not the mean
    _, mean, var = ops.batch_norm(x)
    axes = (0, *range(2, x.ndim))
    assert np.allclose(mean, x.mean(axes, dtype=float), rtol=1e-6)
    assert np.allclose(var, x.var(axes, dtype=float), rtol=1e-3)
    y = ops.layer_norm(x.reshape(-1, 100), normalized_shape=(100,))
    wide = x.reshape(-1, 100).astype(float)
    expected = (wide - wide.mean(1, keepdims=True)) / wide.std(1, keepdims=True)
    assert np.allclose(y, expected, atol=5e-3)


def test_nan_stays_where_it_is() -> None:
    x = of(5, 4, 30)
    x[1, 2, 3] = np.nan
    assert np.isnan(ops.batch_norm(x)[0]).any(axis=(0, 2)).tolist() == [False, False, True, False]
    assert np.isnan(ops.layer_norm(x, normalized_shape=(30,))).any(axis=2).sum() == 1
