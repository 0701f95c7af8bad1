"""softmax_cross_entropy: the reference against torch in all its cases, the fused form against the reference, errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import ops
from xpnn.primitive import explain
from xpnn.testing import check_primitive

from ..conftest import Library
from .against_torch import check_against_torch

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(6, 5)) * 3
LABELS = np.array([0, 4, 2, -100, 1, 1])
MAP = RNG.normal(size=(2, 3, 4, 2))
MAP_LABELS = RNG.integers(0, 3, size=(2, 4, 2))
WEIGHT = np.array([0.2, 1.5, 1.0, 3.0, 0.0])
PROBABILITIES = RNG.dirichlet(np.ones(5), size=6)
MAP_PROBABILITIES = np.moveaxis(RNG.dirichlet(np.ones(3), size=(2, 4, 2)), -1, 1)

CASES = {
    "labels": (LOGITS, LABELS, None),
    "large logits": (LOGITS * 300, LABELS, None),
    "weighted": (LOGITS, LABELS, WEIGHT),
    "map": (MAP, MAP_LABELS, None),
    "weighted map": (MAP, MAP_LABELS, WEIGHT[:3]),
    "one": (LOGITS[0], np.array(2), None),
    "probabilities": (LOGITS, PROBABILITIES, None),
    "weighted probabilities": (LOGITS, PROBABILITIES, WEIGHT),
    "map of probabilities": (MAP, MAP_PROBABILITIES, WEIGHT[:3]),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("case", list(CASES))
def test_reference_agrees_with_torch(lib: Library, case: str, smoothing: float, reduction: str) -> None:
    logits, target, weight = CASES[case]
    options: dict[str, Any] = {"label_smoothing": smoothing, "reduction": reduction}
    ignored = {"ignore_index": 1} if case == "map" else {}

    def theirs(logits: Any, target: Any) -> Any:
        import torch

        w = None if weight is None else torch.tensor(weight)
        return torch.nn.functional.cross_entropy(logits, target, w, **ignored, **options)

    w = None if weight is None else lib.asarray(weight)
    ours = lambda logits, target: ops.softmax_cross_entropy(logits, target, w, **ignored, **options)  # noqa: E731
    check_against_torch(lib, ours, theirs, (logits, target))


def cases(dtype: Any) -> Iterator[tuple[Any, Any]]:
    rng = np.random.default_rng(2)
    for n, c in [(1, 1), (7, 3), (33, 10), (2, 101), (64, 2)]:
        for options in ({}, {"label_smoothing": 0.3}, {"reduction": "sum"}, {"reduction": "none"}):
            labels = rng.integers(0, c, size=n)
            yield ((rng.normal(size=(n, c)) * 4).astype(dtype), labels, None), options
            labels[: n // 2] = -100
            yield ((rng.normal(size=(n, c)) * 4).astype(dtype), labels, None), options
    yield (rng.normal(size=(4, 6)).astype(dtype)[:, ::2], np.array([0, 1, 2, 1], np.uint8), None), {"ignore_index": 1}
    yield (rng.normal(size=(0, 3)).astype(dtype), np.zeros(0, np.int64), None), {"reduction": "sum"}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_form_agrees_with_the_reference(dtype: Any) -> None:
    assert check_primitive(ops.softmax_cross_entropy, cases(dtype)) == 42


def test_labels_may_be_bytes_although_ignore_index_does_not_fit(lib: Library) -> None:
    plain = ops.softmax_cross_entropy(lib.asarray(LOGITS[:3]), lib.asarray(LABELS[:3]))
    small = ops.softmax_cross_entropy(lib.asarray(LOGITS[:3]), lib.asarray(LABELS[:3].astype(np.uint8)))
    assert lib.to_numpy(small) == lib.to_numpy(plain)


@pytest.mark.parametrize("logits", [LOGITS, LOGITS[None, :, :].swapaxes(1, 2)], ids=["fused", "reference"])
def test_nothing_counts(logits: Any) -> None:
    """torch: the mean of nothing is nan, and its gradient zero."""
    labels = np.full(logits.shape[:1] + logits.shape[2:], -100)
    loss, gradient = xpnn.value_and_grad(ops.softmax_cross_entropy)(logits, labels)
    assert np.isnan(loss)
    assert np.array_equal(gradient, np.zeros(logits.shape))


def test_large_logits_stay_exact() -> None:
    logits = np.array([[1e4, 0.0, -1e4]], np.float32)
    assert ops.softmax_cross_entropy(logits, np.array([2])) == np.float32(2e4)
    assert ops.softmax_cross_entropy(logits, np.array([0])) == 0


@pytest.mark.parametrize(
    ("case", "implementation"),
    [
        ("labels", "cpu.softmax_cross_entropy"),
        ("weighted", "reference"),
        ("map", "reference"),
        ("probabilities", "reference"),
    ],
)
def test_who_computes(case: str, implementation: str) -> None:
    (line,) = explain(ops.softmax_cross_entropy, *CASES[case])
    assert line.startswith(f"softmax_cross_entropy: {implementation}")


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((LOGITS, np.array([0, 1, 2, 5, 0, 0])), {}, r"target: expected labels in 0\.\.4 .*, got 5"),
        ((LOGITS, np.array([0, 1, 2, -1, 0, 0])), {}, r"target: expected labels in 0\.\.4 .*, got -1"),
        ((MAP, MAP_LABELS + 1), {}, r"target: expected labels in 0\.\.2"),
        ((LOGITS, LABELS[:4]), {}, r"target: expected integers of shape \(6,\)"),
        ((LOGITS, PROBABILITIES[:, :4]), {}, r"probabilities of shape \(6, 5\)"),
        ((LOGITS, LABELS, WEIGHT[:3]), {}, r"weight: expected shape \(5,\)"),
        ((LOGITS, LABELS), {"reduction": "max"}, "reduction: expected"),
        ((LOGITS, LABELS), {"label_smoothing": 1.5}, "label_smoothing: expected"),
        ((np.zeros((2, 0)), np.full(2, -100)), {}, "logits: expected one class or more"),
        ((np.array(1.0), np.array(0)), {}, "logits: expected shape"),
    ],
)
def test_errors_name_the_argument(args: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ops.softmax_cross_entropy(*args, **options)
