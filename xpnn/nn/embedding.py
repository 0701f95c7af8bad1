"""Embedding: vectors for integers."""

from __future__ import annotations

from typing import Any

from .. import init, ops
from ..backend import follow
from ..ops._checks import check_whole
from ..random import next_key
from .checks import check_sizes
from .module import Module

__all__ = ["Embedding"]


class Embedding(Module):
    """A table of vectors, looked up by integers: indices (...) -> y (..., embedding_dim); weight (num_embeddings, embedding_dim).

    The row ``padding_idx`` is zero at first and gets no gradient.
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None,
        device: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        check_sizes(num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None:
            check_whole("padding_idx", padding_idx)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"padding_idx: expected one of the {num_embeddings} rows, got {padding_idx}")
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.weight = init.normal(next_key(), (num_embeddings, embedding_dim), dtype=dtype, device=device)
        if self.padding_idx is not None:
            self.weight[self.padding_idx, ...] = 0

    def forward(self, indices: Any) -> Any:
        return ops.embedding(follow(indices, self.weight, "indices"), self.weight, padding_idx=self.padding_idx)

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}"
