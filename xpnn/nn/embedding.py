"""Embedding and EmbeddingBag: vectors for integers, and for bags of them."""

from __future__ import annotations

from typing import Any

from .. import init, ops
from ..backend import asarray, follow
from ..ops._checks import check_flags, check_number, check_whole
from ..random import next_key
from .checks import check_sizes
from .module import Module

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(Module):
    """A weight (num_embeddings, embedding_dim), and the options of looking up its rows."""

    def _set(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None, max_norm: float | None, norm_type: float,
        scale_grad_by_freq: bool, sparse: bool, device: str | None, dtype: Any,
    ) -> None:  # fmt: skip
        check_sizes(num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        check_flags(scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)
        if padding_idx is not None:
            check_whole("padding_idx", padding_idx)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"padding_idx: expected one of the {num_embeddings} rows, got {padding_idx}")
        if max_norm is not None:
            check_number("max_norm", max_norm)
        check_number("norm_type", norm_type)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.weight = init.normal(next_key(), (num_embeddings, embedding_dim), dtype=dtype, device=device)
        if self.padding_idx is not None:
            self.weight[self.padding_idx, ...] = 0


class Embedding(_Table):
    """A table of vectors, looked up by integers: indices (...) -> y (..., embedding_dim); weight (num_embeddings, embedding_dim).

    The row ``padding_idx`` is zero at first and gets no gradient. max_norm: rows that are longer, by the norm_type-norm, are scaled
    down to it as they are looked up; torch writes them into the weight, which here stays as it is. scale_grad_by_freq: the gradient
    of a row is divided by how often its index is there. sparse is accepted for torch's sake: gradients are dense.
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, max_norm: float | None = None,
        norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
        *, device: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        options = (padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
        self._set(num_embeddings, embedding_dim, *options, device, dtype)

    def forward(self, indices: Any) -> Any:
        options = (self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq)
        return ops.embedding_rows(follow(indices, self.weight, "indices"), self.weight, *options)

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}"


class EmbeddingBag(_Table):
    """The sum, mean or maximum of the rows of a table that each bag of integers picks; weight (num_embeddings, embedding_dim).

    ``layer(indices)`` with indices (B, N), whose rows are the bags, or ``layer(indices, offsets)`` with (L,) and the places (B,)
    where bags begin (with include_last_offset (B + 1,), the end of the last one too) -> y (B, embedding_dim); an empty bag gives 0.
    mode: "sum", "mean" or "max". ``per_sample_weights``, of the shape of the indices: factors of the rows of a sum. An index
    ``padding_idx`` counts as not there. max_norm and scale_grad_by_freq as in Embedding; ``sparse`` changes nothing.
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, max_norm: float | None = None, norm_type: float = 2.0,
        scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, _weight: Any = None,
        include_last_offset: bool = False, padding_idx: int | None = None, *, device: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        check_flags(include_last_offset=include_last_offset)
        options = (padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
        self._set(num_embeddings, embedding_dim, *options, device, dtype)
        if _weight is not None:
            self.weight = self._given(_weight, dtype, device)
        if not isinstance(mode, str) or mode not in ("sum", "mean", "max"):
            raise ValueError(f'mode: expected "sum", "mean" or "max", got {mode!r}')
        if scale_grad_by_freq and mode == "max":
            raise ValueError('scale_grad_by_freq: expected False with mode "max", got True')
        self.mode = mode
        self.include_last_offset = include_last_offset

    def _given(self, weight: Any, dtype: Any, device: str | None) -> Any:
        """A table that is to be the weight, where the layer has its arrays."""
        shape = (self.num_embeddings, self.embedding_dim)
        if getattr(weight, "shape", None) != shape:
            given = tuple(getattr(weight, "shape", ())) or type(weight).__name__
            raise ValueError(f"_weight: expected an array of shape {shape}, got {given}")
        return asarray(weight, dtype, device=device)

    def forward(self, indices: Any, offsets: Any = None, per_sample_weights: Any = None) -> Any:
        given = [("offsets", offsets), ("per_sample_weights", per_sample_weights)]
        offsets, factors = (None if x is None else follow(x, self.weight, name) for name, x in given)
        options = (self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode)
        bags = (factors, self.include_last_offset, self.padding_idx)
        return ops.embedding_bag(follow(indices, self.weight, "indices"), self.weight, offsets, *options, *bags)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}, mode={self.mode!r}{padding}"
