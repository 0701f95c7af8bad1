"""No layer, loss or random function makes the host wait for the GPU: each by itself, forward and backward.

Layers by their references, and with the kernels and their host code in the emulator.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cupy
import numpy as np
import pytest

import xpnn
from tests.cupy_double import kernels
from tests.cupy_double.sync import counting
from tests.nn.test_matrix import CASES as LAYERS
from tests.nn.test_matrix import Case
from tests.random.test_distributions import DRAWS
from tests.test_losses import CASES as LOSSES
from xpnn import losses, metrics, nn, tree
from xpnn.demos import augment

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def gpu() -> Iterator[None]:
    with xpnn.backend("gpu"):
        yield


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_layers(case: Case) -> None:
    waits_for_nothing(case)


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_layers_with_their_kernels(case: Case) -> None:
    with kernels.running():
        waits_for_nothing(case)


def waits_for_nothing(case: Case) -> None:
    layer = getattr(nn, case.kind)(*case.args, **dict(case.options)).train(case.training)
    drawn = rng().integers(0, case.integers, case.shape) if case.integers else rng().normal(size=case.shape)
    x = xpnn.asarray(drawn, dtype=None if case.integers else "float32")
    options = {"lengths": xpnn.asarray(np.array(case.lengths))} if case.lengths else {}
    with counting() as account:
        layer(x, **options)
        out, pullback = xpnn.vjp(lambda args: args[0](args[1], **options), (layer, x))
        pullback(tree.map(cupy.ones_like, out))
    assert account.waits == []


@pytest.mark.parametrize("number", range(len(LOSSES)))
def test_losses(number: int) -> None:
    name, arrays, options = tree.map(lambda a: xpnn.asarray(a) if isinstance(a, np.ndarray) else a, LOSSES[number])
    with counting() as account:
        xpnn.value_and_grad(lambda x: getattr(losses, name)(x, *arrays[1:], **options))(arrays[0])
    assert account.waits == []


@pytest.mark.parametrize("name", DRAWS)
def test_random_numbers(name: str) -> None:
    with counting() as account:
        assert type(DRAWS[name]()) is cupy.ndarray
    assert account.waits == []


def test_metrics_and_augmentation() -> None:
    images, labels = xpnn.asarray(rng().random((6, 1, 9, 9)).astype(np.float32)), xpnn.asarray(np.arange(6) % 3)
    rows, lengths = xpnn.asarray(rng().random((6, 9, 4)).astype(np.float32)), xpnn.asarray(np.arange(6) + 4)
    with counting() as account:
        metrics.accuracy(images[:, 0, 0, :3], labels)
        metrics.mean_absolute_error(rows, rows)
        augment.shifted(images, 2)
        augment.cropped(rows, lengths, 0.7)
    assert account.waits == []


def test_indexing_by_arrays_has_gradients_without_waiting() -> None:
    x = xpnn.asarray(rng().normal(size=(4, 5)))
    key = xpnn.asarray(np.array([0, 3, 3, 1]))
    one = xpnn.asarray(np.array(2))

    def f(x: Any, key: Any, one: Any) -> Any:
        xp = xpnn.namespace(x)
        parts = (x[key, :], x[one, :], xp.take(x, key, axis=1), x[key, key], xp.clip(x, -0.5, 0.5), xp.abs(x))
        return sum(xp.sum(part * part) for part in parts)

    with counting() as account:
        _, gradient = xpnn.value_and_grad(f)(x, key, one)
    assert account.waits == []
    expected = xpnn.grad(f)(*map(xpnn.to_numpy, (x, key, one)))
    np.testing.assert_allclose(xpnn.to_numpy(gradient), expected, rtol=1e-12)
