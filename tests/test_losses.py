"""Losses: values and all gradients of torch, every option and reduction, in float64 and float32, and at the edges."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import losses

from .conftest import Library

RNG = np.random.default_rng(0)
X, T = RNG.normal(size=(6, 4)) * 3, RNG.normal(size=(6, 4)) * 3
X[0, 0] = T[0, 0] + 1.0  # exactly at delta
LABELS = np.array([0, 3, 1, -100, 2, 2])
CLASSES = np.array([0, 3, 1, 1, 2, 2])
MAP, MAP_LABELS = RNG.normal(size=(2, 4, 3, 2)), RNG.integers(0, 4, size=(2, 3, 2))
PROBABILITIES = RNG.dirichlet(np.ones(4), size=6)
MAP_PROBABILITIES = np.moveaxis(RNG.dirichlet(np.ones(4), size=(2, 3, 2)), -1, 1)
WEIGHT = np.array([0.5, 2.0, 1.0, 0.1])
HITS = (RNG.random((6, 4)) > 0.5) * 1.0
UNIT = RNG.uniform(0.01, 0.99, size=(6, 4))
SURE = np.where(RNG.random((6, 4)) > 0.5, UNIT, HITS)  # with exact zeros and ones
FACTORS = RNG.uniform(0.1, 2.0, size=(6, 4))
LOGS = np.log(PROBABILITIES)
SIGNS, SIDES = HITS * 2 - 1, np.array([1.0, -1.0, 1.0, -1.0, -1.0, 1.0])
Y = RNG.normal(size=(6, 4))
SEVERAL = np.array([[3, 0, -1, 1], [0, -1, -1, -1], [-1, 0, 1, 2], [0, 1, 2, 3], [2, 2, -1, -1], [1, -1, -1, -1]])
COUNTS = RNG.integers(0, 5, size=(6, 4)) * 1.0
VARIANCE = RNG.uniform(0.2, 2.0, size=(6, 4))
LOW = np.where(HITS > 0, VARIANCE, 0.01)  # partly below an eps of 0.1
FRAMES = RNG.normal(size=(9, 5, 4))
FRAMES -= np.log(np.sum(np.exp(FRAMES), axis=-1, keepdims=True))
WORDS = np.array([[1, 2, 3, 1], [2, 2, 1, 3], [3, -7, 9, 9], [9, 9, 9, 9], [1, 1, 1, 1]])
WORD_LENGTHS, FRAME_LENGTHS = np.array([4, 3, 1, 0, 4]), np.array([9, 8, 3, 5, 7])
WORDS_IN_LINE = np.concatenate([row[:n] for row, n in zip(WORDS, WORD_LENGTHS, strict=True)])

CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("mse_loss", (X, T), {}),
    ("mse_loss", (X, T), {"weight": FACTORS}),
    ("l1_loss", (X, T), {}),
    ("l1_loss", (X, T), {"weight": FACTORS}),
    ("huber_loss", (X, T), {"delta": 1.7}),
    ("huber_loss", (X, T), {"weight": FACTORS}),
    ("smooth_l1_loss", (X, T), {"beta": 0.8}),
    ("smooth_l1_loss", (X, T), {"beta": 0.0}),
    ("gaussian_nll_loss", (X, T, VARIANCE), {}),
    ("gaussian_nll_loss", (X, T, LOW), {"eps": 0.1, "full": True}),
    ("gaussian_nll_loss", (X, T, VARIANCE[:, 0]), {}),
    ("gaussian_nll_loss", (X, T, VARIANCE[:, :1]), {"full": True}),
    ("gaussian_nll_loss", (MAP, MAP + 1, FACTORS[:2, :1, None, None] + np.zeros((2, 1, 3, 2))), {}),
    ("gaussian_nll_loss", (X, T), {"var": 0.7}),
    ("poisson_nll_loss", (X, COUNTS), {}),
    ("poisson_nll_loss", (X, VARIANCE * 4), {"full": True}),
    ("poisson_nll_loss", (VARIANCE, COUNTS), {"log_input": False, "eps": 0.01}),
    ("poisson_nll_loss", (VARIANCE, COUNTS + 2), {"log_input": False, "full": True}),
    ("binary_cross_entropy", (UNIT, HITS), {}),
    ("binary_cross_entropy", (UNIT, PROBABILITIES), {"weight": WEIGHT}),
    ("binary_cross_entropy", (UNIT, PROBABILITIES), {"weight": FACTORS}),
    ("binary_cross_entropy", (SURE, HITS), {}),
    ("binary_cross_entropy_with_logits", (X * 20, HITS), {}),
    ("binary_cross_entropy_with_logits", (X, HITS), {"pos_weight": WEIGHT}),
    ("binary_cross_entropy_with_logits", (X, HITS), {"weight": WEIGHT}),
    ("binary_cross_entropy_with_logits", (X, PROBABILITIES), {"weight": FACTORS, "pos_weight": WEIGHT}),
    ("kl_div", (LOGS, RNG.dirichlet(np.ones(4), size=6)), {}),
    ("kl_div", (LOGS, LOGS[::-1].copy()), {"log_target": True}),
    ("nll_loss", (X, LABELS), {}),
    ("nll_loss", (X, LABELS), {"weight": WEIGHT}),
    ("nll_loss", (MAP, MAP_LABELS), {"ignore_index": 1}),
    ("nll_loss", (MAP, MAP_LABELS), {"weight": WEIGHT}),
    ("nll_loss", (X[0], np.array(2)), {"weight": WEIGHT}),
    ("cross_entropy", (X, LABELS), {}),
    ("cross_entropy", (X * 300, LABELS), {}),
    ("cross_entropy", (X, LABELS), {"weight": WEIGHT, "label_smoothing": 0.1}),
    ("cross_entropy", (MAP, MAP_LABELS), {"ignore_index": 2}),
    ("cross_entropy", (MAP, MAP_LABELS), {"ignore_index": 2, "weight": WEIGHT, "label_smoothing": 0.3}),
    ("cross_entropy", (MAP[:, :, 0], MAP_LABELS[:, 0]), {"label_smoothing": 1.0}),
    ("cross_entropy", (X[0], np.array(3)), {}),
    ("cross_entropy", (X[0], PROBABILITIES[0]), {}),
    ("cross_entropy", (X, PROBABILITIES), {"label_smoothing": 0.2}),
    ("cross_entropy", (X, PROBABILITIES), {"weight": WEIGHT}),
    ("cross_entropy", (MAP, MAP_PROBABILITIES), {"weight": WEIGHT, "label_smoothing": 0.2}),
    ("hinge_embedding_loss", (X, SIGNS), {}),
    ("hinge_embedding_loss", (X, SIGNS), {"margin": 2.5}),
    ("margin_ranking_loss", (X, Y, SIGNS), {}),
    ("margin_ranking_loss", (X, Y, SIGNS), {"margin": 1.5}),
    ("multi_margin_loss", (X, CLASSES), {}),
    ("multi_margin_loss", (X, CLASSES), {"p": 2, "margin": 2.0}),
    ("multi_margin_loss", (X, CLASSES), {"p": 2, "weight": WEIGHT}),
    ("multi_margin_loss", (X[0], np.array(1)), {"weight": WEIGHT}),
    ("multilabel_margin_loss", (X, SEVERAL), {}),
    ("multilabel_margin_loss", (X[0], SEVERAL[0]), {}),
    ("multilabel_soft_margin_loss", (X, HITS), {}),
    ("multilabel_soft_margin_loss", (X, PROBABILITIES), {"weight": WEIGHT}),
    ("multilabel_soft_margin_loss", (X[0], HITS[0]), {}),
    ("soft_margin_loss", (X, SIGNS), {}),
    ("cosine_embedding_loss", (X, Y, SIDES), {}),
    ("cosine_embedding_loss", (X, Y, SIDES), {"margin": -0.6}),
    ("cosine_embedding_loss", (X[0], Y[0], np.array(-1.0)), {"margin": -0.9}),
    ("triplet_margin_loss", (X, Y, T), {}),
    ("triplet_margin_loss", (X, Y, T), {"swap": True, "margin": 3.0}),
    ("triplet_margin_loss", (X, Y, T), {"p": 1, "eps": 0.1, "margin": 9.0}),
    ("triplet_margin_loss", (X, Y, T), {"p": 3.5, "swap": True, "margin": 9.0}),
    ("triplet_margin_loss", (X, Y, T), {"p": 0.7, "margin": 9.0}),
    ("triplet_margin_loss", (X, Y, T), {"p": math.inf, "margin": 9.0}),
    ("triplet_margin_loss", (X[0], X[0], X[0]), {"eps": 0.0}),
    ("ctc_loss", (FRAMES, WORDS, FRAME_LENGTHS, WORD_LENGTHS), {"zero_infinity": True}),
    ("ctc_loss", (FRAMES, WORDS_IN_LINE, FRAME_LENGTHS, WORD_LENGTHS), {"zero_infinity": True}),
    ("ctc_loss", (FRAMES, WORDS % 3, FRAME_LENGTHS, np.array([3, 2, 1, 0, 2])), {"blank": 3}),
    ("ctc_loss", (FRAMES[:, 0], WORDS[0], np.array(8), np.array(4)), {}),
]  # fmt: skip
# torch has no gradient for these
CONSTANT = {("soft_margin_loss", 1), ("hinge_embedding_loss", 1), ("cosine_embedding_loss", 2)}
REDUCTIONS = ["mean", "sum", "none"]
torch_only = "the reference is torch"


def converted(options: dict[str, Any], convert: Any) -> dict[str, Any]:
    return {name: convert(x) if isinstance(x, np.ndarray) else x for name, x in options.items()}


def differentiated(name: str, arrays: tuple[Any, ...]) -> list[int]:
    if name == "binary_cross_entropy" and np.any(arrays[0] * (1 - arrays[0]) == 0):
        return [0]  # the target's slope, which is infinite in torch, stays within the bounds of the logarithms
    return [i for i, x in enumerate(arrays) if x.dtype.kind == "f" and (name, i) not in CONSTANT]


def expected(
    name: str, arrays: tuple[Any, ...], options: dict[str, Any]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], list[np.ndarray[Any, Any]]]:
    """torch's value, a gradient for it, and the gradients of the arrays; those of ctc_loss before its log_softmax."""
    torch = pytest.importorskip("torch", reason=torch_only)
    tensors = [torch.tensor(x) for x in arrays]
    wanted = [tensors[i].requires_grad_() for i in differentiated(name, arrays)]
    if name == "ctc_loss":
        tensors[0] = torch.log_softmax(tensors[0], -1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="reduction: 'mean' divides")
        value = getattr(torch.nn.functional, name)(*tensors, **converted(options, torch.tensor))
    g = np.asarray(np.random.default_rng(1).normal(size=tuple(value.shape)))
    found = torch.autograd.grad(value, wanted, torch.tensor(g), allow_unused=True)
    zeros = [np.zeros(tuple(x.shape)) for x in wanted]
    return value.detach().numpy(), g, [z if d is None else d.numpy() for z, d in zip(zeros, found, strict=True)]


def ours(
    lib: Library, name: str, arrays: tuple[Any, ...], options: dict[str, Any], g: Any, dtype: Any = None
) -> tuple[Any, list[Any]]:
    """The same of xpnn, in a dtype."""

    def own(x: Any) -> Any:
        return lib.asarray(x, dtype if x.dtype.kind == "f" else None)

    places = differentiated(name, arrays)

    def call(*xs: Any) -> Any:
        given = [xs[places.index(i)] if i in places else own(x) for i, x in enumerate(arrays)]
        if name == "ctc_loss":
            given[0] = xpnn.ops.log_softmax(given[0])
        return getattr(losses, name)(*given, **converted(options, own))

    value, pullback = xpnn.vjp(call, *[own(arrays[i]) for i in places])
    return value, list(pullback(own(g)))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_values_and_gradients_of_torch(number: int, reduction: str, lib: Library) -> None:
    name, arrays, options = CASES[number]
    options = {**options, "reduction": reduction}
    theirs, g, gradients = expected(name, arrays, options)
    value, found = ours(lib, name, arrays, options, g)
    np.testing.assert_allclose(lib.to_numpy(value), theirs, rtol=1e-10, atol=1e-12, strict=True)
    for d, e in zip(found, gradients, strict=True):
        np.testing.assert_allclose(lib.to_numpy(d), e, rtol=1e-10, atol=1e-12, strict=True)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_float32(number: int) -> None:
    """The result and the gradients stay float32, close to torch's float64."""
    lib = Library("numpy", xpnn.namespace(X))
    name, arrays, options = CASES[number]
    arrays = tuple(x.astype(np.float32).astype(float) if x.dtype.kind == "f" else x for x in arrays)
    options = converted(options, lambda x: x.astype(np.float32).astype(float))
    theirs, g, gradients = expected(name, arrays, options)
    value, found = ours(lib, name, arrays, options, g, np.float32)
    assert lib.to_numpy(value).dtype == np.float32
    np.testing.assert_allclose(lib.to_numpy(value), theirs, rtol=1e-5, atol=1e-6)
    for d, e in zip(found, gradients, strict=True):
        assert d.dtype == np.float32
        np.testing.assert_allclose(lib.to_numpy(d), e, rtol=2e-4, atol=1e-5 * max(1.0, np.abs(g).max()))


@pytest.mark.parametrize("shape", [(6, 4), (2, 3, 2), (5,), ()])
@pytest.mark.parametrize("log_target", [False, True])
def test_batchmean(log_target: bool, shape: tuple[int, ...], lib: Library) -> None:
    logs = np.asarray(-RNG.uniform(0.1, 3.0, size=shape))
    arrays = (np.asarray(-RNG.uniform(0.1, 3.0, size=shape)), logs if log_target else np.exp(logs))
    options = {"reduction": "batchmean", "log_target": log_target}
    theirs, g, gradients = expected("kl_div", arrays, options)
    value, found = ours(lib, "kl_div", arrays, options, g)
    np.testing.assert_allclose(lib.to_numpy(value), theirs, rtol=1e-12)
    for d, e in zip(found, gradients, strict=True):
        np.testing.assert_allclose(lib.to_numpy(d), e, rtol=1e-10)
