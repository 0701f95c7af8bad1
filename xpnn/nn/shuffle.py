"""Layers without parameters that move elements, or compare two arrays; as functions they are in xpnn.ops."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..ops._windows import per_axis
from .checks import check_sizes
from .options import Function, options

__all__ = [
    "ChannelShuffle",
    "CosineSimilarity",
    "Fold",
    "LocalResponseNorm",
    "PairwiseDistance",
    "PixelShuffle",
    "PixelUnshuffle",
    "Unfold",
]


class _Sized(Function):
    """With a first option that is a size."""

    def __post_init__(self) -> None:
        super().__post_init__()
        name, value = next(iter(self._options().items()))
        check_sizes(**{name: value})


class _Windows(Function):
    """With options of a window over two axes."""

    def __post_init__(self) -> None:
        for name, value in self._options().items():
            per_axis(name, value, 2, least=0 if name == "padding" else 1)


@options
class PixelShuffle(_Sized):
    """Channels spread over squares of places: x (..., C r², H, W) -> y (..., C, H r, W r)."""

    function = staticmethod(ops.pixel_shuffle)
    upscale_factor: int


@options
class PixelUnshuffle(_Sized):
    """Squares of places gathered in channels: x (..., C, H r, W r) -> y (..., C r², H, W)."""

    function = staticmethod(ops.pixel_unshuffle)
    downscale_factor: int


@options
class ChannelShuffle(_Sized):
    """The channels of all groups by turns: x (N, C, *S) -> y of the same shape."""

    function = staticmethod(ops.channel_shuffle)
    groups: int


@options
class Unfold(_Windows):
    """What a sliding window sees: x (N, C, H, W) -> y (N, C * window, places)."""

    function = staticmethod(ops.unfold)
    kernel_size: Any
    dilation: Any = 1
    padding: Any = 0
    stride: Any = 1


@options
class Fold(_Windows):
    """The sum of windows in their places: x (N, C * window, places) -> y (N, C, *output_size)."""

    function = staticmethod(ops.fold)
    output_size: Any
    kernel_size: Any
    dilation: Any = 1
    padding: Any = 0
    stride: Any = 1


@options
class LocalResponseNorm(_Sized):
    """x / (k + alpha * mean of x² over size neighbouring channels)^beta: x (N, C, *S) -> y of the same shape."""

    function = staticmethod(ops.local_response_norm)
    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0


@options
class CosineSimilarity(Function):
    """The cosine of the angle between vectors along dim: x1, x2 (...) -> y without dim."""

    function = staticmethod(ops.cosine_similarity)
    dim: int = 1
    eps: float = 1e-8

    def forward(self, x1: Any, x2: Any) -> Any:  # type: ignore[override]
        return ops.cosine_similarity(x1, x2, axis=self.dim, eps=self.eps)


@options
class PairwiseDistance(Function):
    """The p-norm of x1 - x2 + eps: x1, x2 (..., D) -> y (...), with keepdim (..., 1)."""

    function = staticmethod(ops.pairwise_distance)
    p: float = 2.0
    eps: float = 1e-6
    keepdim: bool = False

    def forward(self, x1: Any, x2: Any) -> Any:  # type: ignore[override]
        return ops.pairwise_distance(x1, x2, p=self.p, eps=self.eps, keepdims=self.keepdim)
