"""Losses as modules; as functions they are in xpnn.losses, whose docstrings give formulas and shapes.

Each class lists its options with torch's defaults, in torch's order; the dataclass makes the constructor of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, fields
from typing import Any, ClassVar

from .. import losses
from ..backend import asarray
from ..losses._reduce import check_reduction
from ..namespace.libraries import is_array
from .module import Buffer, Module
from .options import check_options, options

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CTCLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
]


class _Loss(Module):
    """Calls its function with the arrays and its options."""

    function: ClassVar[Callable[..., Any]]
    reductions: ClassVar[tuple[str, ...]] = ()
    reduction: str

    def __post_init__(self) -> None:
        check_reduction(self.reduction, *self.reductions)
        check_options(self)
        for name in ("weight", "pos_weight"):
            given = getattr(self, name, None)
            if given is not None:  # a buffer, as it is not trained
                if not is_array(given) and not isinstance(given, list | tuple):
                    raise TypeError(f"{name}: expected an array or a list of numbers, got {type(given).__name__}")
                setattr(self, name, Buffer(given if is_array(given) else asarray(given)))

    def _of(self, *arrays: Any) -> Any:
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        given = {name: x.value if type(x) is Buffer else x for name, x in values.items()}
        return type(self).function(*arrays, **given)


class _OfTarget(_Loss):
    def forward(self, input: Any, target: Any) -> Any:
        return self._of(input, target)


@options
class L1Loss(_OfTarget):
    """|input - target|."""

    function = staticmethod(losses.l1_loss)
    reduction: str = "mean"


@options
class MSELoss(_OfTarget):
    """(input - target)²."""

    function = staticmethod(losses.mse_loss)
    reduction: str = "mean"


@options
class SmoothL1Loss(_OfTarget):
    """d²/(2 beta) where |d| = |input - target| < beta, |d| - beta/2 elsewhere."""

    function = staticmethod(losses.smooth_l1_loss)
    reduction: str = "mean"
    beta: float = 1.0


@options
class HuberLoss(_OfTarget):
    """d²/2 where |d| = |input - target| < delta, delta (|d| - delta/2) elsewhere."""

    function = staticmethod(losses.huber_loss)
    reduction: str = "mean"
    delta: float = 1.0


@options
class CrossEntropyLoss(_OfTarget):
    """Cross-entropy of logits with class numbers or probabilities; weight (C,) is a buffer."""

    function = staticmethod(losses.cross_entropy)
    weight: Any = None
    ignore_index: int = -100
    reduction: str = "mean"
    label_smoothing: float = 0.0


@options
class NLLLoss(_OfTarget):
    """Minus the log-probability of the target's class; weight (C,) is a buffer."""

    function = staticmethod(losses.nll_loss)
    weight: Any = None
    ignore_index: int = -100
    reduction: str = "mean"


@options
class BCELoss(_OfTarget):
    """Cross-entropy of probabilities with targets in [0, 1]; weight is a buffer."""

    function = staticmethod(losses.binary_cross_entropy)
    weight: Any = None
    reduction: str = "mean"


@options
class BCEWithLogitsLoss(_OfTarget):
    """Cross-entropy of sigmoid(input) with targets in [0, 1]; weight and pos_weight are buffers."""

    function = staticmethod(losses.binary_cross_entropy_with_logits)
    weight: Any = None
    reduction: str = "mean"
    pos_weight: Any = None


@options
class KLDivLoss(_OfTarget):
    """target (log target - input), input being log-probabilities."""

    function = staticmethod(losses.kl_div)
    reductions = ("batchmean",)
    reduction: str = "mean"
    log_target: bool = False


@options
class HingeEmbeddingLoss(_OfTarget):
    """input where target is 1, max(0, margin - input) where it is -1."""

    function = staticmethod(losses.hinge_embedding_loss)
    margin: float = 1.0
    reduction: str = "mean"


@options
class MarginRankingLoss(_Loss):
    """max(0, margin - target (input1 - input2))."""

    function = staticmethod(losses.margin_ranking_loss)
    margin: float = 0.0
    reduction: str = "mean"

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        return self._of(input1, input2, target)


@options
class MultiMarginLoss(_OfTarget):
    """Hinge loss of classes; weight (C,) is a buffer."""

    function = staticmethod(losses.multi_margin_loss)
    p: int = 1
    margin: float = 1.0
    weight: Any = None
    reduction: str = "mean"


@options
class MultiLabelMarginLoss(_OfTarget):
    """Hinge loss of several labels a row."""

    function = staticmethod(losses.multilabel_margin_loss)
    reduction: str = "mean"


@options
class MultiLabelSoftMarginLoss(_OfTarget):
    """The mean over the classes of their binary cross-entropies; weight (C,) is a buffer."""

    function = staticmethod(losses.multilabel_soft_margin_loss)
    weight: Any = None
    reduction: str = "mean"


@options
class SoftMarginLoss(_OfTarget):
    """log(1 + exp(-target * input)), target 1 or -1."""

    function = staticmethod(losses.soft_margin_loss)
    reduction: str = "mean"


@options
class CosineEmbeddingLoss(_Loss):
    """1 - cos(input1, input2) where target is 1, max(0, cos - margin) where it is -1."""

    function = staticmethod(losses.cosine_embedding_loss)
    margin: float = 0.0
    reduction: str = "mean"

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        return self._of(input1, input2, target)


@options
class TripletMarginLoss(_Loss):
    """max(0, margin + d(anchor, positive) - d(anchor, negative)), d a p-norm."""

    function = staticmethod(losses.triplet_margin_loss)
    margin: float = 1.0
    p: float = 2.0
    eps: float = 1e-6
    swap: bool = False
    reduction: str = "mean"

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        return self._of(anchor, positive, negative)


@options
class GaussianNLLLoss(_Loss):
    """Minus the log-density of a normal distribution of mean input and variance var."""

    function = staticmethod(losses.gaussian_nll_loss)
    _: KW_ONLY
    full: bool = False
    eps: float = 1e-6
    reduction: str = "mean"

    def forward(self, input: Any, target: Any, var: Any) -> Any:
        return self._of(input, target, var)


@options
class PoissonNLLLoss(_OfTarget):
    """Minus the log-probability of a Poisson distribution, but for log(target!)."""

    function = staticmethod(losses.poisson_nll_loss)
    log_input: bool = True
    full: bool = False
    eps: float = 1e-8
    reduction: str = "mean"


@options
class CTCLoss(_Loss):
    """Connectionist temporal classification: labels against frames without an alignment."""

    function = staticmethod(losses.ctc_loss)
    blank: int = 0
    reduction: str = "mean"
    zero_infinity: bool = False

    def forward(self, log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any) -> Any:
        return self._of(log_probs, targets, input_lengths, target_lengths)
