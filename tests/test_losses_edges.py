"""Losses at their edges: ties, nothing to count, infinite logits, one traced argument, second derivatives, other dtypes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import losses, ops
from xpnn.testing import check_gradient

from .conftest import Library
from .test_losses import (
    CASES,
    COUNTS,
    FRAME_LENGTHS,
    FRAMES,
    LABELS,
    UNIT,
    WORD_LENGTHS,
    WORDS,
    WORDS_IN_LINE,
    X,
    converted,
    differentiated,
    expected,
    ours,
)

ONE_OF_SEVERAL = [
    (number, i)
    for number, (name, arrays, _) in enumerate(CASES)
    for i in differentiated(name, arrays)
    if len(differentiated(name, arrays)) > 1
]


@pytest.mark.parametrize(("number", "place"), ONE_OF_SEVERAL)
def test_each_argument_alone_may_be_traced(number: int, place: int, lib: Library) -> None:
    name, arrays, options = CASES[number]
    places = differentiated(name, arrays)
    raw = [lib.asarray(x) for x in arrays]

    def loss(*xs: Any) -> Any:
        given = list(raw)
        for i, x in zip(places if len(xs) > 1 else [place], xs, strict=True):
            given[i] = x
        return getattr(losses, name)(*given, **converted(options, lib.asarray))

    together = xpnn.value_and_grad(loss, argnums=tuple(range(len(places))))(*[raw[i] for i in places])[1]
    alone = xpnn.grad(loss)(raw[place])
    np.testing.assert_array_equal(lib.to_numpy(alone), lib.to_numpy(together[places.index(place)]))


@pytest.mark.parametrize("number", [i for i, case in enumerate(CASES) if case[2].get("weight") is not None])
def test_weights_may_be_traced(number: int, lib: Library) -> None:
    name, arrays, options = CASES[number]
    raw = [lib.asarray(x) for x in arrays]
    rest = {k: v for k, v in converted(options, lib.asarray).items() if k != "weight"}

    def loss(weight: Any) -> Any:
        return getattr(losses, name)(*raw, weight=weight, **rest)

    weight = lib.asarray(options["weight"])
    gradient = lib.to_numpy(xpnn.grad(loss)(weight))
    step = np.zeros_like(options["weight"])
    step.flat[1] = 1e-6
    up, down = (lib.to_numpy(loss(lib.asarray(options["weight"] + s))) for s in (step, -step))
    np.testing.assert_allclose(gradient.flat[1], (up - down) / 2e-6, rtol=1e-6, atol=1e-9)


TIES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("hinge_embedding_loss", (np.array([2.0, 1.0, 3.0, 0.0]), np.array([-1, -1, -1, 1])), {"margin": 2.0}),
    ("margin_ranking_loss", (np.array([2.0, 1.0]), np.array([1.0, 2.0]), np.array([1.0, -1.0])), {"margin": 1.0}),
    ("multi_margin_loss", (np.array([[2.0, 1.0, 0.0, 3.0]]), np.array([0])), {}),
    ("multilabel_margin_loss", (np.array([[2.0, 1.0, 0.0, 3.0]]), np.array([[0, -1, 1, 1]])), {}),
    ("l1_loss", (np.array([1.0, 2.0]), np.array([1.0, 3.0])), {}),
    ("huber_loss", (np.array([1.0, -1.0, 0.0]), np.zeros(3)), {}),
    ("smooth_l1_loss", (np.array([1.0, -1.0, 0.0]), np.zeros(3)), {}),
    ("binary_cross_entropy_with_logits", (np.zeros(3), np.array([0.0, 1.0, 0.3])), {}),
    ("cosine_embedding_loss", (np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), np.array([-1])), {}),
    ("cosine_embedding_loss", (np.zeros((2, 3)), np.ones((2, 3)), np.array([1, -1])), {"margin": -0.5}),
    ("triplet_margin_loss", (np.ones((1, 2)), np.ones((1, 2)), np.ones((1, 2))), {"eps": 0.0, "swap": True}),
    ("triplet_margin_loss", (np.ones((1, 2)), np.ones((1, 2)), np.ones((1, 2))), {"eps": 0.0, "p": 3}),
    ("poisson_nll_loss", (np.array([0.5, 1.0]), np.array([0, 1])), {"full": True}),
]


@pytest.mark.parametrize("number", range(len(TIES)))
def test_ties_and_corners_are_those_of_torch(number: int, lib: Library) -> None:
    name, arrays, options = TIES[number]
    options = {**options, "reduction": "sum"}
    theirs, g, gradients = expected(name, arrays, options)
    value, found = ours(lib, name, arrays, options, g)
    np.testing.assert_allclose(lib.to_numpy(value), theirs, rtol=1e-8, atol=1e-12)
    for d, e in zip(found, gradients, strict=True):
        np.testing.assert_allclose(lib.to_numpy(d), e, rtol=1e-8, atol=1e-12)


NOTHING = {name: np.zeros((0, 4)) for name in ("mse_loss", "l1_loss", "huber_loss", "poisson_nll_loss", "kl_div")}
EMPTY: list[tuple[str, tuple[Any, ...]]] = [
    *((name, (x, x)) for name, x in NOTHING.items()),
    *((name, (np.zeros((0, 4)),) * 2) for name in ("smooth_l1_loss", "binary_cross_entropy", "soft_margin_loss")),
    *((name, (np.zeros((0, 4)),) * 2) for name in ("hinge_embedding_loss", "binary_cross_entropy_with_logits")),
    ("multilabel_soft_margin_loss", (np.zeros((0, 4)),) * 2),
    *((name, (np.zeros((0, 4)), np.zeros(0, int))) for name in ("nll_loss", "cross_entropy", "multi_margin_loss")),
    ("nll_loss", (np.zeros((2, 4, 0)), np.zeros((2, 0), int))),
    ("multilabel_margin_loss", (np.zeros((0, 4)), np.zeros((0, 4), int))),
    ("cosine_embedding_loss", (np.zeros((0, 4)), np.zeros((0, 4)), np.zeros(0, int))),
    *((name, (np.zeros((0, 4)),) * 3) for name in ("triplet_margin_loss", "gaussian_nll_loss", "margin_ranking_loss")),
    ("ctc_loss", (np.zeros((5, 0, 4)), np.zeros((0, 3), int), np.zeros(0, int), np.zeros(0, int))),
]


@pytest.mark.parametrize(("name", "arrays"), EMPTY, ids=[name for name, _ in EMPTY])
def test_an_empty_batch(name: str, arrays: Any, lib: Library) -> None:
    """The mean of nothing is nan, its sum 0; no warning."""
    raw = [lib.asarray(x) for x in arrays]
    loss = getattr(losses, name)
    assert math.isnan(lib.to_numpy(loss(*raw)))
    assert lib.to_numpy(loss(*raw, reduction="sum")) == 0
    assert 0 in loss(*raw, reduction="none").shape
    value, gradient = xpnn.value_and_grad(lambda x: loss(x, *raw[1:]))(raw[0])
    assert math.isnan(lib.to_numpy(value))
    assert gradient.shape == arrays[0].shape


@pytest.mark.parametrize("name", ["nll_loss", "cross_entropy"])
@pytest.mark.parametrize("weighted", [False, True])
def test_nothing_counts(name: str, weighted: bool, lib: Library) -> None:
    """As in torch: the mean is nan, the sum 0, and so are the gradients."""
    weight = lib.asarray(np.ones(4)) if weighted else None
    labels = lib.asarray(np.full(6, -100))
    mean, gradient = xpnn.value_and_grad(lambda x: getattr(losses, name)(x, labels, weight))(lib.asarray(X))
    assert math.isnan(lib.to_numpy(mean))
    np.testing.assert_array_equal(lib.to_numpy(gradient), np.zeros_like(X))
    total = getattr(losses, name)(lib.asarray(X), labels, weight, reduction="sum")
    assert lib.to_numpy(total) == 0


@pytest.mark.parametrize("labels", [[0, 1], [1, 1], [1, -100]])
@pytest.mark.parametrize("weighted", [False, True])
def test_infinite_logits(labels: list[int], weighted: bool, lib: Library) -> None:
    """A class of probability 0: no loss if it is not the label, an infinite one if it is; the gradient stays finite."""
    logits = np.array([[0.0, -np.inf, 1.0], [-np.inf, 2.0, 3.0]])
    options = {"weight": np.array([1.0, 2.0, 0.5])} if weighted else {}
    theirs, g, gradients = expected("cross_entropy", (logits, np.array(labels)), options)
    value, found = ours(lib, "cross_entropy", (logits, np.array(labels)), options, g)
    np.testing.assert_allclose(lib.to_numpy(value), theirs, rtol=1e-12)
    np.testing.assert_allclose(lib.to_numpy(found[0]), gradients[0], rtol=1e-12, atol=1e-15)


def test_an_ignored_element_may_be_impossible(lib: Library) -> None:
    logs = lib.asarray(np.array([[-np.inf, 0.0], [-1.0, -2.0]]))
    assert lib.to_numpy(losses.nll_loss(logs, lib.asarray(np.array([-100, 1])))) == 2


def test_labels_may_be_bytes_lists_and_numbers(lib: Library) -> None:
    x = lib.asarray(X)
    for name in ("nll_loss", "cross_entropy"):
        loss = getattr(losses, name)
        plain = lib.to_numpy(loss(x[:3, :], lib.asarray(LABELS[:3])))
        assert lib.to_numpy(loss(x[:3, :], lib.asarray(LABELS[:3].astype(np.uint8)))) == plain
        assert lib.to_numpy(loss(x[:3, :], LABELS[:3].tolist())) == plain
        assert loss(x[0, :], 3).shape == ()


def test_large_numbers_do_not_overflow() -> None:
    x = np.array([1e4, -1e4], np.float32)
    np.testing.assert_array_equal(losses.soft_margin_loss(x, np.array([-1, 1]), reduction="none"), [1e4, 1e4])
    hits = np.array([0.0, 1.0], np.float32)
    for name in ("binary_cross_entropy_with_logits", "multilabel_soft_margin_loss"):
        assert getattr(losses, name)(x, hits) == np.float32(1e4)


def test_the_logarithms_of_binary_cross_entropy_end_at_minus_100(lib: Library) -> None:
    x, t = lib.asarray(np.array([0.0, 1.0, 0.0, 1.0])), lib.asarray(np.array([1.0, 0.0, 0.0, 1.0]))
    found = losses.binary_cross_entropy(x, t, reduction="none")
    np.testing.assert_array_equal(lib.to_numpy(found), [100, 100, 0, 0])
    gradient = xpnn.grad(lambda x: losses.binary_cross_entropy(x, t, reduction="sum"))(x)
    np.testing.assert_allclose(lib.to_numpy(gradient), [-1e12, 1e12, 0, 0], rtol=1e-12)


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_targets_too_long_for_their_frames(zero_infinity: bool, lib: Library) -> None:
    """Row 2 needs a frame between its equal labels; row 3 has no frame at all, row 4 neither frame nor label."""
    labels, frames, counts = np.array([[1, 2], [1, 1], [2, 1], [1, 1]]), [2, 2, 0, 0], [2, 2, 1, 0]
    x = FRAMES[:2, :4]

    def loss(x: Any) -> Any:
        logs = ops.log_softmax(x)
        return losses.ctc_loss(logs, labels, frames, counts, reduction="none", zero_infinity=zero_infinity)

    value, pullback = xpnn.vjp(loss, lib.asarray(x))
    value = lib.to_numpy(value)
    lost = 0 if zero_infinity else math.inf
    np.testing.assert_allclose(value, [-x[0, 0, 1] - x[1, 0, 2], lost, lost, 0], rtol=1e-12)
    (gradient,) = pullback(lib.asarray(np.ones(4)))
    assert np.all(lib.to_numpy(gradient)[:, 1:] == 0)
    assert np.all(lib.to_numpy(gradient)[:, 0] != 0)


def test_forms_of_ctc_targets_agree(lib: Library) -> None:
    """Rows or one line, lengths as arrays here or there or as lists: the same losses."""
    x = lib.asarray(FRAMES)
    plain = lib.to_numpy(
        losses.ctc_loss(x, WORDS, FRAME_LENGTHS.tolist(), tuple(WORD_LENGTHS.tolist()), reduction="none")
    )
    arrays = [lib.asarray(a) for a in (WORDS_IN_LINE, FRAME_LENGTHS, WORD_LENGTHS)]
    np.testing.assert_array_equal(lib.to_numpy(losses.ctc_loss(x, *arrays, reduction="none")), plain)
    short = losses.ctc_loss(
        x[:2, ...], arrays[0], np.full(5, 2), arrays[2], reduction="none"
    )  # more labels than frames
    assert np.isinf(lib.to_numpy(short)[[0, 1, 4]]).all()
    assert np.isfinite(lib.to_numpy(short)[[2, 3]]).all()
    nothing = losses.ctc_loss(x, np.zeros(0, int), [9] * 5, [0] * 5, reduction="none")
    np.testing.assert_allclose(lib.to_numpy(nothing), -FRAMES[:, :, 0].sum(0), rtol=1e-12)


SMOOTH = [
    ("mse_loss", (X, UNIT)),
    ("binary_cross_entropy", (UNIT, UNIT[::-1])),
    ("binary_cross_entropy_with_logits", (X, UNIT)),
    ("kl_div", (X, UNIT)),
    ("gaussian_nll_loss", (X, UNIT, UNIT + 1)),
    ("poisson_nll_loss", (UNIT, COUNTS + 2)),
    ("soft_margin_loss", (X, np.sign(X[::-1]))),
    ("multilabel_soft_margin_loss", (X, UNIT)),
    ("triplet_margin_loss", (X, UNIT, X[::-1])),
]


@pytest.mark.parametrize(("name", "arrays"), SMOOTH, ids=[name for name, _ in SMOOTH])
def test_second_derivatives(name: str, arrays: Any) -> None:
    options = {"margin": 30.0} if name == "triplet_margin_loss" else {}
    check_gradient(lambda *xs: getattr(losses, name)(*xs, **options), *arrays, order=2)


def test_second_derivatives_of_ctc() -> None:
    def loss(x: Any) -> Any:
        return losses.ctc_loss(x, WORDS, FRAME_LENGTHS, WORD_LENGTHS, zero_infinity=True)

    check_gradient(loss, FRAMES, order=2)


def test_complex_numbers_have_an_absolute_error(lib: Library) -> None:
    x = lib.asarray(np.array([3 + 4j, 0]))
    assert lib.to_numpy(losses.l1_loss(x, lib.asarray(np.zeros(2, complex)))) == 2.5


@pytest.mark.parametrize("name", ["mse_loss", "soft_margin_loss", "binary_cross_entropy_with_logits", "kl_div"])
def test_targets_may_be_integers_or_booleans(name: str, lib: Library) -> None:
    hits = X > 0
    loss = getattr(losses, name)
    plain = lib.to_numpy(loss(lib.asarray(X), lib.asarray(hits * 1.0)))
    assert lib.to_numpy(loss(lib.asarray(X), lib.asarray(hits))) == plain
    assert lib.to_numpy(loss(lib.asarray(X), lib.asarray(hits * 1))) == plain
