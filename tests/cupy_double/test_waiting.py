"""No layer, loss or random function makes the host wait for the GPU: each by itself, forward and backward.

Layers by their references, and with the kernels and their host code in the emulator.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import cupy
import numpy as np
import pytest

import xpnn
from tests.cupy_double import kernels
from tests.cupy_double.sync import counting
from tests.nn.layer_cases import Case, all_cases
from tests.nn.matrix import called, floats, inputs_of, ours_alone, with_leaves
from tests.random.test_distributions import DRAWS
from tests.test_losses import CASES as LOSSES
from xpnn import losses, metrics, tree
from xpnn.demos import augment

pytestmark = pytest.mark.gpu
LAYERS = all_cases()
# What clips: outside of a trace by array-api-compat, whose masks the host waits for.
CLIPPING = {"HingeEmbeddingLoss", "MarginRankingLoss", "CosineEmbeddingLoss", "TripletMarginLoss", "CosineSimilarity"}
FIRST = list({case.kind: case for case in reversed(LAYERS)}.values())[::-1]  # of each layer one case


@pytest.fixture(autouse=True)
def gpu() -> Iterator[None]:
    with xpnn.backend("gpu"):
        yield


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_layers(case: Case) -> None:
    waits_for_nothing(case)


@pytest.mark.parametrize("case", FIRST, ids=str)
def test_layers_with_their_kernels(case: Case) -> None:
    with kernels.running():
        waits_for_nothing(case)


def waits_for_nothing(case: Case) -> None:
    with xpnn.backend("cpu"):
        layer = ours_alone(case, "float32")
    layer = layer.to("gpu")
    xs = [tree.map(_there, x) for x in inputs_of(case)]
    given = dataclasses.replace(
        case, call={k: _there(x) if isinstance(x, np.ndarray) else x for k, x in case.call.items()}
    )
    leaves = floats(case, xs)
    with counting() as account:
        if case.kind not in CLIPPING:
            called(given, layer, xs, _there)
        parts = [*([layer] if list(layer.parameters()) else []), *([leaves] if leaves else [])]

        def call(*boxed: Any) -> list[Any]:
            own = [with_leaves(x, boxed[-1] if leaves else {}, str(i)) for i, x in enumerate(xs)]
            out = called(given, boxed[0] if parts[0] is layer else layer, own, _there)
            return [y for y in out.values() if xpnn.namespace(y).isdtype(y.dtype, "real floating")]

        out, pullback = xpnn.vjp(call, *parts)
        pullback([cupy.ones_like(y) for y in out])
    assert account.waits == []


def _there(x: np.ndarray[Any, Any]) -> Any:
    return xpnn.asarray(x, dtype="float32" if x.dtype.kind == "f" else None)


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
