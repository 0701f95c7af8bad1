"""Every loss as a module: the cases of the functions in tests/test_losses.py, each option and each reduction."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from xpnn import nn

from ... import test_losses
from . import Case

KINDS = {
    "l1_loss": "L1Loss",
    "mse_loss": "MSELoss",
    "smooth_l1_loss": "SmoothL1Loss",
    "huber_loss": "HuberLoss",
    "cross_entropy": "CrossEntropyLoss",
    "nll_loss": "NLLLoss",
    "binary_cross_entropy": "BCELoss",
    "binary_cross_entropy_with_logits": "BCEWithLogitsLoss",
    "kl_div": "KLDivLoss",
    "hinge_embedding_loss": "HingeEmbeddingLoss",
    "margin_ranking_loss": "MarginRankingLoss",
    "multi_margin_loss": "MultiMarginLoss",
    "multilabel_margin_loss": "MultiLabelMarginLoss",
    "multilabel_soft_margin_loss": "MultiLabelSoftMarginLoss",
    "soft_margin_loss": "SoftMarginLoss",
    "cosine_embedding_loss": "CosineEmbeddingLoss",
    "triplet_margin_loss": "TripletMarginLoss",
    "gaussian_nll_loss": "GaussianNLLLoss",
    "poisson_nll_loss": "PoissonNLLLoss",
    "ctc_loss": "CTCLoss",
}
OF_FUNCTIONS_ONLY = {"l1_loss", "mse_loss", "huber_loss"}  # that is where a weight per element is


def _cases() -> Iterator[Case]:
    seen = set()
    for name, arrays, options in test_losses.CASES:
        if name in OF_FUNCTIONS_ONLY and "weight" in options:
            continue
        kind = KINDS[name]
        known = inspect.signature(getattr(nn, kind)).parameters
        made = {k: v for k, v in options.items() if k in known}
        called = {k: v for k, v in options.items() if k not in known}
        fixed = tuple(i for i in range(len(arrays)) if i not in test_losses.differentiated(name, arrays))
        more = [] if kind in seen else ["sum", "none", *(["batchmean"] if kind == "KLDivLoss" else [])]
        seen.add(kind)
        for reduction in ("mean", *more):
            chosen = {"reduction": reduction} if reduction != "mean" else {}
            yield Case(kind, (), {**made, **chosen}, arrays, called, fixed=fixed)


CASES = list(_cases())
