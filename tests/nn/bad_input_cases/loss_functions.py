"""Every loss, as a function and as a module; tests/test_losses_input.py has more of each."""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnn import losses, nn

from . import bad

X, Y = np.ones((6, 4), np.float32), np.zeros((6, 4), np.float32)
LABELS, SIGNS = np.array([0, 1, 2, 3, 0, 1]), np.array([1, -1, 1, -1, 1, -1])
FRAMES, WORDS = np.zeros((5, 2, 4), np.float32), np.array([[1, 2, 3], [2, 1, 1]])

# name of the function, of the module, right arguments, and what the arguments after the first are called
LOSSES: list[tuple[str, str, tuple[Any, ...], tuple[str, ...]]] = [
    ("l1_loss", "L1Loss", (X, Y), ("input", "target")),
    ("mse_loss", "MSELoss", (X, Y), ("input", "target")),
    ("huber_loss", "HuberLoss", (X, Y), ("input", "target")),
    ("smooth_l1_loss", "SmoothL1Loss", (X, Y), ("input", "target")),
    ("gaussian_nll_loss", "GaussianNLLLoss", (X, Y, X), ("input", "target", "var")),
    ("poisson_nll_loss", "PoissonNLLLoss", (X, Y), ("input", "target")),
    ("kl_div", "KLDivLoss", (X, Y), ("input", "target")),
    ("cross_entropy", "CrossEntropyLoss", (X, LABELS), ("input", "target")),
    ("nll_loss", "NLLLoss", (X, LABELS), ("input", "target")),
    ("binary_cross_entropy", "BCELoss", (X, Y), ("input", "target")),
    ("binary_cross_entropy_with_logits", "BCEWithLogitsLoss", (X, Y), ("input", "target")),
    ("hinge_embedding_loss", "HingeEmbeddingLoss", (X, X), ("input", "target")),
    ("soft_margin_loss", "SoftMarginLoss", (X, X), ("input", "target")),
    ("margin_ranking_loss", "MarginRankingLoss", (X, Y, X), ("input1", "input2", "target")),
    ("multi_margin_loss", "MultiMarginLoss", (X, LABELS), ("input", "target")),
    ("multilabel_margin_loss", "MultiLabelMarginLoss", (X, np.zeros((6, 4), int)), ("input", "target")),
    ("multilabel_soft_margin_loss", "MultiLabelSoftMarginLoss", (X, Y), ("input", "target")),
    ("cosine_embedding_loss", "CosineEmbeddingLoss", (X, Y, SIGNS), ("input1", "input2", "target")),
    ("triplet_margin_loss", "TripletMarginLoss", (X, Y, X), ("anchor", "positive", "negative")),
    (
        "ctc_loss",
        "CTCLoss",
        (FRAMES, WORDS, (5, 5), (3, 3)),
        ("log_probs", "targets", "input_lengths", "target_lengths"),
    ),
]


def _with(args: tuple[Any, ...], i: int, value: Any) -> tuple[Any, ...]:
    return (*args[:i], value, *args[i + 1 :])


CASES = [
    *(bad("reduction", "'average'", lambda f=f, a=args: getattr(losses, f)(*a, reduction="average")) for f, _, args, _ in LOSSES),
    *(bad("reduction", "'average'", lambda k=kind: getattr(nn, k)(reduction="average")) for _, kind, _, _ in LOSSES),
    *(bad("reduction", "3", lambda k=kind: getattr(nn, k)(reduction=3)) for _, kind, _, _ in LOSSES),
    *(
        bad(names[0], came, lambda f=f, a=args, w=wrong: getattr(losses, f)(w, *a[1:]))
        for f, _, args, names in LOSSES
        for wrong, came in (([1.0], "list"), (None, "NoneType"), (np.ones(args[0].shape, int), "int64"))
    ),
    *(
        bad(names[i], "(3, 7)", lambda k=kind, a=args, i=i: getattr(nn, k)()(*_with(a, i, np.ones((3, 7), a[i].dtype))))
        for _, kind, args, names in LOSSES
        for i in range(1, len(args))
        if hasattr(args[i], "dtype")
    ),
    *(
        bad(names[i], "str", lambda k=kind, a=args, i=i: getattr(nn, k)()(*_with(a, i, "7")))
        for _, kind, args, names in LOSSES
        for i in range(1, len(args))
    ),
    # ---- values
    bad("target", "4", lambda: losses.cross_entropy(X, LABELS + 1)),
    bad("target", "-1", lambda: losses.nll_loss(X, LABELS - 1)),
    bad("target", "float64", lambda: losses.nll_loss(X, LABELS * 1.0)),
    bad("input", "1.5", lambda: losses.binary_cross_entropy(X * 1.5, Y)),
    bad("target", "2.0", lambda: losses.binary_cross_entropy(X, Y + 2)),
    bad("weight", "(3,)", lambda: losses.cross_entropy(X, LABELS, np.ones(3, np.float32))),
    bad("label_smoothing", "2", lambda: losses.cross_entropy(X, LABELS, label_smoothing=2)),
    bad("input_lengths", "9", lambda: losses.ctc_loss(FRAMES, WORDS, (5, 9), (3, 3))),
    bad("target_lengths", "-1", lambda: losses.ctc_loss(FRAMES, WORDS, (5, 5), (3, -1))),
    bad("delta", "-1", lambda: nn.HuberLoss(delta=-1)(X, Y)),
    bad("margin", "str", lambda: nn.TripletMarginLoss(margin="1")(X, Y, X)),
]  # fmt: skip
