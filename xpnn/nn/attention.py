"""MultiheadAttention, and the masks that it takes."""

from __future__ import annotations

import math
from typing import Any

from .. import init, ops
from ..backend import follow
from ..namespace import namespace
from ..namespace.array import unbox
from ..namespace.libraries import is_array
from ..ops._checks import check_flags, check_floating
from ..ops.attention import attention_weights
from ..random import next_key
from . import parameters
from .checks import check_features, check_probability, check_rank, check_sizes
from .linear import Linear
from .module import Module

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Attention in several subspaces at once (Vaswani et al. 2017), with torch's arguments and parameters.

    query (L, N, embed_dim), key (S, N, kdim), value (S, N, vdim), or (N, L, embed_dim) and so on with batch_first, or without
    N -> y of query's shape, and the weights: None without need_weights, else (N, L, S), the means over the heads, or
    (N, num_heads, L, S) without average_attn_weights.
    key_padding_mask (N, S), attn_mask (L, S) or (N*num_heads, L, S): True HIDES a key (in ops.attention True shows it);
    floating-point masks are added to the scores. is_causal hides what comes after a query, with or without attn_mask
    (torch wants both). A query that sees no key gets zeros from its heads, never nan.

    Parameters: in_proj_weight (3*embed_dim, embed_dim), or q_proj_weight, k_proj_weight, v_proj_weight (embed_dim, …) where
    kdim or vdim differ, in_proj_bias, bias_k and bias_v (1, 1, embed_dim) with add_bias_kv, out_proj. dropout: of the
    weights, in training. add_bias_kv and add_zero_attn append a key and a value that every query sees.
    """

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, add_bias_kv: bool = False,
        add_zero_attn: bool = False, kdim: int | None = None, vdim: int | None = None, batch_first: bool = False,
        device: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        kdim, vdim = (embed_dim if n is None else n for n in (kdim, vdim))
        check_sizes(embed_dim=embed_dim, num_heads=num_heads, kdim=kdim, vdim=vdim)
        check_probability(dropout, "dropout")
        check_flags(bias=bias, add_bias_kv=add_bias_kv, add_zero_attn=add_zero_attn, batch_first=batch_first)
        if embed_dim % num_heads:
            raise ValueError(f"num_heads: expected a divisor of embed_dim {embed_dim}, got {num_heads}")
        self.embed_dim, self.num_heads, self.kdim, self.vdim = embed_dim, num_heads, kdim, vdim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn
        if kdim == vdim == embed_dim:
            self.in_proj_weight = _xavier((3 * embed_dim, embed_dim), dtype, device)
        else:
            self.q_proj_weight = _xavier((embed_dim, embed_dim), dtype, device)
            self.k_proj_weight = _xavier((embed_dim, kdim), dtype, device)
            self.v_proj_weight = _xavier((embed_dim, vdim), dtype, device)
        self.in_proj_bias = parameters.zeros((3 * embed_dim,), dtype, device) if bias else None
        extra = {"shape": (1, 1, embed_dim), "dtype": dtype, "device": device}
        self.bias_k = init.xavier_normal(next_key(), **extra) if add_bias_kv else None
        self.bias_v = init.xavier_normal(next_key(), **extra) if add_bias_kv else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        if self.out_proj.bias is not None:
            self.out_proj.bias[...] = 0

    def forward(
        self, query: Any, key: Any, value: Any, key_padding_mask: Any = None, need_weights: bool = True,
        attn_mask: Any = None, average_attn_weights: bool = True, is_causal: bool = False,
    ) -> tuple[Any, Any]:  # fmt: skip
        self._check(query, key, value)
        check_flags(need_weights=need_weights, average_attn_weights=average_attn_weights, is_causal=is_causal)
        xp = namespace(query, key, value, self.out_proj.weight)
        batched = len(query.shape) == 3
        batch_first = self.batch_first and batched
        q, k, v = self._heads(xp, *((query, key, value) if batched else _expanded(xp, query, key, value)), batch_first)
        mask = self._mask(xp, q, k, key_padding_mask, attn_mask, batched)
        if self.bias_k is not None or self.add_zero_attn:
            k, v, mask = self._extended(xp, q, k, v, mask, is_causal)
            is_causal = False
        y, weights = self._attend(q, k, v, mask, is_causal, need_weights)
        y = xp.permute_dims(y, (0, 2, 1, 3) if batch_first else (2, 0, 1, 3))
        y = self.out_proj(xp.reshape(y, (*y.shape[:2], self.embed_dim)))
        if weights is not None and average_attn_weights:
            weights = xp.mean(weights, axis=1)
        if batched:
            return y, weights
        return xp.squeeze(y, axis=1), None if weights is None else xp.squeeze(weights, axis=0)

    def _attend(self, q: Any, k: Any, v: Any, mask: Any, is_causal: bool, need_weights: bool) -> tuple[Any, Any]:
        """What the heads see (N, num_heads, L, D), and the weights if they are wanted."""
        p = self.dropout if self.training else 0.0
        key = next_key() if p else None
        if not need_weights:
            return ops.attention(q, k, v, mask, is_causal=is_causal, dropout=p, key=key), None
        weights = attention_weights(q, k, mask, is_causal=is_causal)
        if key is not None:
            weights = ops.dropout(weights, p, key=key)
        return namespace(weights, v).matmul(weights, v), weights

    def _heads(self, xp: Any, query: Any, key: Any, value: Any, batch_first: bool) -> tuple[Any, Any, Any]:
        """The projections of the inputs, (N, num_heads, length, embed_dim/num_heads) each."""
        whole, bias = getattr(self, "in_proj_weight", None), self.in_proj_bias
        size = self.embed_dim
        axes = (2, 0, 3, 1, 4) if batch_first else (2, 1, 3, 0, 4)
        split = (self.num_heads, size // self.num_heads)
        if whole is not None and query is key and key is value:
            z = ops.linear(query, whole, bias)
            q, k, v = xp.unstack(xp.permute_dims(xp.reshape(z, (*z.shape[:2], 3, *split)), axes))
            return q, k, v
        if whole is None:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        else:
            weights = xp.unstack(xp.reshape(whole, (3, size, size)))
        biases = [None] * 3 if bias is None else xp.unstack(xp.reshape(bias, (3, size)))
        found = (ops.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))
        q, k, v = (xp.permute_dims(xp.reshape(z, (*z.shape[:2], 1, *split)), axes)[0, ...] for z in found)
        return q, k, v

    def _mask(self, xp: Any, q: Any, k: Any, key_padding_mask: Any, attn_mask: Any, batched: bool) -> Any:
        """Both masks in one, as ops.attention takes it; None if there is none."""
        count, heads, times = q.shape[:3]
        length = k.shape[2]
        masks = []
        if attn_mask is not None:
            shapes = [(times, length), (count * heads, times, length)]
            mask = _followed("attn_mask", attn_mask, q, shapes)
            masks.append(xp.reshape(mask, (count, heads, times, length)) if mask.ndim == 3 else mask)
        if key_padding_mask is not None:
            mask = _followed("key_padding_mask", key_padding_mask, q, [(count, length) if batched else (length,)])
            masks.append(xp.reshape(mask, (count, 1, 1, length)))
        if not masks:
            return None
        if all(xp.isdtype(mask.dtype, "bool") for mask in masks):
            return xp.logical_not(masks[0] if len(masks) == 1 else xp.logical_or(*masks))
        added = [_added(xp, mask, q) for mask in masks]
        return added[0] if len(added) == 1 else added[0] + added[1]

    def _extended(self, xp: Any, q: Any, k: Any, v: Any, mask: Any, is_causal: bool) -> tuple[Any, Any, Any]:
        """k, v and mask with the keys and values of add_bias_kv and add_zero_attn, which every query sees, behind them."""
        count, heads, length, width = k.shape
        times, shape = q.shape[2], (count, heads, 1, width)
        keys, values = [k], [v]
        if self.bias_k is not None and self.bias_v is not None:
            for group, x in ((keys, self.bias_k), (values, self.bias_v)):
                group.append(xp.broadcast_to(xp.reshape(x, (1, heads, 1, width)), shape))
        if self.add_zero_attn:
            for group in (keys, values):
                group.append(xp.zeros(shape, dtype=k.dtype, device=k.device))
        if is_causal:
            mask = _causal(xp, mask, times, length, k)
        if mask is not None:
            seen = (*mask.shape[:-1], len(keys) - 1)
            make = xp.ones if xp.isdtype(mask.dtype, "bool") else xp.zeros
            mask = xp.concat([mask, make(seen, dtype=mask.dtype, device=k.device)], axis=-1)
        return xp.concat(keys, axis=2), xp.concat(values, axis=2), mask

    def _check(self, query: Any, key: Any, value: Any) -> None:
        check_rank(self, query, (2, 3), "(N, L, E) or (L, E)" if self.batch_first else "(L, N, E) or (L, E)", "query")
        rank = len(query.shape)
        for name, x, size in (("query", query, "embed_dim"), ("key", key, "kdim"), ("value", value, "vdim")):
            check_rank(self, x, (rank,), f"{rank} axes, as query has", name)
            check_features(self, x, -1, getattr(self, size), size, name)
            check_floating(name, x)
        if tuple(value.shape[:-1]) != tuple(key.shape[:-1]):
            raise ValueError(
                f"value: expected the length and batch of key {tuple(key.shape)}, got {tuple(value.shape)}"
            )
        batch = 0 if self.batch_first else 1
        if rank == 3 and key.shape[batch] != query.shape[batch]:
            raise ValueError(
                f"key: expected a batch of {query.shape[batch]}, as query has, got shape {tuple(key.shape)}"
            )

    def extra_repr(self) -> str:
        return f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, dropout={self.dropout}"


def _xavier(shape: tuple[int, ...], dtype: Any, device: str | None) -> Any:
    return init.xavier_uniform(next_key(), shape, dtype=dtype, device=device)


def _expanded(xp: Any, query: Any, key: Any, value: Any) -> tuple[Any, Any, Any]:
    """The inputs with a batch axis of size 1 behind the first; what was one array stays one."""
    q = xp.expand_dims(query, axis=1)
    k = q if key is query else xp.expand_dims(key, axis=1)
    return q, k, k if value is key else xp.expand_dims(value, axis=1)


def _followed(name: str, mask: Any, like: Any, shapes: list[tuple[int, ...]]) -> Any:
    """A mask of one of the shapes, boolean or floating point, where ``like`` is."""
    if not is_array(unbox(mask)):
        raise TypeError(f"{name}: expected an array, got {type(mask).__name__}")
    mask = follow(mask, like)
    if not namespace(mask).isdtype(mask.dtype, ("bool", "real floating")):
        raise TypeError(f"{name}: expected a boolean or floating-point dtype, got {mask.dtype}")
    if tuple(mask.shape) not in shapes:
        raise ValueError(f"{name}: expected shape {' or '.join(map(str, shapes))}, got {tuple(mask.shape)}")
    return mask


def _added(xp: Any, mask: Any, like: Any) -> Any:
    """A mask as numbers that are added to the scores: -inf where True hides a key."""
    if xp.isdtype(mask.dtype, "bool"):
        return xp.where(mask, xp.asarray(-math.inf, dtype=like.dtype, device=like.device), 0.0)
    return xp.astype(mask, like.dtype, copy=False)


def _causal(xp: Any, mask: Any, times: int, length: int, like: Any) -> Any:
    """mask, in the form of ops.attention, that also hides what comes after a query."""
    before = xp.tril(xp.ones((times, length), dtype=xp.bool, device=like.device))
    if mask is None:
        return before
    if xp.isdtype(mask.dtype, "bool"):
        return xp.logical_and(mask, before)
    return xp.where(before, mask, -math.inf)
