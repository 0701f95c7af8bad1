"""Dropout of elements and of whole channels. ``inplace`` is accepted for torch's sake, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from .. import ops
from ..namespace import namespace
from ..ops._checks import check_flags, check_floating
from ..random import next_key
from .checks import check_probability, check_rank
from .module import Module

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _Dropout(Module):
    """In training its function of the input, the probability and the next key; else the identity."""

    function: ClassVar[Callable[..., Any]]

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        check_probability(p)
        check_flags(inplace=inplace)
        self.p = p

    def forward(self, x: Any) -> Any:
        check_floating("x", x)
        return type(self).function(x, self.p, key=next_key()) if self.training and self.p else x

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout(_Dropout):
    """In training, zeroes each element with probability p and scales the others by 1/(1-p); else the identity."""

    function = staticmethod(ops.dropout)


class AlphaDropout(_Dropout):
    """In training, sets elements to selu's least value with probability p, keeping mean 0 and variance 1; else the identity."""

    function = staticmethod(ops.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """AlphaDropout of whole channels: x (N, C, *S) -> y of the same shape."""

    function = staticmethod(ops.feature_alpha_dropout)


class _FeatureDropout(_Dropout):
    """In training, zeroes each channel of each sample with probability p and scales the others by 1/(1-p); else the identity."""

    function = staticmethod(ops.feature_dropout)
    batched: ClassVar[tuple[int, ...]]
    single: ClassVar[int | None] = None
    shapes: ClassVar[str]

    def forward(self, x: Any) -> Any:
        check_rank(self, x, self.batched if self.single is None else (*self.batched, self.single), self.shapes)
        if len(x.shape) != self.single:
            return super().forward(x)
        xp = namespace(x)
        return xp.squeeze(super().forward(xp.expand_dims(x, axis=0)), axis=0)


class Dropout1d(_FeatureDropout):
    __doc__ = f"{_FeatureDropout.__doc__}\n\n    x (N, C, L) or (C, L) -> y of the same shape.\n    "
    batched, single, shapes = (3,), 2, "(N, C, L) or (C, L)"


class Dropout2d(_FeatureDropout):
    __doc__ = f"{_FeatureDropout.__doc__}\n\n    x (N, C, H, W), or as in torch (N, C, L) -> y of the same shape.\n    "
    batched, shapes = (3, 4), "(N, C, H, W) or (N, C, L)"


class Dropout3d(_FeatureDropout):
    __doc__ = f"{_FeatureDropout.__doc__}\n\n    x (N, C, D, H, W) or (C, D, H, W) -> y of the same shape.\n    "
    batched, single, shapes = (5,), 4, "(N, C, D, H, W) or (C, D, H, W)"
