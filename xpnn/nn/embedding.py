"""Embedding: vectors for integers."""

from __future__ import annotations

from typing import Any

from .. import init, ops
from ..backend import follow
from ..ops._checks import check_flags, check_number, check_whole
from ..random import next_key
from .checks import check_sizes
from .module import Module

__all__ = ["Embedding"]


class Embedding(Module):
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
        check_sizes(num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        check_flags(scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)
        for name, value in (("max_norm", max_norm), ("norm_type", norm_type)):
            if value is not None or name == "norm_type":
                check_number(name, value)
        if padding_idx is not None:
            check_whole("padding_idx", padding_idx)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"padding_idx: expected one of the {num_embeddings} rows, got {padding_idx}")
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.weight = init.normal(next_key(), (num_embeddings, embedding_dim), dtype=dtype, device=device)
        if self.padding_idx is not None:
            self.weight[self.padding_idx, ...] = 0

    def forward(self, indices: Any) -> Any:
        options = (self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq)
        return ops.embedding_rows(follow(indices, self.weight, "indices"), self.weight, *options)

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}"
