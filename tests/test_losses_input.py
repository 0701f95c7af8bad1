"""What losses are not to be given: one line that names the argument, what came and what was expected."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from xpnn import losses, nn

from .conftest import Library

X, Y = np.ones((6, 4)), np.zeros((6, 4))
WHOLE = np.ones((6, 4), int)
LABELS = np.array([0, 1, 2, 3, 0, 1])
UNIT = np.full((6, 4), 0.5)
SIGNS = np.array([1, -1, 1, -1, 1, -1])
FRAMES = np.log(np.full((5, 2, 4), 0.25))
WORDS = np.array([[1, 2, 3], [2, 1, 0]])


def frames(
    targets: Any = WORDS, input_lengths: Any = (5, 5), target_lengths: Any = (3, 2), x: Any = FRAMES
) -> tuple[Any, ...]:
    return x, targets, input_lengths, target_lengths


# loss, arguments, options, the message
WRONG: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    # ---- reduction
    *(
        (name, args, {"reduction": "average"}, 'reduction: expected "mean", "sum" or "none", got \'average\'')
        for name, args in {
            "l1_loss": (X, Y),
            "mse_loss": (X, Y),
            "huber_loss": (X, Y),
            "smooth_l1_loss": (X, Y),
            "gaussian_nll_loss": (X, Y, X),
            "poisson_nll_loss": (X, Y),
            "cross_entropy": (X, LABELS),
            "nll_loss": (X, LABELS),
            "binary_cross_entropy": (UNIT, Y),
            "binary_cross_entropy_with_logits": (X, Y),
            "hinge_embedding_loss": (X, X),
            "margin_ranking_loss": (X, Y, X),
            "multi_margin_loss": (X, LABELS),
            "multilabel_margin_loss": (X, WHOLE),
            "multilabel_soft_margin_loss": (X, Y),
            "soft_margin_loss": (X, X),
            "cosine_embedding_loss": (X, Y, SIGNS),
            "triplet_margin_loss": (X, Y, X),
            "ctc_loss": frames(),
        }.items()
    ),
    ("kl_div", (X, Y), {"reduction": "max"}, '"none" or "batchmean", got \'max\''),
    ("mse_loss", (X, Y), {"reduction": "batchmean"}, "reduction: expected"),
    ("mse_loss", (X, Y), {"reduction": None}, "reduction: expected .*got None"),
    # ---- shapes that do not fit
    *(
        (name, (X, np.ones(6)), {}, r"target: expected the shape of input, \(6, 4\), got \(6,\)")
        for name in (
            "l1_loss", "mse_loss", "huber_loss", "smooth_l1_loss", "poisson_nll_loss", "binary_cross_entropy",
            "binary_cross_entropy_with_logits", "kl_div", "hinge_embedding_loss", "multilabel_soft_margin_loss",
            "soft_margin_loss",
        )
    ),
    ("mse_loss", (np.ones((6, 1)), np.ones(6)), {}, r"target: expected the shape of input, \(6, 1\), got \(6,\)"),
    ("mse_loss", (X, Y), {"weight": np.ones(4)}, r"weight: expected the shape of input, \(6, 4\), got \(4,\)"),
    ("huber_loss", (X, Y), {"weight": np.ones(4)}, r"weight: expected the shape of input, \(6, 4\), got \(4,\)"),
    ("binary_cross_entropy", (UNIT, Y), {"weight": np.ones(6)}, r"weight: .* broadcasts to \(6, 4\), got \(6,\)"),
    ("binary_cross_entropy_with_logits", (X, Y), {"pos_weight": np.ones(3)}, r"pos_weight: .* \(6, 4\), got \(3,\)"),
    ("binary_cross_entropy_with_logits", (X, Y), {"weight": np.ones((2, 6, 4))}, r"weight: .*got \(2, 6, 4\)"),
    ("gaussian_nll_loss", (X, Y, np.ones(4)), {}, r"var: expected shape \(6, 4\), \(6,\) or one axis of size 1, got"),
    ("gaussian_nll_loss", (X, Y, np.ones((1, 1))), {}, r"var: expected shape .*got \(1, 1\)"),
    ("margin_ranking_loss", (X, np.ones((6, 1)), X), {}, r"input2: expected the shape of input1, \(6, 4\), got"),
    ("margin_ranking_loss", (X, Y, SIGNS), {}, r"target: expected the shape of input1, \(6, 4\), got \(6,\)"),
    ("triplet_margin_loss", (X, Y[:1], X), {}, r"positive: expected the shape of anchor, \(6, 4\), got \(1, 4\)"),
    ("triplet_margin_loss", (X, Y, X[0]), {}, r"negative: expected the shape of anchor, \(6, 4\), got \(4,\)"),
    ("triplet_margin_loss", (np.array(1.0),) * 3, {}, r"anchor: expected shape \(..., D\), got \(\)"),
    ("cosine_embedding_loss", (X, Y[:, :2], SIGNS), {}, r"input2: expected the shape of input1"),
    ("cosine_embedding_loss", (X, Y, SIGNS[:, None]), {}, r"target: expected shape \(6,\), got \(6, 1\)"),
    ("cosine_embedding_loss", (X[None], Y[None], SIGNS[None]), {}, r"input1: expected shape \(N, D\) or \(D,\), got"),
    ("nll_loss", (X, LABELS[:4]), {}, r"target: expected integers of shape \(6,\), got shape \(4,\)"),
    ("nll_loss", (X, LABELS[:, None]), {}, r"target: expected integers of shape \(6,\), got shape \(6, 1\)"),
    ("nll_loss", (np.array(1.0), np.array(0)), {}, r"input: expected shape \(N, C\), .* got \(\)"),
    ("cross_entropy", (X, LABELS[:4]), {}, r"target: expected integers of shape \(6,\)"),
    ("cross_entropy", (X, UNIT[:, :3]), {}, r"target: .* probabilities of shape \(6, 4\), got .*\(6, 3\)"),
    ("cross_entropy", (np.array(1.0), np.array(0)), {}, r"input: expected shape \(N, C\), .* got \(\)"),
    ("cross_entropy", (np.ones((2, 0)), np.zeros(2, int)), {}, "input: expected one class or more"),
    ("multi_margin_loss", (np.ones((6, 4, 2)), LABELS), {}, r"input: expected shape \(N, C\) or \(C,\), got \(6, 4, 2\)"),
    ("multilabel_margin_loss", (X, LABELS), {}, r"target: expected integers of shape \(6, 4\), got shape \(6,\)"),
    ("multilabel_soft_margin_loss", (np.array(1.0), np.array(1.0)), {}, r"input: expected shape \(..., C\)"),
    # ---- class weights
    *(
        (name, (X, LABELS), {"weight": np.ones(3)}, r"weight: expected shape \(4,\), got \(3,\)")
        for name in ("nll_loss", "cross_entropy", "multi_margin_loss")
    ),
    ("cross_entropy", (X, LABELS), {"weight": np.ones((1, 4))}, r"weight: expected shape \(4,\), got \(1, 4\)"),
    ("cross_entropy", (X, LABELS), {"weight": np.ones(4, complex)}, "weight: .*floating-point.*complex128"),
    ("multilabel_soft_margin_loss", (X, Y), {"weight": np.ones(3)}, r"weight: .*\(6, 4\), got \(3,\)"),
    # ---- dtypes
    *(
        (name, (X, LABELS * 1.0), {}, "target: expected integers, got dtype float64")
        for name in ("nll_loss", "multi_margin_loss", "multilabel_margin_loss")
    ),
    ("cross_entropy", (X, LABELS * 1.0), {}, r"target: expected integers .* got float64 of shape \(6,\)"),
    ("cross_entropy", (X, LABELS > 1), {}, "target: expected integers or probabilities, got dtype bool"),
    ("cross_entropy", (WHOLE, LABELS), {}, "input: expected a floating-point dtype, got int64"),
    ("nll_loss", (WHOLE, LABELS), {}, "input: expected a floating-point dtype, got int64"),
    ("mse_loss", (WHOLE, Y), {}, "input: expected a floating-point dtype, got int64"),
    ("mse_loss", (X, Y * 1j), {}, "target: expected a floating-point dtype, got complex128"),
    ("cosine_embedding_loss", (X, Y, SIGNS > 0), {}, "target: expected numbers, got dtype bool"),
    ("ctc_loss", frames(x=np.ones((5, 2, 4), int)), {}, "log_probs: expected a floating-point dtype, got int64"),
    ("ctc_loss", frames(targets=WORDS * 1.0), {}, "targets: expected integers, got dtype float64"),
    ("ctc_loss", frames(input_lengths=np.ones(2)), {}, "input_lengths: expected integers, got dtype float64"),
    ("ctc_loss", frames(target_lengths=[3.0, 2.0]), {}, r"target_lengths: expected integers, got \[3.0, 2.0\]"),
    # ---- no arrays
    ("mse_loss", ([1.0], [1.0]), {}, "input: expected an array, got list"),
    ("mse_loss", (X, 1.0), {}, "target: expected an array, got float"),
    ("cross_entropy", (None, LABELS), {}, "input: expected an array, got NoneType"),
    ("binary_cross_entropy", (UNIT, Y), {"weight": 2.0}, "weight: expected an array, got float"),
    ("gaussian_nll_loss", (X, Y, "wide"), {}, "var: expected a number, got str"),
    # ---- values, where NumPy can see them
    ("binary_cross_entropy", (X * 1.5, Y), {}, r"input: expected numbers in \[0, 1\], got 1.5"),
    ("binary_cross_entropy", (UNIT, Y - 1), {}, r"target: expected numbers in \[0, 1\], got -1.0"),
    ("nll_loss", (X, LABELS + 1), {}, r"target: expected labels in 0..3 \(or ignore_index -100\), got 4"),
    ("cross_entropy", (X, LABELS - 1), {}, r"target: expected labels in 0..3 .*, got -1"),
    ("multi_margin_loss", (X, LABELS - 1), {}, r"target: expected labels in 0..3, got -1"),
    ("multilabel_margin_loss", (X, WHOLE * 4), {}, r"target: expected labels in -1..3, got 4"),
    ("hinge_embedding_loss", (X, Y), {}, "target: expected 1 or -1, got 0.0"),
    ("cosine_embedding_loss", (X, Y, SIGNS * 0), {}, "target: expected 1 or -1, got 0"),
    ("gaussian_nll_loss", (X, Y, -X), {}, "var: expected no negative variance, got -1.0"),
    ("gaussian_nll_loss", (X, Y, -0.5), {}, "var: expected 0 or more, got -0.5"),
    # ---- options
    ("cross_entropy", (X, LABELS), {"label_smoothing": 1.5}, r"label_smoothing: expected a number in \[0, 1\], got 1.5"),
    ("cross_entropy", (X, LABELS), {"label_smoothing": -0.1}, r"label_smoothing: expected a number in \[0, 1\]"),
    ("cross_entropy", (X, LABELS), {"label_smoothing": "a"}, "label_smoothing: expected a number, got str"),
    ("cross_entropy", (X, LABELS), {"ignore_index": 1.0}, "ignore_index: expected an integer, got float"),
    ("huber_loss", (X, Y), {"delta": 0}, "delta: expected a positive number, got 0"),
    ("huber_loss", (X, Y), {"delta": "1"}, "delta: expected a number, got str"),
    ("smooth_l1_loss", (X, Y), {"beta": -1.0}, "beta: expected 0 or more, got -1.0"),
    ("smooth_l1_loss", (X, Y), {"beta": float("nan")}, "beta: expected 0 or more, got nan"),
    ("gaussian_nll_loss", (X, Y, X), {"eps": -1e-6}, "eps: expected 0 or more, got -1e-06"),
    ("poisson_nll_loss", (X, Y), {"eps": None}, "eps: expected a number, got NoneType"),
    ("hinge_embedding_loss", (X, X), {"margin": X}, "margin: expected a number, got ndarray"),
    ("multi_margin_loss", (X, LABELS), {"p": 3}, r"p: expected an integer in \[1, 2\], got 3"),
    ("multi_margin_loss", (X, LABELS), {"p": 1.5}, "p: expected an integer, got float"),
    ("triplet_margin_loss", (X, Y, X), {"margin": 0.0}, "margin: expected a positive number, got 0.0"),
    ("triplet_margin_loss", (X, Y, X), {"p": 0}, "p: expected a positive number, got 0"),
    # ---- ctc
    ("ctc_loss", frames(x=FRAMES[0, 0]), {}, r"log_probs: expected shape \(T, N, C\) or \(T, C\), got \(4,\)"),
    ("ctc_loss", frames(), {"blank": 4}, r"blank: expected an integer in \[0, 3\], got 4"),
    ("ctc_loss", frames(), {"blank": True}, "blank: expected an integer, got bool"),
    ("ctc_loss", frames(input_lengths=(5, 6)), {}, r"input_lengths: expected lengths in 0..5, got 6"),
    ("ctc_loss", frames(input_lengths=(5, -1)), {}, r"input_lengths: expected lengths in 0..5, got -1"),
    ("ctc_loss", frames(input_lengths=(5,)), {}, r"input_lengths: expected shape \(2,\), got \(1,\)"),
    ("ctc_loss", frames(target_lengths=(3, 4)), {}, r"target_lengths: expected lengths in 0..3, got 4"),
    ("ctc_loss", frames(target_lengths=np.array([[3, 2]])), {}, r"target_lengths: expected shape \(2,\), got \(1, 2\)"),
    ("ctc_loss", frames(targets=WORDS[:1]), {}, r"targets: expected shape \(2, S\) or .*, got \(1, 3\)"),
    ("ctc_loss", frames(targets=WORDS[0]), {}, r"targets: expected the sum of target_lengths, 5, of labels, got 3"),
    ("ctc_loss", frames(targets=WORDS + 1), {}, r"targets: expected labels in 0..3 other than blank 0, got 4"),
    ("ctc_loss", frames(target_lengths=(3, 3)), {}, r"targets: expected labels in 0..3 other than blank 0, got 0"),
    ("ctc_loss", frames(WORDS, 5, 3, FRAMES[:, 0]), {}, r"targets: expected shape \(S,\), got \(2, 3\)"),
    ("ctc_loss", frames(WORDS[0], 5, (1, 1, 1), FRAMES[:, 0]), {}, r"target_lengths: expected shape \(\), got \(3,\)"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(WRONG)), ids=lambda i: f"{i}-{WRONG[i][0]}")
def test_wrong_input_is_named(number: int) -> None:
    name, args, options, message = WRONG[number]
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        getattr(losses, name)(*args, **options)
    assert "\n" not in str(caught.value)
    assert re.match(r"\w+: expected .*, got ", str(caught.value))


def test_shapes_and_dtypes_are_checked_in_every_library(lib: Library) -> None:
    x, labels = lib.asarray(X), lib.asarray(LABELS)
    with pytest.raises(ValueError, match="target: expected the shape of input"):
        losses.mse_loss(x, lib.asarray(Y[:, :1]))
    with pytest.raises(TypeError, match="target: expected integers, got"):
        losses.nll_loss(x, lib.asarray(LABELS, np.float64))
    with pytest.raises(ValueError, match=r"weight: expected shape \(4,\)"):
        losses.cross_entropy(x, labels, lib.asarray(np.ones(5)))
    with pytest.raises(ValueError, match="target_lengths: expected lengths in 0..3, got 4"):
        losses.ctc_loss(lib.asarray(FRAMES), WORDS, (5, 5), (3, 4))


def test_arrays_of_two_libraries_are_refused() -> None:
    strict = pytest.importorskip("array_api_strict")
    with pytest.raises(TypeError, match="arrays of different libraries"):
        losses.mse_loss(X, strict.ones((6, 4)))


@pytest.mark.parametrize("kind", ["CrossEntropyLoss", "MSELoss", "CTCLoss", "TripletMarginLoss"])
def test_modules_refuse_an_unknown_reduction_when_they_are_made(kind: str) -> None:
    with pytest.raises(ValueError, match='reduction: expected "mean", "sum" or "none", got \'average\''):
        getattr(nn, kind)(reduction="average")
